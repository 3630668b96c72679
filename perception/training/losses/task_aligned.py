"""A modern detection loss beside the baseline: several cells an object, chosen by how well they do, and an IoU loss."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou, complete_box_iou_loss

from perception.models.heads.detection import Cells, decode_cells
from perception.models.neck import Pyramid
from perception.training.losses.base import Batch, Terms
from perception.training.losses.detection import class_term, judged_cells


class Assigned(NamedTuple):
    """The P cells of one frame that hold an object.

    Attributes:
        cell: ``int64[P]``.
        object: ``int64[P]``, which of the frame's boxes.
        quality: ``float[P]`` in [0, 1], the objectness each is trained to.
    """

    cell: Tensor
    object: Tensor
    quality: Tensor


class TaskAlignedLoss(nn.Module):
    """Objectness that tells the quality of the box, complete-IoU loss, cross entropy of the class.

    Source:
        Feng et al., TOOD, 2021, arXiv 2108.07755, section 3.2 (alignment metric ``s^alpha u^beta``, top cells of each object,
        targets normalised to the best IoU); Zheng et al., Distance-IoU loss, arXiv 1911.08287, section 3.3. Differs from them: the
        class stands beside an objectness of its own; candidates lie within `radius` cells of the middle of the box.

    Args:
        top: cells of each object.
        alpha, beta: weights of score and IoU in the metric.
        radius: cells, how far from the middle of the box a candidate may lie.
        box_weight: of the IoU term.
    """

    def __init__(
        self,
        top: int = 10,
        alpha: float = 0.5,
        beta: float = 4.0,
        radius: float = 2.5,
        box_weight: float = 2.0,
    ) -> None:
        super().__init__()
        self.top, self.alpha, self.beta = top, alpha, beta
        self.radius, self.box_weight = radius, box_weight

    def forward(self, predictions: Pyramid, batch: Batch) -> Terms:
        """Compare the maps of a `DetectionHead` with the boxes.

        Returns:
            Terms ``box``, ``objectness``, ``class``.
        """
        cells = decode_cells(predictions)
        quality = torch.zeros_like(cells.objectness)
        box_loss = class_loss = cells.boxes_xyxy.sum() * 0.0
        for i, (boxes, class_ids) in enumerate(zip(batch.boxes_xyxy, batch.class_ids, strict=True)):
            if not len(boxes):
                continue
            found = self._assign(cells, i, boxes, class_ids)
            quality[i, found.cell] = found.quality
            near = cells.boxes_xyxy[i, found.cell]
            iou_loss = complete_box_iou_loss(near, boxes[found.object], reduction="none")
            logits = cells.class_logits[i, found.cell]
            by_class = class_term(logits, class_ids[found.object], batch.boxed[i].expand_as(logits))
            box_loss = box_loss + (iou_loss * found.quality).sum()
            class_loss = class_loss + (by_class * found.quality).sum()
        counted = judged_cells(cells, batch) | (quality > 0)
        objectness = F.binary_cross_entropy_with_logits(cells.objectness, quality, reduction="none")
        # the focal factor of Quality Focal Loss (arXiv 2006.04388, equation 5, its beta = 2)
        focus = (cells.objectness.sigmoid() - quality).detach().abs().square()
        count = quality.sum().clamp(min=1.0)
        return {
            "box": self.box_weight * box_loss / count,
            "objectness": (objectness * focus * counted).sum() / count,
            "class": class_loss / count,
        }

    @torch.no_grad()
    def _assign(self, cells: Cells, frame: int, boxes: Tensor, class_ids: Tensor) -> Assigned:
        iou = box_iou(boxes, cells.boxes_xyxy[frame])  # [K, A]
        score = (
            cells.objectness[frame].sigmoid() * cells.class_logits[frame].softmax(1).T[class_ids]
        )
        x, y = cells.centres_xy.T
        inside = (x > boxes[:, :1]) & (x < boxes[:, 2:3]) & (y > boxes[:, 1:2]) & (y < boxes[:, 3:])
        middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        far = ((cells.centres_xy - middle).abs() / cells.strides[:, None]).amax(dim=2)  # [K, A]
        candidate = (inside & (far < self.radius)) | _nearest(far)
        metric = (score.pow(self.alpha) * iou.pow(self.beta) + 1e-9) * candidate
        best = metric.topk(min(self.top, metric.shape[1]), dim=1)
        chosen = torch.zeros_like(metric).scatter(1, best.indices, best.values)
        chosen = chosen * (
            iou == (iou * (chosen > 0)).amax(dim=0)
        )  # a cell serves the box it fits best
        owner_metric, owner = chosen.max(dim=0)
        cell = (owner_metric > 0).nonzero().squeeze(1)
        taken = owner[cell]
        top_metric, top_iou = chosen.amax(dim=1), (iou * (chosen > 0)).amax(dim=1)
        quality = owner_metric[cell] / top_metric[taken].clamp(min=1e-9) * top_iou[taken]
        return Assigned(cell, taken, quality.clamp(min=1e-3))


def _nearest(far: Tensor) -> Tensor:
    """For each box the cell whose middle is nearest: so no box, however small, stays without a candidate."""
    return torch.zeros_like(far, dtype=torch.bool).scatter(1, far.argmin(dim=1, keepdim=True), True)
