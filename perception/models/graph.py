"""What is exported: uint8 frame in; boxes, scores, class ids and a class map out, with everything between in the graph.

Doubles are suppressed by Fast NMS: one IoU matrix, no loop, plain tensor arithmetic. The ONNX operator NonMaxSuppression parses in
TensorRT but does not build there without a plugin, and its output has no fixed shape. Source: Bolya et al., YOLACT, 2019, arXiv
1904.02689, section 3.3: a box is dropped if any better one of its class overlaps too much, even one that is itself dropped.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.core.geometry import Letterbox
from perception.models.config import GraphConfig
from perception.models.heads.detection import Boxes, decode_cells
from perception.models.masks import MASKS
from perception.models.masks.base import NoMask
from perception.models.multitask import MultiTaskModel
from perception.models.neck import Pyramid
from perception.models.tasks.base import Arrays, Found, Task, as_task


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
        stride = model.config.map_stride
        self.mask, self.no_mask = MASKS[config.mask](config, stride), NoMask(config, stride)

    def forward(self, frame: Tensor, lidar: Tensor | None = None) -> dict[str, Tensor]:
        """Run the network and decode.

        Args:
            frame: ``uint8[N, H, W, 3]``; H and W are multiples of 32.
            lidar: as `MultiTaskModel.forward` has it.

        Returns:
            The tensors of the engine contract by name. A network without a head lacks that head's tensors. Further tasks add theirs.
        """
        _, height, width, _ = frame.shape
        out = self.model(frame, lidar if self.config.lidar else None)
        result: dict[str, Tensor] = {}
        boxes = None
        if out.detection is not None:
            boxes = self.find_boxes(out.detection.predictions, (width, height))
            result |= boxes._asdict()
        if out.class_logits is not None:
            cells = out.class_logits.float()
            # the mask in force; without boxes there is none
            mask = self.mask if boxes is not None else self.no_mask
            ways: dict[str, Callable[[], Tensor]] = {
                "class_map": lambda: mask.class_map(cells, boxes),
                "class_map_unmasked": lambda: self.no_mask.class_map(cells, None),
                "road_score": lambda: self.no_mask.road_score(cells, None),
                "road_score_masked": lambda: mask.road_score(cells, boxes),
            }
            result |= {name: ways[name]() for name in ("class_map", *self.extras)}
        found = Found(boxes, result.get("class_map"))
        for name, raw in out.further.items():
            result |= self.task(name).decode(raw, found)
        return result

    def task(self, name: str) -> Task:
        """One of the network's further tasks."""
        return as_task(self.model.tasks[name])

    def restore(self, outputs: Arrays, box: Letterbox) -> dict[str, NDArray[Any]]:
        """The outputs of the further tasks for one frame, in the pixels of that frame.

        Args:
            outputs: of the graph, for one frame.
            box: how the frame was fitted into the model input.
        """
        return {
            output: restore(outputs[output][0], box)
            for name in self.model.tasks
            for output, restore in self.task(name).outputs.items()
        }

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
