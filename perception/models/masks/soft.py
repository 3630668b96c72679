"""A mask that weighs: the surer a box, the more road has to be surer of itself inside it."""

import torch
from torch import Tensor

from perception.core.labels import ROAD
from perception.models.heads.detection import Boxes
from perception.models.masks.base import NoMask


class SoftMask(NoMask):
    """Takes from the logit of road, in each cell, the strength of the boxes' class times the evidence of the boxes there.

    The hard mask takes everything inside a box and above it: road beside a wheel, between the legs of a person and behind a car too. Here a pixel of which
    the segmentation is sure stays road. It works on cells before upsampling, a sixteenth of the pixels or fewer, and leaves alone what is
    above a box: on validation frames it made no difference.
    """

    def weigh(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """See `NoMask.weigh`."""
        if boxes is None:
            raise ValueError("a mask needs boxes")
        config = self.config
        strength = cells.new_tensor(config.mask_strength)[boxes.class_ids.long()]
        sure = torch.where(boxes.scores >= config.mask_threshold, boxes.scores, 0.0)
        taken = box_evidence(
            boxes.boxes_xyxy, sure * strength, (cells.shape[2], cells.shape[3]), self.stride
        )
        taken = taken.clamp(max=max(config.mask_strength))
        road = cells.new_tensor([float(k == ROAD) for k in range(cells.shape[1])])
        return cells - taken.unsqueeze(1) * road[:, None, None]


def box_evidence(
    boxes_xyxy: Tensor, weights: Tensor, size_hw: tuple[int, int], cell: int
) -> Tensor:
    """The sum over boxes of weight times the share of a cell that the box covers.

    That share is the product of the shares of its row and of its column, so the sum over K boxes is one product of matrices,
    ``[H, K] x [K, W]``.

    Args:
        boxes_xyxy: ``float32[N, K, 4]``, px.
        weights: ``float32[N, K]``.
        size_hw: cells.
        cell: px of a cell.

    Returns:
        ``float32[N, H, W]``.
    """
    x1, y1, x2, y2 = boxes_xyxy.unbind(dim=2)
    rows = _covered(y1, y2, size_hw[0], cell) * weights.unsqueeze(2)
    columns = _covered(x1, x2, size_hw[1], cell)
    return rows.transpose(1, 2) @ columns


def _covered(low: Tensor, high: Tensor, count: int, cell: int) -> Tensor:
    """The share of each of `count` cells that lies between two edges: ``[N, K]``, px -> ``[N, K, count]`` in [0, 1]."""
    start = torch.arange(count, device=low.device, dtype=low.dtype) * cell
    first = torch.maximum(low.unsqueeze(2), start)
    last = torch.minimum(high.unsqueeze(2), start + cell)
    return (last - first).clamp(min=0) / cell
