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

try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ModuleNotFoundError as error:
    raise ConfigError(
        "scoring boxes needs the package 'pycocotools', which is not installed; "
        "install it with: pip install 'perception[train]'"
    ) from error

MATCH_IOU = 0.5  # a box that meets a labelled one is judged, wherever it lies
UNJUDGED_SHARE = 0.5  # a box with more of its area than this on unjudged pixels is not


class LabelledBoxes(Protocol):
    """What this file needs of a frame's labels; `perception.datasets.base.BoxLabels` has it.

    Attributes:
        boxes_xyxy: ``float32[K, 4]``, px of the frame.
        class_ids: ``int64[K]``, index into `BOX_CLASSES`.
        boxed_classes: ids of the classes that are boxed in this frame.
        unjudged: ``bool[H, W]``, where objects may stand that nobody boxed.
    """

    @property
    def boxes_xyxy(self) -> Float32: ...  # noqa: D102 (above)
    @property
    def class_ids(self) -> Int64: ...  # noqa: D102
    @property
    def boxed_classes(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def unjudged(self) -> Bool: ...  # noqa: D102


class BoxScores:
    """Collects the boxes of frames, labelled and found, and scores them together.

    Args:
        box_classes: names by the class ids of the detections that will be added.

    Raises:
        ConfigError: a class that is not in the label space.
    """

    def __init__(self, box_classes: Sequence[str]) -> None:
        unknown = sorted(set(box_classes) - set(BOX_CLASSES))
        if unknown:
            raise ConfigError(
                f"box classes {unknown} are not in the label space; known: {[*BOX_CLASSES]}"
            )
        self._ids = np.array([BOX_CLASSES.index(name) for name in box_classes], np.int64)
        self._frames = 0
        self._truth: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def add(self, labels: LabelledBoxes, detections: Detections) -> None:
        """Take in one frame; the detections unthresholded. Those of score 0 are the graph's spare rows, not boxes."""
        self._frames += 1
        asked = [i for i in labels.boxed_classes if i in self._ids]
        truth = np.isin(labels.class_ids, asked)
        boxes, class_ids = labels.boxes_xyxy[truth], labels.class_ids[truth]
        for box, class_id in zip(boxes, class_ids, strict=True):
            number = len(self._truth) + 1  # COCO's matcher takes 0 for "none"
            width, height = (box[2:] - box[:2]).tolist()
            self._truth.append(
                {**self._entry(box, class_id), "id": number, "area": width * height, "iscrowd": 0}
            )
        found_ids = self._ids[detections.class_ids]
        keep = np.isin(found_ids, asked) & (detections.scores > 0)
        keep &= judged_boxes(
            detections.boxes_xyxy, found_ids, (boxes, class_ids), unjudged=labels.unjudged
        )
        for box, class_id, score in zip(
            detections.boxes_xyxy[keep], found_ids[keep], detections.scores[keep], strict=True
        ):
            self._found.append({**self._entry(box, class_id), "score": float(score)})

    def _entry(self, box: Float32, class_id: np.int64) -> dict[str, Any]:
        x1, y1, x2, y2 = box.tolist()
        return {
            "image_id": self._frames,
            "category_id": int(class_id),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
        }

    def figures(self) -> dict[str, float]:
        """``ap50`` and ``ap50_95``, each also as ``ap50/CLASS`` for every class with labelled boxes; all in [0, 1].

        Empty where nothing was labelled.
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
        return figures

    def _seen_classes(self) -> list[int]:
        return sorted({entry["category_id"] for entry in self._truth})

    def _precision(self) -> Float64:
        """``float64[10 IoUs, 101 recalls, classes]``; -1 for a class without labels."""
        with redirect_stdout(io.StringIO()):  # the evaluator prints its progress
            truth = COCO()
            truth.dataset = {
                "images": [{"id": i + 1} for i in range(self._frames)],
                "categories": [{"id": i, "name": name} for i, name in enumerate(BOX_CLASSES)],
                "annotations": self._truth,
            }
            truth.createIndex()
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": self._annotations()}
            found.createIndex()
            run = COCOeval(truth, found, iouType="bbox")
            run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
            run.params.maxDets = [max(1, *map(len, found.imgToAnns.values()), 0)]
            run.evaluate()
            run.accumulate()
        return np.asarray(run.eval["precision"][..., 0, -1], np.float64)

    def _annotations(self) -> list[dict[str, Any]]:
        return [
            {**entry, "id": i + 1, "area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0}
            for i, entry in enumerate(self._found)
        ]


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
