"""The segmentation decoder, with or without sight of the detections."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.layers import conv_block
from perception.models.neck import Pyramid

SHALLOW_STRIDE = 8  # px of a cell of the shallow map


class SegmentationHead(nn.Module):
    """Upsample deep to middle to shallow, fuse, look at the detections, look at fine detail, classify.

    Args:
        channels: of the pyramid's maps.
        num_classes: C.
        cascade_channels: channels of each of the three detection maps that are fused in; 0 for a head that sees none.
        stride: px of a cell of the result, 4 or 8.
        fine_channels: of the backbone's map of stride 4; 0 for a head that does not see it.
        detail_channels: to which that map is reduced.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        cascade_channels: int = 0,
        *,
        stride: int = SHALLOW_STRIDE,
        fine_channels: int = 0,
        detail_channels: int = 0,
    ) -> None:
        super().__init__()
        self.fuse_middle = conv_block(channels, channels)
        self.fuse_shallow = conv_block(channels, channels)
        # learns how detection and segmentation relate, and reduces the channels
        self.relate = conv_block(channels + 3 * cascade_channels, channels)
        self.detail: FineDetail | None = None
        if fine_channels:
            self.detail = FineDetail(channels, fine_channels, detail_channels)
            self.classify = SubPixelConv(detail_channels, num_classes, 1)
        else:
            self.classify = SubPixelConv(channels, num_classes, SHALLOW_STRIDE // stride)

    def forward(self, pyramid: Pyramid, detection: Pyramid | None, fine: Tensor) -> Tensor:
        """Classify each cell.

        Args:
            pyramid: maps ``float[N, channels, H/s, W/s]``, s = 8, 16, 32.
            detection: maps of the detection head at the same strides, or ``None`` in a head that sees none.
            fine: the backbone's map ``float[N, fine_channels, H/4, W/4]``.

        Returns:
            ``float[N, C, H/stride, W/stride]`` logits.
        """
        shallow, middle, deep = pyramid
        x = self.fuse_middle(_up(deep, 2) + middle)
        x = self.fuse_shallow(_up(x, 2) + shallow)
        if detection is not None:
            near, mid, far = detection
            x = torch.cat((x, near, _up(mid, 2), _up(far, 4)), dim=1)
        x = self.relate(x)
        if self.detail is not None:
            x = self.detail(x, fine)
        logits: Tensor = self.classify(x)
        return logits


class SubPixelConv(nn.Conv2d):
    """A 1x1 convolution that makes `split` x `split` cells out of each.

    Source: Shi et al., sub-pixel convolution, 2016, arXiv 1609.05158, section 2.2.
    """

    def __init__(self, in_channels: int, out_channels: int, split: int) -> None:
        super().__init__(in_channels, out_channels * split**2, 1)
        self.split = split

    def forward(self, x: Tensor) -> Tensor:
        """``float[N, C, H, W]`` -> ``float[N, D, split H, split W]``."""
        x = super().forward(x)
        return F.pixel_shuffle(x, self.split) if self.split > 1 else x


class FineDetail(nn.Module):
    """Brings what is known at stride 8 together with what is seen at stride 4: edges of thin things.

    Args:
        channels: of the map of stride 8.
        fine_channels: of the map of stride 4.
        out_channels: of the result.
    """

    def __init__(self, channels: int, fine_channels: int, out_channels: int) -> None:
        super().__init__()
        self.reduce_known = conv_block(channels, out_channels, kernel=1)
        self.reduce_fine = conv_block(fine_channels, out_channels, kernel=1)
        self.fuse = conv_block(2 * out_channels, out_channels)

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:
        """``float[N, channels, H/8, W/8]``, ``float[N, fine_channels, H/4, W/4]`` -> ``float[N, out_channels, H/4, W/4]``."""
        known = _up(self.reduce_known(x), 2)
        fused: Tensor = self.fuse(torch.cat((known, self.reduce_fine(fine)), dim=1))
        return fused


def _up(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="nearest")


def upsample_logits(logits: Tensor, factor: int) -> Tensor:
    """``float[N, C, H, W]`` -> ``float[N, C, factor H, factor W]``, bilinear."""
    return F.interpolate(logits, scale_factor=float(factor), mode="bilinear", align_corners=False)
