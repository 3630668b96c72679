"""Average precision of boxes by the COCO evaluator.

Source:
    Lin et al., "Microsoft COCO", 2014, https://arxiv.org/abs/1405.0312; AP as its detection evaluation defines it: 101-point
    interpolated precision, mean over IoU 0.5 to 0.95 in steps of 0.05. Differs from it: boxes on pixels that nobody judged
    are left out first, and classes that a data set does not box are neither found nor missed there.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, Protocol

import numpy as np

from perception.core.errors import ConfigError
from perception.core.geometry import box_iou
from perception.core.labels import BOX_CLASSES
from perception.core.types import Bool, Detections, Float32, Float64, Int64
from perception.metrics.matches import (
    MATCH_IOU,
    NOT_COUNTED,
    RIGHT,
    SIZES,
    WRONG,
    BoxRecords,
    FrameMatches,
    Int8,
    join_matches,
    matched_figures,
)

try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ModuleNotFoundError as error:
    raise ConfigError(
        "scoring boxes needs the package 'pycocotools', which is not installed; "
        "install it with: pip install 'perception[train]'"
    ) from error

SCORE_THRESHOLD = 0.4  # in [0, 1]; the default of an engine's
UNJUDGED_SHARE = 0.5  # a box with more of its area than this on unjudged pixels is not


class LabelledBoxes(Protocol):
    """What this file needs of a frame's labels; `perception.datasets.base.BoxLabels` has it.

    Attributes:
        boxes_xyxy: ``float32[K, 4]``, px of the frame.
        class_ids: ``int64[K]``, index into `BOX_CLASSES`.
        boxed_classes: ids of the classes that are boxed in this frame.
        unjudged: ``bool[H, W]``, where objects may stand that nobody boxed.
        distances_m: ``float32[K]``, metres ahead of the camera, NaN where unknown; ``None``: all unknown.
    """

    @property
    def boxes_xyxy(self) -> Float32: ...  # noqa: D102 (above)
    @property
    def class_ids(self) -> Int64: ...  # noqa: D102
    @property
    def boxed_classes(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def unjudged(self) -> Bool: ...  # noqa: D102
    @property
    def distances_m(self) -> Float32 | None: ...  # noqa: D102


class BoxScores:
    """Collects the boxes of frames, labelled and found, and scores them together.

    Args:
        box_classes: names by the class ids of the detections that will be added.
        score_threshold: from which a box counts as found in the recall by distance, in [0, 1].

    Raises:
        ConfigError: a class that is not in the label space, or a threshold outside [0, 1].
    """

    def __init__(
        self, box_classes: Sequence[str], score_threshold: float = SCORE_THRESHOLD
    ) -> None:
        unknown = sorted(set(box_classes) - set(BOX_CLASSES))
        if unknown:
            raise ConfigError(
                f"box classes {unknown} are not in the label space; known: {[*BOX_CLASSES]}"
            )
        if not 0 <= score_threshold <= 1:
            raise ConfigError(f"score threshold: expected [0, 1], got {score_threshold}")
        self._ids = np.array([BOX_CLASSES.index(name) for name in box_classes], np.int64)
        self._threshold = score_threshold
        self._frames: list[FrameMatches | None] = []
        self._truth: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def skip(self) -> None:
        """Take in a frame whose boxes nobody labelled or looked for."""
        self._frames.append(None)

    def add(self, labels: LabelledBoxes, detections: Detections) -> FrameMatches:
        """Take in one frame; the detections unthresholded. Those of score 0 are the graph's spare rows, not boxes."""
        asked = [i for i in labels.boxed_classes if i in self._ids]
        truth = np.isin(labels.class_ids, asked)
        boxes, class_ids = labels.boxes_xyxy[truth], labels.class_ids[truth]
        found_ids = self._ids[detections.class_ids]
        keep = np.isin(found_ids, asked) & (detections.scores > 0)
        keep &= judged_boxes(
            detections.boxes_xyxy, found_ids, (boxes, class_ids), unjudged=labels.unjudged
        )
        truth_entries = _entries(boxes, class_ids)
        found_entries = _entries(detections.boxes_xyxy[keep], found_ids[keep])
        for entry, score in zip(found_entries, detections.scores[keep], strict=True):
            entry["score"] = float(score)
        self._collect(self._truth, truth_entries)
        self._collect(self._found, found_entries)
        verdicts, counted, truth_scores = _match_frame(truth_entries, found_entries)
        distances = labels.distances_m
        if distances is None:
            distances = np.full(len(truth), np.nan, np.float32)
        matches = FrameMatches(
            rows=np.flatnonzero(keep),
            class_ids=found_ids[keep],
            scores=detections.scores[keep],
            verdicts=verdicts,
            truth_xyxy=boxes,
            truth_class_ids=class_ids,
            truth_scores=truth_scores,
            truth_counted=counted,
            truth_distances_m=distances[truth],
        )
        self._frames.append(matches)
        return matches

    def _collect(self, into: list[dict[str, Any]], entries: list[dict[str, Any]]) -> None:
        into.extend(
            {**entry, "id": number, "image_id": len(self._frames) + 1}
            for number, entry in enumerate(entries, len(into) + 1)
        )

    def records(self) -> BoxRecords:
        """The matches of all frames so far, those that were skipped too."""
        return join_matches(self._frames, self._threshold)

    def figures(self) -> dict[str, float]:
        """All in [0, 1]; empty where nothing was labelled.

        ``ap50`` and ``ap50_95``, each also as ``ap50/CLASS`` for every class with labelled boxes. ``ap50_small``,
        ``ap50_medium``, ``ap50_large`` of boxes by their height in px of the frame: up to `SMALL_PX`, up to `LARGE_PX`, and
        above; what meets a labelled box of another size, and what meets none and is of another size itself, is neither right
        nor wrong. ``recall/BAND`` of all classes together, by distance, where the labels have it: the share of labelled boxes
        that a box of at least the threshold's score meets at IoU 0.5.
        """
        if not self._truth:
            return {}
        precision = self._precision()
        figures: dict[str, float] = {}
        for key, thresholds in (("ap50", slice(0, 1)), ("ap50_95", slice(None))):
            by_class = precision[thresholds].mean(axis=(0, 1))
            seen = {BOX_CLASSES[i]: float(by_class[i]) for i in self._seen_classes()}
            figures[key] = float(np.mean(list(seen.values())))
            figures.update({f"{key}/{name}": value for name, value in seen.items()})
        whole = np.zeros(len(self._frames), np.int64)
        matched = matched_figures(self.records(), whole, np.ones((1, 1), np.int64))
        return {**{name: float(values[0]) for name, values in matched.items()}, **figures}

    def _seen_classes(self) -> list[int]:
        return sorted({entry["category_id"] for entry in self._truth})

    def _precision(self) -> Float64:
        """``float64[10 IoUs, 101 recalls, classes]``; -1 for a class without labels."""
        run = _evaluation(self._truth, self._found, len(self._frames))
        with redirect_stdout(io.StringIO()):
            run.evaluate()
            run.accumulate()
        return np.asarray(run.eval["precision"][..., 0, -1], np.float64)


def _entries(boxes_xyxy: Float32, class_ids: Int64) -> list[dict[str, Any]]:
    """COCO's form of the boxes of one frame, numbered from 1: its matcher takes 0 for "none".

    Its areas only part boxes by size, so they hold heights here.
    """
    return [
        {
            "id": number,
            "image_id": 1,
            "category_id": int(class_id),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": y2 - y1,
            "iscrowd": 0,
        }
        for number, ((x1, y1, x2, y2), class_id) in enumerate(
            zip(boxes_xyxy.tolist(), class_ids, strict=True), 1
        )
    ]


def _evaluation(
    truth_entries: list[dict[str, Any]], found_entries: list[dict[str, Any]], frames: int
) -> Any:  # noqa: ANN401 (pycocotools has no types)
    """An evaluator of all sizes together and every box, not run yet."""
    with redirect_stdout(io.StringIO()):  # it prints its progress
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i + 1} for i in range(frames)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(BOX_CLASSES)],
            "annotations": truth_entries,
        }
        truth.createIndex()
        found = COCO()
        found.dataset = {**truth.dataset, "annotations": found_entries}
        found.createIndex()
        run = COCOeval(truth, found, iouType="bbox")
    run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
    run.params.maxDets = [max(1, *map(len, found.imgToAnns.values()), 0)]
    return run


def _match_frame(
    truth_entries: list[dict[str, Any]], found_entries: list[dict[str, Any]]
) -> tuple[Int8, Bool, Float32]:
    """One frame's boxes by COCO's own matcher: verdicts, labels counted and labels' scores as in `FrameMatches`."""
    run = _evaluation(truth_entries, found_entries, 1)
    run.params.iouThrs = np.array([MATCH_IOU])
    run.params.areaRng = [list(bounds) for bounds in SIZES.values()]
    run.params.areaRngLbl = [*SIZES]
    with redirect_stdout(io.StringIO()):
        run.evaluate()
    verdicts = np.full((len(SIZES), len(found_entries)), WRONG, np.int8)
    counted = np.zeros((len(SIZES), len(truth_entries)), np.bool_)
    truth_scores = np.zeros(len(truth_entries), np.float32)
    for place, pairs in enumerate(run.evalImgs):  # by class, then by size
        if pairs is None:
            continue
        size = place % len(SIZES)
        found, truth = (np.array(pairs[key], np.int64) - 1 for key in ("dtIds", "gtIds"))
        if len(found):
            of_found = np.where(pairs["dtMatches"][0] > 0, RIGHT, WRONG)
            verdicts[size, found] = np.where(pairs["dtIgnore"][0], NOT_COUNTED, of_found)
        counted[size, truth] = np.array(pairs["gtIgnore"]) == 0
        if not size:
            for i, match in zip(truth, pairs["gtMatches"][0].astype(int), strict=True):
                truth_scores[i] = found_entries[match - 1]["score"] if match else 0
    return verdicts, counted, truth_scores


def judged_boxes(
    boxes_xyxy: Float32, class_ids: Int64, truth: tuple[Float32, Int64], *, unjudged: Bool
) -> Bool:
    """Which boxes may be held right or wrong.

    Those that meet a labelled box of their class at `MATCH_IOU`, and those that lie on judged pixels with at least half their
    area: elsewhere nobody would have boxed an object.

    Args:
        boxes_xyxy: ``float32[K, 4]``, px.
        class_ids: ``int64[K]``.
        truth: labelled boxes ``float32[T, 4]`` and their classes ``int64[T]``.
        unjudged: ``bool[H, W]``.

    Returns:
        ``bool[K]``.
    """
    same_class = class_ids[:, None] == truth[1][None]
    meets = (box_iou(boxes_xyxy, truth[0]) >= MATCH_IOU) & same_class
    matched: Bool = meets.any(axis=1)
    return matched | (_covered_share(boxes_xyxy, unjudged) <= UNJUDGED_SHARE)


def _covered_share(boxes_xyxy: Float32, region: Bool) -> Float64:
    """Share of each box's pixels that lie in `region`, ``float64[K]`` in [0, 1]; 0 for boxes without pixels."""
    height, width = region.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = region.cumsum(axis=0).cumsum(axis=1)
    limit = np.array([width, height, width, height])
    x1, y1, x2, y2 = np.clip(np.rint(boxes_xyxy), 0, limit).astype(np.int64).T
    inside = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    area = (x2 - x1) * (y2 - y1)
    return np.where(area > 0, inside / np.maximum(area, 1), 0.0)
