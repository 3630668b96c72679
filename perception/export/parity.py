"""Does an engine give what torch gives? Judged by the task (equal pixels, road IoU, matched boxes) on real frames.

Each output is compared after the whole graph: per-element differences of sorted boxes would only tell that near-equal scores swap.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception.backends import BACKENDS, open_backend
from perception.backends.base import Backend, Tensors
from perception.backends.cpu import int8_sums_overflow
from perception.core.errors import EngineError, InputError
from perception.core.geometry import box_iou, choose_model_size, fit_letterbox
from perception.core.labels import ROAD
from perception.core.manifest import GRAPH_INPUT, PARITY_FILE, Engine
from perception.core.types import UInt8
from perception.models.graph import InferenceGraph
from perception.models.weights import load_network
from perception.stages.preprocess import fit_image

COMPARED_SCORE = 0.05  # boxes below it are noise that no user of the engine sees
MATCH_IOU = 0.5  # a box and its counterpart overlap at least this much

NamedFrame = tuple[str, UInt8]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an engine of one precision must keep; judged over all frames in which no box crosses the threshold of a hard mask.

    Attributes:
        equal_pixels: smallest share of pixels of the class map that are equal.
        box_px: largest difference of a matched box's coordinate, px.
        score: largest difference of a matched box's score.
        matched: smallest share of boxes with a counterpart.
    """

    equal_pixels: float
    box_px: float
    score: float
    matched: float


# the one table of tolerances; a precision that is not in it is reported, not judged
logger = logging.getLogger(__name__)

NO_THRESHOLD = 2.0  # no score reaches it: pixels are compared in every frame
TOLERANCES = {"fp32": Tolerance(equal_pixels=0.999, box_px=0.5, score=2e-3, matched=0.999)}


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
        boxes, matched: boxes of torch with at least `COMPARED_SCORE`, and how many have a counterpart.
        box_px, score: largest difference over matched boxes.
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
    boxes: int = 0
    matched: int = 0
    box_px: float = 0.0
    score: float = 0.0

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
        self.road_both += int((road_want & road_got).sum())
        self.road_either += int((road_want | road_got).sum())

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
            "judged": self.precision in TOLERANCES,
            "ok": not self.violations(),
        }

    def violations(self) -> list[str]:
        """What is outside the tolerances of the precision, in words."""
        limit = TOLERANCES.get(self.precision)
        if limit is None:
            return []
        if self.frames == len(self.crossing):
            return ["nothing was compared: a box crosses the mask threshold in every frame"]
        checks = (
            ("equal pixels", share(self.equal, self.pixels), limit.equal_pixels, True),
            ("matched boxes", share(self.matched, self.boxes), limit.matched, True),
            ("box difference, px", self.box_px, limit.box_px, False),
            ("score difference", self.score, limit.score, False),
        )
        return [
            f"{name} {value:.6g}, allowed {'at least' if lowest else 'at most'} {bound:g}"
            for name, value, bound, lowest in checks
            if (value < bound if lowest else value > bound)
        ]


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


def compare(
    engine: Engine, frames: Iterable[NamedFrame], runners: Sequence[tuple[str, str]]
) -> list[Parity]:
    """Run torch and every backend on the same frames.

    Args:
        engine: with its weights.
        frames: name and ``uint8[H, W, 3]``.
        runners: backend and precision.

    Raises:
        InputError: there was no frame.
    """
    network, config = load_network(engine)
    graph = InferenceGraph(network, config).eval()
    manifest = engine.manifest
    # a hard mask turns whole columns at its threshold; other forms change little there
    threshold = manifest.mask_threshold if manifest.mask_form == "hard" else NO_THRESHOLD
    results = [Parity(backend, precision) for backend, precision in runners]
    with ExitStack() as stack:
        opened: dict[tuple[str, str, tuple[int, int]], Backend] = {}
        for name, image in frames:
            frame_wh = (image.shape[1], image.shape[0])
            size = choose_model_size(frame_wh, manifest.max_pixels)
            feed = fit_image(image, fit_letterbox(frame_wh, size))[None]
            with torch.no_grad():
                want = {key: value.numpy() for key, value in graph(torch.from_numpy(feed)).items()}
            for result in results:
                key = (result.backend, result.precision, size)
                if key not in opened:
                    backend = open_backend(key[0], engine, size, precision=key[1])
                    opened[key] = stack.enter_context(backend)
                result.add(name, want, opened[key].infer({GRAPH_INPUT: feed}), threshold)
    if not any(result.frames for result in results):
        raise InputError("parity: no frame was given; expected at least one")
    return results


def verify(
    engine: Engine, frames: Iterable[NamedFrame], runners: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Compare, write ``parity.json`` into the engine folder, and judge.

    Where the engine has an INT8 graph, every backend is compared with it too.

    Raises:
        EngineError: an output is outside its tolerance; the file tells the figures all the same.
    """
    int8: list[tuple[str, str]] = []
    if engine.manifest.int8_sha256:
        unfit = {"openvino"} if int8_sums_overflow() else set()
        int8 = [(name, "int8") for name in BACKENDS if name not in unfit]
        for name in sorted(unfit):
            logger.warning("%s int8 is not compared: this CPU has no VNNI", name)
    results = compare(engine, frames, [*runners, *int8])
    summary = {
        "engine": engine.manifest.name,
        "onnx_sha256": engine.manifest.onnx_sha256,
        "tolerances": {name: asdict(limit) for name, limit in TOLERANCES.items()},
        "results": [result.figures() for result in results],
    }
    (engine.folder / PARITY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    wrong = [
        f"{r.backend} {r.precision}: {', '.join(r.violations())}" for r in results if r.violations()
    ]
    if wrong:
        raise EngineError(f"engine {engine.manifest.name!r} differs from torch: {'; '.join(wrong)}")
    return summary
