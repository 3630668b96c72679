"""The segmentation decoder, with or without sight of the detections."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.layers import conv_block
from perception.models.neck import Pyramid

SHALLOW_STRIDE = 8  # px of a cell of the shallow map


class SegmentationHead(nn.Module):
    """Upsample deep to middle to shallow, fuse, look at the detections, classify.

    With cells of 4 px the classifier makes the scores of 2x2 cells out of each shallow one. Source: Shi et al., sub-pixel
    convolution, 2016, arXiv 1609.05158, section 2.2.

    Args:
        channels: of the pyramid's maps.
        num_classes: C.
        cascade_channels: channels of each of the three detection maps that are fused in; 0 for a head that sees none.
        stride: px of a cell of the result.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        cascade_channels: int = 0,
        stride: int = SHALLOW_STRIDE,
    ) -> None:
        super().__init__()
        self.split = SHALLOW_STRIDE // stride  # cells made of one, along each axis
        self.fuse_middle = conv_block(2 * channels, channels)
        self.fuse_shallow = conv_block(2 * channels, channels)
        # learns how detection and segmentation relate, and reduces the channels
        self.relate = conv_block(channels + 3 * cascade_channels, channels)
        self.classify = nn.Conv2d(channels, num_classes * self.split**2, 1)

    def forward(self, pyramid: Pyramid, detection: Pyramid | None) -> Tensor:
        """Classify each shallow cell.

        Args:
            pyramid: maps ``float[N, channels, H/s, W/s]``, s = 8, 16, 32.
            detection: maps of the detection head at the same strides, or ``None`` in a head that sees none.

        Returns:
            ``float[N, C, H/stride, W/stride]`` logits.
        """
        shallow, middle, deep = pyramid
        x = self.fuse_middle(torch.cat((_up(deep, 2), middle), dim=1))
        x = self.fuse_shallow(torch.cat((_up(x, 2), shallow), dim=1))
        if detection is not None:
            near, mid, far = detection
            x = torch.cat((x, near, _up(mid, 2), _up(far, 4)), dim=1)
        logits: Tensor = self.classify(self.relate(x))
        return F.pixel_shuffle(logits, self.split) if self.split > 1 else logits


def _up(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="nearest")


def upsample_logits(logits: Tensor, factor: int) -> Tensor:
    """``float[N, C, H, W]`` -> ``float[N, C, factor H, factor W]``, bilinear."""
    return F.interpolate(logits, scale_factor=float(factor), mode="bilinear", align_corners=False)
