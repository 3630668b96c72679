"""The baseline detection loss: centre and size by squared error, objectness and class by cross entropy."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.heads.detection import BOX_CHANNELS, STRIDES, Cells, decode_cells
from perception.models.neck import Pyramid
from perception.training.losses.base import Batch, Terms
from perception.training.losses.detection import class_term, judged_cells

# the longer side of a box, px, up to which a map is responsible for it; the last takes the rest
LEVEL_LIMITS = (64.0, 160.0)


class Assignment(NamedTuple):
    """One responsible cell for each of P objects: frame, cell, and the object's own index in the frame."""

    frame: Tensor
    cell: Tensor
    object: Tensor


class FourTermLoss(nn.Module):
    """Sum of four terms of equal weight, each averaged over the objects of the batch.

    The cell that holds the centre of a box, on the map for its size, is responsible for it. Where two boxes fall into one cell,
    the smaller is taken. All other judged cells are trained to be empty.

    Source:
        Redmon et al., You Only Look Once, 2016, arXiv 1506.02640, section 2.2, equation 3. Differs from it: no anchors or second box a
        cell, sizes compare as logarithms instead of square roots, cross entropy for objectness and class, three maps, no weights.
    """

    def forward(self, predictions: Pyramid, batch: Batch) -> Terms:
        """Compare the maps of a `DetectionHead` with the boxes.

        Returns:
            Terms ``centre``, ``size``, ``objectness``, ``class``.
        """
        cells = decode_cells(predictions)
        found = _assign(cells, predictions, batch)
        positive = torch.zeros_like(cells.objectness)
        positive[found.frame, found.cell] = 1.0
        counted = judged_cells(cells, batch) | positive.bool()
        objectness = F.binary_cross_entropy_with_logits(
            cells.objectness, positive, reduction="none"
        )
        count = max(len(found.cell), 1)

        raw = torch.cat([p.float().flatten(2).transpose(1, 2) for p in predictions], dim=1)
        chosen = raw[found.frame, found.cell]  # [P, 5 + C]
        boxes = _gather(batch.boxes_xyxy, found)
        stride = cells.strides[found.cell, None]
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        offset = (middle - cells.centres_xy[found.cell]) / stride
        log_size = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0) / stride).log()
        class_ids = _gather(batch.class_ids, found)
        by_class = class_term(chosen[:, BOX_CHANNELS + 1 :], class_ids, batch.boxed[found.frame])
        return {
            "centre": F.mse_loss(chosen[:, :2], offset, reduction="sum") / count,
            "size": F.mse_loss(chosen[:, 2:BOX_CHANNELS], log_size, reduction="sum") / count,
            "objectness": (objectness * counted).sum() / count,
            "class": by_class.sum() / count,
        }


def _gather(per_frame: tuple[Tensor, ...], found: Assignment) -> Tensor:
    starts = torch.tensor([0, *(len(t) for t in per_frame)]).cumsum(0)
    return torch.cat(per_frame)[starts[found.frame.cpu()].to(found.object.device) + found.object]


def _assign(cells: Cells, predictions: Pyramid, batch: Batch) -> Assignment:
    """Find the responsible cell of each box."""
    device = cells.objectness.device
    widths = torch.tensor([p.shape[3] for p in predictions], device=device)
    heights = torch.tensor([p.shape[2] for p in predictions], device=device)
    starts = torch.cat((widths.new_zeros(1), (widths * heights).cumsum(0)))
    strides = torch.tensor(STRIDES, device=device)
    limits = torch.tensor(LEVEL_LIMITS, device=device)
    frames, chosen, objects = [], [], []
    for i, boxes in enumerate(batch.boxes_xyxy):
        size = boxes[:, 2:] - boxes[:, :2]
        level = torch.bucketize(size.amax(dim=1), limits)
        column, row = ((boxes[:, :2] + boxes[:, 2:]) / 2 / strides[level, None]).long().unbind(1)
        column = column.clamp(min=0).minimum(widths[level] - 1)
        row = row.clamp(min=0).minimum(heights[level] - 1)
        cell = starts[level] + row * widths[level] + column
        # the largest first, so that the smallest is the last to claim a cell
        order = size.prod(dim=1).argsort(descending=True)
        owner = torch.full((cells.objectness.shape[1],), -1, device=device)
        for k in order.tolist():
            owner[cell[k]] = k
        taken = (owner >= 0).nonzero().squeeze(1)
        frames.append(torch.full_like(taken, i))
        chosen.append(taken)
        objects.append(owner[taken])
    return Assignment(torch.cat(frames), torch.cat(chosen), torch.cat(objects))
