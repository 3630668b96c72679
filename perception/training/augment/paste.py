"""Copy and paste: objects of one frame stand in another frame of the same set."""

from collections.abc import Sequence

import numpy as np
import torch

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.types import Bool, Float32, Int64, UInt8
from perception.datasets import BoxLabels, Sample

SHARE = 0.5  # of the other frame's objects
LEAST_PX = 12  # pixels of an object that is hidden in part: with fewer it has no box any more


def paste_objects(sample: Sample, others: Sequence[Sample]) -> Sample:
    """The frame with objects of another before it: each boxed object at a chance of `SHARE`, cut out along the class map; mirrored, all or none.

    Boxes of what is hidden in part shrink to what is left to see; what is hidden has none.

    Source: Ghiasi et al., "Simple copy-paste is a strong data augmentation method for instance segmentation", CVPR 2021,
    arXiv 2012.07177. Theirs scale and shift objects freely; here they keep place and size, as a camera in a car sees them.

    Args:
        sample: the frame.
        others: frames of the same set, one of which is drawn.

    Returns:
        A new sample, without distances. The same one where a frame lacks class map or boxes, where their sizes differ, and where the
        frame has further labels, which are not pasted.
    """
    if sample.class_map is None or sample.boxes is None or sample.further:
        return sample
    other = others[int(torch.randint(len(others), (1,)))]
    if other.class_map is None or other.boxes is None or other.image.shape != sample.image.shape:
        return sample
    taken = torch.rand(len(other.boxes.boxes_xyxy)).numpy() < SHARE
    mirrored = bool(torch.rand(1) < 0.5)
    boxes, class_ids = other.boxes.boxes_xyxy[taken], other.boxes.class_ids[taken]
    image, class_map = other.image, other.class_map
    cut: Bool = np.zeros(class_map.shape, np.bool_)
    for box, class_id in zip(boxes, class_ids, strict=True):
        inside = _pixels(box)
        cut[inside] |= class_map[inside] == MAP_CLASSES.index(BOX_CLASSES[class_id])
    if mirrored:
        image, class_map, cut = image[:, ::-1], class_map[:, ::-1], cut[:, ::-1]
        boxes = boxes[:, [2, 1, 0, 3]]
        boxes[:, ::2] = cut.shape[1] - boxes[:, ::2]
    left, left_ids = _left_to_see(sample.boxes, sample.class_map, cut)
    return Sample(
        name=sample.name,
        image=np.where(cut[..., None], image, sample.image),
        class_map=np.where(cut, class_map, sample.class_map),
        boxes=BoxLabels(
            boxes_xyxy=np.concatenate([boxes, left]),
            class_ids=np.concatenate([class_ids, left_ids]),
            boxed_classes=sample.boxes.boxed_classes,
            unjudged=sample.boxes.unjudged & ~cut,
        ),
        camera=sample.camera,
    )


def _left_to_see(labels: BoxLabels, class_map: UInt8, cut: Bool) -> tuple[Float32, Int64]:
    """The boxes ``float32[K, 4]`` of what something stands before, and their class ids; boxes without a pixel of their class stay as they are."""
    boxes, kept = labels.boxes_xyxy.copy(), np.ones(len(labels.boxes_xyxy), np.bool_)
    for row, (box, class_id) in enumerate(zip(labels.boxes_xyxy, labels.class_ids, strict=True)):
        inside = _pixels(box)
        whole = class_map[inside] == MAP_CLASSES.index(BOX_CLASSES[class_id])
        if not (whole & cut[inside]).any():
            continue
        y, x = np.nonzero(whole & ~cut[inside])
        kept[row] = len(x) >= LEAST_PX
        if kept[row]:
            hull = (x.min(), y.min(), x.max() + 1, y.max() + 1)
            boxes[row] = np.add(hull, (inside[1].start, inside[0].start) * 2)
    return boxes[kept], labels.class_ids[kept]


def _pixels(box: Float32) -> tuple[slice, slice]:
    left, top, right, bottom = np.round(box).astype(int).clip(min=0).tolist()
    return slice(top, bottom), slice(left, right)
