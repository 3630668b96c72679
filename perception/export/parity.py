"""How far two runs of one graph are apart, judged by the task: equal pixels, road IoU, matched boxes. And how far they may be.

Each output is compared after the whole graph: per-element differences of sorted boxes would only tell that near-equal scores swap.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.backends.base import Tensors
from perception.core.geometry import box_iou
from perception.core.labels import ROAD
from perception.core.manifest import EVALUATION_OUTPUTS, GRAPH_OUTPUTS

COMPARED_SCORE = 0.05  # boxes below it are noise that no user of the engine sees
MATCH_IOU = 0.5  # a box and its counterpart overlap at least this much


@dataclass(frozen=True, slots=True)
class Points:
    """By how many points a figure on labels may change.

    Attributes:
        loss: downwards.
        gain: upwards; ``None``: any.
    """

    loss: float
    gain: float | None

    def __str__(self) -> str:
        return f"-{self.loss:g} to {'any gain' if self.gain is None else f'+{self.gain:g}'}"

    def allows(self, points: float) -> bool:
        """Whether this change, 100 times the difference, is within."""
        return points >= -self.loss and (self.gain is None or points <= self.gain)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an engine of one precision must keep; ``None`` is not judged.

    Its outputs are judged over all frames in which no box crosses the threshold of a hard mask, its figures over all frames.

    Attributes:
        equal_pixels: smallest share of pixels of the class map that are equal.
        road_iou, worst_road_iou: smallest overlap of what both call road, over all frames and in one.
        matched: smallest share of boxes with a counterpart.
        box_px: largest difference of a matched box's coordinate, px.
        score: largest difference of a matched box's score.
        further: smallest share of values near the other's, of each output of a further task.
        points: figure of `perception.metrics.evaluator.Evaluator.compute` -> how it may change.
    """

    equal_pixels: float | None = None
    road_iou: float | None = None
    worst_road_iou: float | None = None
    matched: float | None = None
    box_px: float | None = None
    score: float | None = None
    further: float | None = None
    points: Mapping[str, Points] = field(default_factory=dict)

    @property
    def judges_outputs(self) -> bool:
        """Whether it says anything of the outputs themselves."""
        return replace(self, points={}) != Tolerance()


NO_THRESHOLD = 2.0  # no score reaches it: pixels are compared in every frame
# The one table of tolerances; a precision that is not in it is reported, not judged.
TOLERANCES = {
    "fp32": Tolerance(0.999, 0.999, 0.995, matched=0.999, box_px=0.5, score=2e-3, further=0.99),
    # of two boxes of one object, whose scores differ by less than half resolves, now one is kept and now the other
    "fp16": Tolerance(
        0.998, 0.998, 0.995, matched=0.99, score=1e-2, further=0.98,
        points={"road_maxf_image": Points(0.1, 0.1), "ap50": Points(0.5, 0.5)},
    ),
    # eight bits move most outputs a little: only what the task loses by that is judged
    "int8": Tolerance(points=dict.fromkeys(("miou", "road_maxf_image", "ap50"), Points(1.0, None))),
}  # fmt: skip
NEAR = 0.01  # of one and the value itself: so far apart, two values of a further task are near; whole numbers are equal or not
CASCADE_OUTPUTS = {*GRAPH_OUTPUTS, *EVALUATION_OUTPUTS}
ROAD_PIXELS = 1000  # a frame with less road than this is not looked at by itself


@dataclass(slots=True)
class Parity:
    """Differences of one backend from torch, summed over frames.

    Attributes:
        backend, precision: what was compared.
        frames: compared.
        crossing: names of frames in which a box is on the other side of the threshold of a hard mask; they are not judged by pixels.
        pixels, equal: of the class maps of the frames that are judged.
        worst_equal: share of equal pixels of the worst of them.
        road_both, road_either: pixels called road by both, by at least one.
        worst_road_iou: of the frames that have at least `ROAD_PIXELS` of either.
        boxes, matched: boxes of torch with at least `COMPARED_SCORE`, and how many have a counterpart.
        box_px, score: largest difference over matched boxes.
        further: output of a further task -> values compared, and how many are near; what is told of boxes, at matched ones.
    """

    backend: str
    precision: str
    frames: int = 0
    crossing: list[str] = field(default_factory=list)
    pixels: int = 0
    equal: int = 0
    worst_equal: float = 1.0
    road_both: int = 0
    road_either: int = 0
    worst_road_iou: float = 1.0
    boxes: int = 0
    matched: int = 0
    box_px: float = 0.0
    score: float = 0.0
    further: dict[str, list[int]] = field(default_factory=dict)

    def add(self, name: str, want: Tensors, got: Tensors, threshold: float) -> None:
        """Compare one frame's outputs."""
        self.frames += 1
        crossed = self._add_boxes(want, got, threshold)
        if crossed:
            self.crossing.append(name)
            return
        same = want["class_map"] == got["class_map"]
        self.pixels += same.size
        self.equal += int(same.sum())
        self.worst_equal = min(self.worst_equal, float(same.mean()))
        road_want, road_got = want["class_map"] == ROAD, got["class_map"] == ROAD
        both, either = int((road_want & road_got).sum()), int((road_want | road_got).sum())
        self.road_both += both
        self.road_either += either
        if either >= ROAD_PIXELS:
            self.worst_road_iou = min(self.worst_road_iou, both / either)
        self._add_further(want, got)

    def _add_further(self, want: Tensors, got: Tensors) -> None:
        mine, theirs = match_boxes(want, got).T
        for name in want.keys() - CASCADE_OUTPUTS:
            wanted, found = want[name][0], got[name][0]
            if wanted.ndim > 1 and wanted.shape[0] == want["scores"].shape[1]:  # of each box
                wanted, found = wanted[mine], found[theirs]
            if np.issubdtype(wanted.dtype, np.floating):
                near = np.abs(wanted - found) <= NEAR * (1 + np.abs(wanted))
            else:
                near = wanted == found
            counts = self.further.setdefault(name, [0, 0])
            counts[0] += near.size
            counts[1] += int(near.sum())

    def _add_boxes(self, want: Tensors, got: Tensors, threshold: float) -> bool:
        pairs = match_boxes(want, got)
        compared = int((want["scores"][0] >= COMPARED_SCORE).sum())
        self.boxes += compared
        self.matched += len(pairs)
        mine, theirs = pairs.T
        for name in ("boxes_xyxy", "scores"):
            difference = np.abs(want[name][0][mine] - got[name][0][theirs])
            largest = float(difference.max()) if difference.size else 0.0
            if name == "scores":
                self.score = max(self.score, largest)
            else:
                self.box_px = max(self.box_px, largest)
        return int((want["scores"] >= threshold).sum()) != int((got["scores"] >= threshold).sum())

    def figures(self) -> dict[str, Any]:
        """Shares and differences, ready for JSON."""
        return {
            **asdict(self),
            "equal_pixels": share(self.equal, self.pixels),
            "road_iou": share(self.road_both, self.road_either),
            "matched_boxes": share(self.matched, self.boxes),
            "further_near": {n: share(near, of) for n, (of, near) in self.further.items()},
            "judged": self._limit() is not None,
            "ok": not self.violations(),
        }

    def violations(self) -> list[str]:
        """What is outside the tolerances of the precision, in words."""
        limit = self._limit()
        if limit is None:
            return []
        if self.frames == len(self.crossing):
            return ["nothing was compared: a box crosses the mask threshold in every frame"]
        road = share(self.road_both, self.road_either)
        checks = (
            ("equal pixels", share(self.equal, self.pixels), limit.equal_pixels, True),
            ("road IoU", road, limit.road_iou, True),
            ("road IoU of one frame", self.worst_road_iou, limit.worst_road_iou, True),
            ("matched boxes", share(self.matched, self.boxes), limit.matched, True),
            ("box difference, px", self.box_px, limit.box_px, False),
            ("score difference", self.score, limit.score, False),
            *(
                (f"near values of {name}", share(near, of), limit.further, True)
                for name, (of, near) in self.further.items()
            ),
        )
        return [
            f"{name} {value:.6g}, allowed {'at least' if lowest else 'at most'} {bound:g}"
            for name, value, bound, lowest in checks
            if bound is not None and (value < bound if lowest else value > bound)
        ]

    def _limit(self) -> Tolerance | None:
        limit = TOLERANCES.get(self.precision)
        return limit if limit is not None and limit.judges_outputs and self.frames else None


def share(part: int, whole: int) -> float:
    """A share in [0, 1]; 1 of nothing, since nothing differs there."""
    return part / whole if whole else 1.0


def match_boxes(want: Tensors, got: Tensors) -> NDArray[np.int64]:
    """Pair boxes of the same class that overlap most, each at most once: ``int64[P, 2]``, indices into both."""
    mine = np.flatnonzero(want["scores"][0] >= COMPARED_SCORE)
    theirs = np.flatnonzero(got["scores"][0] >= COMPARED_SCORE / 2)
    overlap = box_iou(want["boxes_xyxy"][0][mine], got["boxes_xyxy"][0][theirs])
    overlap *= want["class_ids"][0][mine, None] == got["class_ids"][0][None, theirs]
    pairs = []
    for _ in range(min(overlap.shape)):
        i, j = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[i, j] < MATCH_IOU:
            break
        pairs.append((mine[i], theirs[j]))
        overlap[i, :] = overlap[:, j] = 0.0
    return np.array(pairs, np.int64).reshape(-1, 2)
