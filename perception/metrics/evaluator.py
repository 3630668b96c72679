"""Every figure that a data set's labels allow, of whatever gives graph outputs: a model in training or a deployed engine.

Figures with the box mask carry the plain name, those without it end in ``_unmasked``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception.core.camera import Camera
from perception.core.errors import check_array
from perception.core.labels import MAP_CLASSES, ROAD
from perception.core.types import Detections, Int64, UInt8
from perception.metrics.bootstrap import (
    FrameRecords,
    Interval,
    Resampling,
    interval,
    resample_figures,
)
from perception.metrics.detection import SCORE_THRESHOLD, BoxScores, LabelledBoxes
from perception.metrics.matches import FrameMatches
from perception.metrics.road import BirdsEye, RoadCurve
from perception.metrics.segmentation import Confusion, label_space_table, road_truth, suffixed

UNMASKED = "_unmasked"
MASKINGS = ("", UNMASKED)
MASK_EFFECTS = ("road_iou", "vehicle_called_road")  # what the box mask is there for
EFFECT = "_minus_unmasked"  # ends the name of a figure with the mask minus the same without


class LabelledFrame(Protocol):
    """What this file needs of a sample; `perception.datasets.base.Sample` has it.

    Attributes:
        class_map: ``uint8[H, W]`` of classes, groups and ignore, or ``None``.
        boxes: or ``None``.
        camera: or ``None``.
    """

    @property
    def class_map(self) -> UInt8 | None: ...  # noqa: D102 (above)
    @property
    def boxes(self) -> LabelledBoxes | None: ...  # noqa: D102
    @property
    def camera(self) -> Camera | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class GraphResult:
    """The graph's outputs for one frame, in the pixels of that frame; ``None`` is not given.

    Attributes:
        detections: all K boxes, not thresholded.
        class_map: ``uint8[H, W]``, index into the engine's map classes, after the box mask.
        class_map_unmasked: the same before the mask.
        road_score: ``uint8[H, W]``, 255 x road probability before the mask.
        road_score_masked: the same after the mask. Without it, the road score counts as masked where the mask changed the class
            map away from road: the same at thresholds of a half and more.
        further: outputs of further tasks by name; not looked at here.
    """

    detections: Detections | None
    class_map: UInt8 | None
    class_map_unmasked: UInt8 | None = None
    road_score: UInt8 | None = None
    road_score_masked: UInt8 | None = None
    further: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        maps = {
            "class_map": (self.class_map, np.uint8),
            "class_map_unmasked": (self.class_map_unmasked, np.uint8),
            "road_score": (self.road_score, np.uint8),
            "road_score_masked": (self.road_score_masked, np.uint8),
        }
        shape: tuple[int | None, ...] = (None, None)
        for name, (array, dtype) in maps.items():
            if array is not None:
                check_array(f"GraphResult.{name}", array, dtype, shape)
                shape = array.shape


@dataclass(frozen=True, slots=True, eq=False)
class FrameScore:
    """What the figures count of one frame.

    Attributes:
        counts: ``int64[label, prediction]`` pixels as in `Confusion.decided`, for each of `MASKINGS`; zeros without a class map.
        boxes: its matches; ``None`` where boxes are not labelled or not found by this network.
    """

    counts: Mapping[str, Int64]
    boxes: FrameMatches | None


class _Maps:
    """The figures of maps of one kind: with the mask, or without."""

    def __init__(self) -> None:
        self.confusion = Confusion()
        self.image = RoadCurve()
        self.bev = RoadCurve()

    def figures(self, suffix: str, classes: Sequence[int]) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, value in self.confusion.figures(classes).items():
            found[suffixed(key, suffix)] = value
        for view, curve in (("image", self.image), ("bev", self.bev)):
            figures = curve.figures()
            if figures is not None:
                found.update({f"road_{k}_{view}{suffix}": v for k, v in asdict(figures).items()})
        return found


class Evaluator:
    """Sums counts over frames and keeps those of each; the figures and how sure they are come at the end.

    Args:
        map_classes: names by the ids of the class maps that will be given.
        box_classes: names by the class ids of the detections.
        score_threshold: from which a box counts as found in the recall by distance, in [0, 1].

    Raises:
        ConfigError: a class that is not in the label space, or a threshold outside [0, 1].
    """

    def __init__(
        self,
        map_classes: Sequence[str],
        box_classes: Sequence[str],
        score_threshold: float = SCORE_THRESHOLD,
    ) -> None:
        self._table = label_space_table(map_classes)
        self._classes = [i for i, name in enumerate(MAP_CLASSES) if name in map_classes]
        self._maps = {suffix: _Maps() for suffix in MASKINGS}
        self._boxes = BoxScores(box_classes, score_threshold)
        self._counts: dict[str, list[Int64]] = {suffix: [] for suffix in MASKINGS}
        self._frames = {"frames": 0, "frames_map": 0, "frames_bev": 0, "frames_boxes": 0}

    def update(self, sample: LabelledFrame, outputs: GraphResult) -> FrameScore:
        """Take in one frame: its labels, and what was found, both in its pixels."""
        self._frames["frames"] += 1
        boxes = None
        if sample.boxes is not None and outputs.detections is not None:
            self._frames["frames_boxes"] += 1
            boxes = self._boxes.add(sample.boxes, outputs.detections)
        else:
            self._boxes.skip()
        maps = {"": outputs.class_map, UNMASKED: outputs.class_map_unmasked}
        counts = {suffix: self._count(sample, suffix, maps[suffix]) for suffix in MASKINGS}
        if sample.class_map is not None:
            self._frames["frames_map"] += 1
            if outputs.road_score is not None:
                self._add_scores(sample.class_map, sample.camera, outputs)
        return FrameScore(counts, boxes)

    def _count(self, sample: LabelledFrame, suffix: str, class_map: UInt8 | None) -> Int64:
        frame = Confusion()
        if sample.class_map is not None and class_map is not None:
            frame.add(sample.class_map, self._table[class_map])
            self._maps[suffix].confusion.merge(frame)
        self._counts[suffix].append(frame.decided)
        return frame.decided

    def _add_scores(self, label_map: UInt8, camera: Camera | None, outputs: GraphResult) -> None:
        scores = {"": self._masked_score(outputs), UNMASKED: outputs.road_score}
        given = {suffix: score for suffix, score in scores.items() if score is not None}
        truth = road_truth(label_map)
        for suffix, score in given.items():
            self._maps[suffix].image.add(score, *truth)
        if camera is None:
            return
        self._frames["frames_bev"] += 1
        view = BirdsEye(camera)
        truth = road_truth(view.labels(label_map))
        for suffix, score in given.items():
            self._maps[suffix].bev.add(view.scores(score), *truth)

    def _masked_score(self, outputs: GraphResult) -> UInt8 | None:
        before, after, score = outputs.class_map_unmasked, outputs.class_map, outputs.road_score
        if outputs.road_score_masked is not None:
            return outputs.road_score_masked
        if score is None or before is None or after is None:
            return None
        taken = (self._table[before] == ROAD) & (self._table[after] != ROAD)
        return np.where(taken, np.uint8(0), score)

    def compute(self) -> dict[str, float]:
        """The figures, all in [0, 1] but the counts of frames; what the labels or outputs do not allow is left out.

        ``miou``, ``iou/CLASS``; ``road_iou``, ``road_precision``, ``road_recall``, ``road_f1`` (pixels, at the best class);
        ``road_maxf_VIEW``, ``road_ap_VIEW`` and, at the threshold of MaxF, ``road_precision_VIEW``, ``road_recall_VIEW``,
        ``road_fpr_VIEW``, ``road_fnr_VIEW``, ``road_threshold_VIEW`` for VIEW ``image`` and ``bev``; ``vehicle_called_road``;
        each again as ``NAME_unmasked`` (``iou_unmasked/CLASS``). ``ap50``, ``ap50_95``, ``ap50/CLASS``, ``ap50_95/CLASS``,
        ``ap50_small``, ``ap50_medium``, ``ap50_large`` and ``recall/BAND`` as `BoxScores.figures` explains them.
        ``frames``, and of them ``frames_map``, ``frames_bev``, ``frames_boxes``.
        """
        figures = {name: float(count) for name, count in self._frames.items()}
        for suffix, maps in self._maps.items():
            figures.update(maps.figures(suffix, self._classes))
        return {**figures, **self._boxes.figures()}

    def records(self) -> FrameRecords:
        """What the figures are counted from, frame by frame."""
        none = np.zeros((0, *Confusion().decided.shape), np.int64)
        counts = {s: np.stack(frames) if frames else none for s, frames in self._counts.items()}
        return FrameRecords(counts, self._boxes.records())

    def intervals(self, resampling: Resampling) -> dict[str, Interval]:
        """The 95 % intervals of `compute`'s figures, but those of road scores and ``ap50_95``.

        Also ``road_iou_minus_unmasked`` and ``vehicle_called_road_minus_unmasked``: of the figure with the mask minus the one
        without, on the same drawn frames. A figure that some sample does not allow, for a class that few frames have, is
        left out, and every figure where the frames make fewer blocks than `perception.metrics.bootstrap.MIN_BLOCKS`. With few
        blocks the intervals come out too narrow.
        """
        drawn = resample_figures(self.records(), resampling, self._classes)
        for name in MASK_EFFECTS:
            without = drawn.get(name + UNMASKED)
            if name in drawn and without is not None:
                drawn[name + EFFECT] = drawn[name] - without
        return {name: interval(values) for name, values in drawn.items()}
