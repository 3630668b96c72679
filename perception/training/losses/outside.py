"""What boxes tell of a map that nobody labelled: outside of them there is none of what they are drawn around."""

import torch
from torch import Tensor

from perception.core.labels import BOX_CLASSES, IGNORE, MAP_CLASSES
from perception.training.losses.base import Batch

TERM = "outside"  # name of its term, for ``loss.weights``
MARGIN_PX = 2.0  # by which boxes are enlarged: their edges are drawn by hand


def outside_boxes(logits: Tensor, batch: Batch) -> Tensor:
    """Minus the log of the probability that a cell holds no boxed class, in frames without a map, at the middle of each cell outside all boxes.

    A set that boxes vehicles shows where trees and walls are not vehicles, which sets with road and "not road" alone never tell.

    Source: own work; it is the marginal cross entropy of `perception.training.losses.cross_entropy`, the group being what is not boxed.

    Args:
        logits: ``float[N, C, H/s, W/s]``.
        batch: its boxes, what of each frame is not judged, and which classes the frame's set boxes.

    Returns:
        The mean over the cells; 0 where there are none.
    """
    stride = batch.class_map.shape[1] // logits.shape[2]
    middle = slice(stride // 2, None, stride)
    unlabelled = (batch.class_map == IGNORE).flatten(1).all(dim=1) & batch.boxed.any(dim=1)
    outside = ~batch.unjudged[:, middle, middle] & unlabelled[:, None, None]
    x = torch.arange(outside.shape[2], device=logits.device) * stride + stride // 2 + 0.5
    y = torch.arange(outside.shape[1], device=logits.device) * stride + stride // 2 + 0.5
    for frame, boxes in enumerate(batch.boxes_xyxy):
        left, top, right, bottom = boxes.T[:, :, None]
        in_columns = (x > left - MARGIN_PX) & (x < right + MARGIN_PX)
        in_rows = (y > top - MARGIN_PX) & (y < bottom + MARGIN_PX)
        outside[frame] &= ~(in_rows[:, :, None] & in_columns[:, None, :]).any(dim=0)
    log_p = logits.float().log_softmax(dim=1)
    ids = [MAP_CLASSES.index(name) for name in BOX_CLASSES]
    boxed = torch.zeros(log_p.shape[:2], dtype=torch.bool, device=logits.device)
    boxed[:, ids] = batch.boxed
    other = log_p.masked_fill(boxed[:, :, None, None], -torch.inf).logsumexp(dim=1)
    return -other[outside].sum() / outside.sum().clamp(min=1)
