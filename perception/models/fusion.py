"""A second input: what a laser scanner measured, as the camera sees it. It comes in as px a metre, so that scaled frames need no other network.

Without a scanner all of it is 0, which the network knows from training (`data.lidar_dropout`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.core.registry import Registry
from perception.models.layers import conv_block

FUSIONS = Registry(
    "fusion",
    {
        "early": "perception.models.fusion:EarlyFusion",
        "mid": "perception.models.fusion:MidFusion",
    },
)
LABEL = "lidar_m"  # in `perception.core.labels.FURTHER_LABELS`
USUAL = 3.0  # logarithm of 20 px a metre: brings values near 1
PLANES = 2  # how many px a metre, and whether anything was measured
STRIDES = (4, 8, 16, 32)  # of the backbone's maps
EARLY_CHANNELS = 16
MID_CHANNELS = (32, 48, 64, 64)  # at `STRIDES`


class Fusion(nn.Module, ABC):
    """Takes the second input into the network, before the backbone or behind it.

    Args:
        out_channels: of the backbone's four maps.
    """

    @abstractmethod
    def __init__(self, out_channels: Sequence[int]) -> None:
        super().__init__()

    def image(self, planes: Tensor) -> Tensor | None:
        """``float[N, 2, H, W]`` -> what is added to the normalised image, ``float[N, 3, H, W]``; ``None`` for nothing."""
        del planes
        return None

    def maps(self, planes: Tensor, seen: Sequence[Tensor]) -> Sequence[Tensor]:
        """The backbone's maps with what the second input adds to them."""
        del planes
        return seen


class EarlyFusion(Fusion):
    """Two convolutions in cells of 4 px make three planes that are added to the image, so that every backbone takes them; they start at zero."""

    def __init__(self, out_channels: Sequence[int]) -> None:
        super().__init__(out_channels)
        self.see = conv_block(PLANES, EARLY_CHANNELS)
        self.give = nn.Conv2d(EARLY_CHANNELS, 3, 3, padding=1)
        nn.init.zeros_(self.give.weight)
        nn.init.zeros_(self.give.bias)  # type: ignore[arg-type]  # it has one

    def image(self, planes: Tensor) -> Tensor:
        """Added to the image."""
        added = self.give(self.see(mean_measured(planes, STRIDES[0])))
        return F.interpolate(added, scale_factor=float(STRIDES[0]), mode="nearest")


class MidFusion(Fusion):
    """Two convolutions at each stride, whose maps are added to the backbone's through 1x1 convolutions that start at zero."""

    def __init__(self, out_channels: Sequence[int]) -> None:
        super().__init__(out_channels)
        self.see = nn.ModuleList(
            nn.Sequential(conv_block(PLANES, mine), conv_block(mine, mine)) for mine in MID_CHANNELS
        )
        self.give = nn.ModuleList(
            nn.Conv2d(mine, theirs, 1)
            for mine, theirs in zip(MID_CHANNELS, out_channels, strict=True)
        )
        for conv in self.give.children():
            nn.init.zeros_(conv.weight)  # type: ignore[arg-type]  # a convolution
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def maps(self, planes: Tensor, seen: Sequence[Tensor]) -> Sequence[Tensor]:
        """Map plus map."""
        parts = zip(STRIDES, seen, self.see, self.give, strict=True)
        return [known + give(see(mean_measured(planes, s))) for s, known, see, give in parts]


def density(lidar_m: Tensor, focal_px: Tensor) -> Tensor:
    """Px a metre where something was measured, else 0.

    Args:
        lidar_m: ``float32[N, H, W]``, depth along the optical axis, NaN where nothing was measured.
        focal_px: ``float32[N]`` of the frames as they are; NaN gives 0 everywhere.
    """
    return torch.nan_to_num(focal_px[:, None, None] / lidar_m, nan=0.0, posinf=0.0, neginf=0.0)


def as_planes(density_map: Tensor) -> Tensor:
    """``float32[N, H, W]``, px a metre -> ``float[N, 2, H, W]``."""
    measured = (density_map > 0).to(density_map.dtype)
    return torch.stack((torch.log1p(density_map) / USUAL, measured), dim=1)


def mean_measured(planes: Tensor, stride: int) -> Tensor:
    """The planes of `as_planes` in cells of `stride` px: the mean of what was measured in a cell, not of its empty pixels, and whether anything was.

    A convolution over single points among zeros would have to learn to divide by how many there are (Uhrig et al., "Sparsity invariant
    CNNs", 2017, arXiv 1708.06500, section 3, whose first layer this is, without weights).
    """
    pooled = F.avg_pool2d(planes, stride)
    value, share = pooled[:, :1], pooled[:, 1:]
    return torch.cat((value / share.clamp(min=1e-6), (share > 0).to(value.dtype)), dim=1)
