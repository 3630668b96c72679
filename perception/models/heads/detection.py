"""The detection head and how its cells become boxes.

Each cell of each map predicts one object: centre, width and height, objectness, class. No anchors.
"""

from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.neck import Pyramid

STRIDES = (8, 16, 32)
TOWER_DEPTH = 2  # shared convolutions
BOX_CHANNELS = 4  # centre x, y; width, height
MAX_LOG_SIZE = (
    6.0  # widths and heights stay under e^6 = 403 cells, so exp cannot overflow in float16
)
PRIOR = 0.01  # objectness at the start of training: nearly all cells are empty (RetinaNet, arXiv 1708.02002, 4.1)


class DetectionMaps(NamedTuple):
    """What the head gives for each stride.

    Attributes:
        predictions: three maps ``float[N, 5 + C, H/s, W/s]``: centre offset xy (cells, from the cell's middle), log of width and
            height (cells), objectness logit, class logits.
        features: three maps ``float[N, channels, H/s, W/s]``, the last hidden ones.
    """

    predictions: Pyramid
    features: Pyramid


class Cells(NamedTuple):
    """All cells of all maps in one row, decoded.

    Attributes:
        boxes_xyxy: ``float[N, A, 4]``, px of the model input.
        objectness: ``float[N, A]`` logits.
        class_logits: ``float[N, A, C]``.
        centres_xy: ``float[A, 2]``, px, middle of each cell.
        strides: ``float[A]``, px.
    """

    boxes_xyxy: Tensor
    objectness: Tensor
    class_logits: Tensor
    centres_xy: Tensor
    strides: Tensor


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


class DetectionHead(nn.Module):
    """Two convolution blocks whose weights all strides share, then one 1x1 convolution a stride.

    Each stride has batch norms of its own. Shared ones would keep, for inference, a blend of the strides' statistics that is right for
    none, while training normalises each stride by itself: boxes then come out biased. Norms are folded into convolutions, so they
    cost nothing. Source: Wu, Johnson, "Rethinking Batch in BatchNorm", 2021, arXiv 2105.07576, table 5.

    Args:
        channels: of the pyramid's maps.
        num_classes: C.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(TOWER_DEPTH)
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(TOWER_DEPTH)) for _ in STRIDES
        )
        outputs = BOX_CHANNELS + 1 + num_classes
        self.predict = nn.ModuleList(_prediction(channels, outputs) for _ in STRIDES)

    def forward(self, pyramid: Pyramid) -> DetectionMaps:
        """Predict from maps ``float[N, channels, H/s, W/s]``, s = 8, 16, 32."""
        shallow, middle, deep = (self._tower(x, i) for i, x in enumerate(pyramid))
        predictions = (self.predict[0](shallow), self.predict[1](middle), self.predict[2](deep))
        return DetectionMaps(predictions, (shallow, middle, deep))

    def _tower(self, x: Tensor, level: int) -> Tensor:
        for convolve, norm in zip(self.convolutions, self.norms[level].children(), strict=True):
            x = F.relu(norm(convolve(x)))
        return x


def _prediction(channels: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, outputs, 1)
    bias = torch.zeros(outputs)
    bias[2:BOX_CHANNELS] = log(4.0)  # objects of four cells
    bias[BOX_CHANNELS] = -log((1 - PRIOR) / PRIOR)
    nn.init.normal_(conv.weight, std=0.01)
    conv.bias = nn.Parameter(bias)
    return conv


def decode_cells(predictions: Pyramid) -> Cells:
    """Turn the maps of a `DetectionHead` into one row of cells, in float32."""
    boxes, objectness, class_logits, centres, strides = [], [], [], [], []
    for stride, raw in zip(STRIDES, predictions, strict=True):
        x = raw.float().flatten(2).transpose(1, 2)  # [N, A_s, 5 + C]
        rows = torch.arange(raw.shape[2], device=raw.device, dtype=torch.float32)
        columns = torch.arange(raw.shape[3], device=raw.device, dtype=torch.float32)
        grid_y, grid_x = torch.meshgrid(rows, columns, indexing="ij")
        centre = (torch.stack((grid_x, grid_y), dim=2).flatten(0, 1) + 0.5) * stride  # [A_s, 2]
        middle = centre + x[..., :2] * stride
        half = x[..., 2:BOX_CHANNELS].clamp(max=MAX_LOG_SIZE).exp() * (0.5 * stride)
        boxes.append(torch.cat((middle - half, middle + half), dim=2))
        objectness.append(x[..., BOX_CHANNELS])
        class_logits.append(x[..., BOX_CHANNELS + 1 :])
        centres.append(centre)
        strides.append(torch.ones_like(centre[:, 0]) * stride)
    return Cells(
        torch.cat(boxes, dim=1),
        torch.cat(objectness, dim=1),
        torch.cat(class_logits, dim=1),
        torch.cat(centres),
        torch.cat(strides),
    )
