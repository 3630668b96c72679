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
        return best_class(upsample_logits(weighed, self.stride)).to(torch.uint8)

    def road_score(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """``float[N, C, H/s, W/s]`` logits -> ``uint8[N, H, W]``, 255 x the probability of road."""
        p = upsample_logits(self.weigh(cells, boxes), self.stride).softmax(dim=1)
        return (p[:, ROAD] * 255.0).round().to(torch.uint8)
