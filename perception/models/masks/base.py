"""The class map without a mask, and the contract of the masks beside it."""

import torch
from torch import Tensor

from perception.core.labels import ROAD
from perception.models.config import GraphConfig
from perception.models.heads.detection import Boxes
from perception.models.heads.segmentation import upsample_logits


def best_class(logits: Tensor) -> Tensor:
    """``float[N, C, H, W]`` -> ``int64[N, H, W]``.

    Over pixels in one row: OpenVINO takes a third of the time for it that it takes for pixels in rows and columns.
    """
    frames, _, height, width = logits.shape
    return logits.flatten(2).argmax(dim=1).reshape(frames, height, width)


def enlarge(cells: Tensor, stride: int) -> Tensor:
    """``float[N, C, H/s, W/s]`` -> ``float[N, C, H, W]``, bilinear, of all planes in one row.

    Without the reshape, ONNX Runtime keeps the blocks of 16 channels of the convolution before, enlarges five empty planes too and sorts all of them at
    frame size: which makes the graph 1.5 % slower: so a mask that works on cells used to be faster than none (`perception bench mask`).
    """
    frames, classes, height, width = cells.shape
    planes = upsample_logits(cells.reshape(1, frames * classes, height, width), stride)
    return planes.reshape(frames, classes, height * stride, width * stride)


class NoMask:
    """Every pixel takes the class of its highest score. The other forms start from this one.

    Args:
        config: thresholds.
        stride: px of a cell of the class scores.
    """

    def __init__(self, config: GraphConfig, stride: int) -> None:
        self.config = config
        self.stride = stride

    def weigh(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """``float[N, C, H/s, W/s]`` logits -> the same as the boxes leave them."""
        del boxes
        return cells

    def class_map(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """``float[N, C, H/s, W/s]`` logits -> ``uint8[N, H, W]`` classes."""
        weighed = self.weigh(cells, boxes)
        return best_class(enlarge(weighed, self.stride)).to(torch.uint8)

    def road_score(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """``float[N, C, H/s, W/s]`` logits -> ``uint8[N, H, W]``, 255 x the probability of road."""
        p = enlarge(self.weigh(cells, boxes), self.stride).softmax(dim=1)
        return (p[:, ROAD] * 255.0).round().to(torch.uint8)
