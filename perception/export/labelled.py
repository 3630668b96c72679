"""What rounding changes against labels: the figures of an engine in float32 and rounded, on the same frames, and the matches that flip."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from perception.backends import DEFAULT_BACKEND
from perception.core.labels import BOX_CLASSES
from perception.core.manifest import Engine
from perception.datasets import Sample
from perception.export.parity import TOLERANCES, Points
from perception.export.runner import PLANS, Runner
from perception.export.variants import evaluation_variant
from perception.metrics.matches import FrameMatches
from perception.runtime.evaluation.evaluate import build_evaluator, run_frame

FIGURES = ("miou", "road_f1", "road_maxf_image", "ap50")  # of `Evaluator.compute`
BY_CLASS = "ap50/"  # begins the figures of single classes


@dataclass(frozen=True, slots=True)
class Flip:
    """A labelled box that only one of the two meets at IoU 0.5: at all, or with at least the engine's score threshold.

    The first changes AP50, which knows no threshold; the second is what a user sees. The scores tell which it is.

    Attributes:
        frame: its name.
        class_name: of the label.
        box_xyxy: of the label, px of the frame.
        float32, rounded: score of the box that meets it; 0 where none does.
    """

    frame: str
    class_name: str
    box_xyxy: tuple[float, ...]
    float32: float
    rounded: float


@dataclass(frozen=True, slots=True)
class LabelChange:
    """What one runner changes, over all frames that it takes.

    Attributes:
        backend, precision: of the runner.
        frames: that it took.
        labelled: boxes in them that should be found.
        figures: name -> float32's and its own, in [0, 1]; those that labels and outputs allow.
        flips: those of the largest difference of scores first.
    """

    backend: str
    precision: str
    frames: int
    labelled: int
    figures: Mapping[str, tuple[float, float]]
    flips: tuple[Flip, ...]

    def points(self) -> dict[str, float]:
        """Figure -> 100 times what the runner's is above float32's."""
        return {name: 100 * (after - before) for name, (before, after) in self.figures.items()}

    def summary(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        points = self.points()
        figures = {
            name: {"float32": before, "rounded": after, "points": points[name]}
            for name, (before, after) in self.figures.items()
        }
        judged = bool(self._limits())
        return {**asdict(self), "figures": figures, "judged": judged, "ok": not self.violations()}

    def violations(self) -> list[str]:
        """What changes by more than the tolerances of the precision allow, in words."""
        points = self.points()
        return [
            f"{name} {points[name]:+.3f} points on labels, allowed {limit}"
            for name, limit in self._limits().items()
            if not limit.allows(points[name])
        ]

    def _limits(self) -> dict[str, Points]:
        tolerance = TOLERANCES.get(self.precision)
        limits = tolerance.points if tolerance else {}
        return {name: limit for name, limit in limits.items() if name in self.figures}


@dataclass(frozen=True, slots=True)
class _Scores:
    """Figures over the frames that a runner took, and frame -> its matches."""

    figures: Mapping[str, float]
    matches: Mapping[str, FrameMatches | None]


def label_changes(
    engine: Engine, frames: Sequence[tuple[str, Sample]], runners: Sequence[tuple[str, str]]
) -> list[LabelChange]:
    """Score every runner, and float32 on ONNX Runtime, on the labels of the same frames, one after the other.

    They have the outputs that only an evaluation needs, but plans, which have no MaxF therefore.

    Args:
        engine: with its weights.
        frames: name and sample; read anew for each runner, so that they need not fit into memory.
        runners: backend, or `perception.export.runner.EMULATED`, and precision.
    """
    scored = evaluation_variant(engine)
    threshold = engine.manifest.score_threshold

    @cache  # only plans do not take all frames
    def float32(names: tuple[str, ...]) -> _Scores:
        return _score(Runner(scored, DEFAULT_BACKEND, "fp32"), frames, names)

    changes = []
    for backend, precision in runners:
        runner = Runner(engine if backend == PLANS else scored, backend, precision)
        rounded = _score(runner, frames)
        exact = float32(tuple(rounded.matches))
        changes.append(_change((backend, precision), exact, rounded, threshold))
    return changes


def _score(
    runner: Runner, frames: Sequence[tuple[str, Sample]], only: Container[str] | None = None
) -> _Scores:
    """Score the frames that a runner takes, of those with the names `only`."""
    evaluator = build_evaluator(runner.engine.manifest)
    matches = {}
    with runner:
        for name, sample in frames:
            if (only is None or name in only) and runner.takes(sample.image):
                matches[name] = evaluator.update(sample, run_frame(runner, sample.image)).boxes
    return _Scores(evaluator.compute(), matches)


def _change(
    runner: tuple[str, str], exact: _Scores, rounded: _Scores, score_threshold: float
) -> LabelChange:
    names = [*FIGURES, *(name for name in exact.figures if name.startswith(BY_CLASS))]
    both = exact.figures.keys() & rounded.figures.keys()
    flips: list[Flip] = []
    labelled = 0
    for frame, before in exact.matches.items():
        after = rounded.matches[frame]
        if before is not None and after is not None:
            labelled += len(before.truth_xyxy)
            flips += find_flips(frame, before, after, score_threshold)
    return LabelChange(
        *runner,
        frames=len(rounded.matches),
        labelled=labelled,
        figures={n: (exact.figures[n], rounded.figures[n]) for n in names if n in both},
        flips=tuple(sorted(flips, key=lambda flip: -abs(flip.float32 - flip.rounded))),
    )


def find_flips(
    frame: str, float32: FrameMatches, rounded: FrameMatches, score_threshold: float
) -> list[Flip]:
    """The flips of one frame, of two results for the same labels."""
    levels = (0.0, score_threshold)
    flipped = np.any([float32.missed(s) != rounded.missed(s) for s in levels], axis=0)
    return [
        Flip(
            frame,
            BOX_CLASSES[float32.truth_class_ids[i]],
            tuple(float32.truth_xyxy[i].tolist()),
            float(float32.truth_scores[i]),
            float(rounded.truth_scores[i]),
        )
        for i in np.flatnonzero(flipped)
    ]
