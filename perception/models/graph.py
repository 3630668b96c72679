"""What is exported: uint8 frame in; boxes, scores, class ids and a class map out, with everything between in the graph.

Doubles are suppressed by Fast NMS: one IoU matrix, no loop, plain tensor arithmetic. The ONNX operator NonMaxSuppression parses in
TensorRT but does not build there without a plugin, and its output has no fixed shape. Source: Bolya et al., YOLACT, 2019, arXiv
1904.02689, section 3.3: a box is dropped if any better one of its class overlaps too much, even one that is itself dropped.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.core.labels import ROAD
from perception.models.config import GraphConfig
from perception.models.heads.detection import decode_cells
from perception.models.heads.segmentation import UPSAMPLING, upsample_logits
from perception.models.mask import above_foot, box_foot
from perception.models.multitask import MultiTaskModel
from perception.models.neck import Pyramid


class Boxes(NamedTuple):
    """K boxes of each frame, best first.

    Attributes:
        boxes_xyxy: ``float32[N, K, 4]``, px of the frame.
        scores: ``float32[N, K]`` in [0, 1].
        class_ids: ``int32[N, K]``.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor


class InferenceGraph(nn.Module):
    """The network with decoding, suppression of doubles, mask and arg-max.

    Args:
        model: the trained network.
        config: thresholds.
        extras: further outputs, of `perception.core.manifest.EVALUATION_OUTPUTS`.
    """

    def __init__(
        self, model: MultiTaskModel, config: GraphConfig, extras: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.extras = tuple(extras)

    def forward(self, frame: Tensor) -> dict[str, Tensor]:
        """Run on ``uint8[N, H, W, 3]``; H and W are multiples of 32.

        Returns:
            The tensors of the engine contract by name. A network without a head lacks that head's tensors.
        """
        _, height, width, _ = frame.shape
        out = self.model(frame)
        result: dict[str, Tensor] = {}
        blocked = None
        if out.detection is not None:
            boxes = self.find_boxes(out.detection.predictions, (width, height))
            result |= boxes._asdict()
            if self.config.mask == "hard":
                tau = self.config.mask_threshold
                foot = box_foot(boxes.boxes_xyxy, boxes.scores, width, tau)
                blocked = above_foot(foot, height)
        if out.class_logits is not None:
            cell_logits = out.class_logits.float()
            logits = upsample_logits(cell_logits)
            result["class_map"] = classify_pixels(cell_logits, logits, blocked)
            result |= self._extras(cell_logits, logits, blocked)
        return result

    def _extras(
        self, cell_logits: Tensor, logits: Tensor, blocked: Tensor | None
    ) -> dict[str, Tensor]:
        nowhere = torch.zeros_like(logits[:, 0], dtype=torch.bool)
        ways = {
            "road_score": lambda: road_score(logits),
            "class_map_unmasked": lambda: classify_pixels(cell_logits, logits, None),
            "box_mask": lambda: (~(nowhere if blocked is None else blocked)).to(torch.uint8),
        }
        return {name: ways[name]() for name in self.extras}

    def find_boxes(self, predictions: Pyramid, size_wh: tuple[int, int]) -> Boxes:
        """Decode the best cells and suppress doubles."""
        config = self.config
        cells = decode_cells(predictions)
        best_class, class_ids = cells.class_logits.softmax(dim=2).max(dim=2)
        scores = cells.objectness.sigmoid() * best_class
        # so that a small frame too has that many cells: the spare ones are empty boxes of score 0
        spare = scores.new_zeros(scores.shape[0], config.candidates)
        scores, index = torch.cat((scores, spare), dim=1).topk(config.candidates)
        boxes = torch.cat((cells.boxes_xyxy, spare.unsqueeze(2).expand(-1, -1, 4)), dim=1)
        boxes = boxes.gather(1, index.unsqueeze(2).expand(-1, -1, 4))
        class_ids = torch.cat((class_ids, spare.to(class_ids.dtype)), dim=1).gather(1, index)
        limit = torch.tensor((*size_wh, *size_wh), dtype=boxes.dtype, device=boxes.device)
        boxes = boxes.clamp(min=0).minimum(limit)
        scores = scores * fast_nms(boxes, class_ids, config.nms_iou)
        scores, order = scores.topk(config.max_detections)
        boxes = boxes.gather(1, order.unsqueeze(2).expand(-1, -1, 4))
        return Boxes(boxes, scores, class_ids.gather(1, order).to(torch.int32))


def fast_nms(boxes_xyxy: Tensor, class_ids: Tensor, iou: float) -> Tensor:
    """Which boxes stay.

    Args:
        boxes_xyxy: ``float32[N, K, 4]``, best first.
        class_ids: ``int[N, K]``.
        iou: highest overlap with a better box of the same class.

    Returns:
        ``float32[N, K]``, 1 for boxes that stay, else 0.
    """
    x1, y1, x2, y2 = boxes_xyxy.unbind(dim=2)

    def shared(low: Tensor, high: Tensor) -> Tensor:
        """Length that two boxes have in common along one axis, ``[N, K, K]``; axis by axis is half the time of both at once."""
        first = torch.maximum(low[:, :, None], low[:, None, :])
        last = torch.minimum(high[:, :, None], high[:, None, :])
        return (last - first).clamp(min=0)

    overlap = shared(x1, x2) * shared(y1, y2)
    area = (x2 - x1) * (y2 - y1)
    union = area[:, :, None] + area[:, None, :] - overlap
    same = class_ids[:, :, None] == class_ids[:, None, :]
    rank = torch.arange(boxes_xyxy.shape[1], device=boxes_xyxy.device)
    better = rank[:, None] < rank[None, :]  # row is better than column
    double = (overlap > iou * union) & same & better
    return 1.0 - double.to(boxes_xyxy.dtype).amax(dim=1)


def classify_pixels(cell_logits: Tensor, logits: Tensor, blocked: Tensor | None) -> Tensor:
    """The class of each pixel; where the mask blocks it road cannot win and the next best class does.

    The next best class is that of the pixel's cell, not interpolated: it is asked for only where road won and a box forbids it, and a
    second arg-max over all planes at frame size would cost more than 1 % of the whole forward pass on a CPU.

    Args:
        cell_logits: ``float[N, C, H/8, W/8]``.
        logits: ``float[N, C, H, W]``, the same upsampled.
        blocked: ``bool[N, H, W]``, where the mask is 0; ``None`` for no mask.

    Returns:
        ``uint8[N, H, W]``.
    """
    best = logits.argmax(dim=1)
    if blocked is None:
        return best.to(torch.uint8)
    never = [-1e4 if k == ROAD else 0.0 for k in range(cell_logits.shape[1])]
    others = cell_logits + cell_logits.new_tensor(never)[:, None, None]
    step = (others.argmax(dim=1, keepdim=True) - ROAD).to(cell_logits.dtype)
    best = best.to(cell_logits.dtype)
    forbidden = ((best == ROAD) & blocked).to(cell_logits.dtype)
    # From road to the next best as a sum: a select at frame size takes a CPU longer. The step is enlarged along rows only; the rows of
    # a cell share it.
    n, height, width = forbidden.shape
    step = F.interpolate(step, scale_factor=(1.0, float(UPSAMPLING)), mode="nearest")
    step = step.reshape(n, height // UPSAMPLING, 1, width)
    rows = forbidden.reshape(n, height // UPSAMPLING, UPSAMPLING, width)
    return (best + (rows * step).reshape(n, height, width)).to(torch.uint8)


def road_score(logits: Tensor) -> Tensor:
    """``uint8[N, H, W]``: 255 x the probability of road, from ``float[N, C, H, W]`` logits."""
    return (logits.softmax(dim=1)[:, ROAD] * 255.0).round().to(torch.uint8)
