"""The neck: three backbone maps become three maps of equal channels that know of each other.

Source: Lin et al., Feature Pyramid Networks, 2016, arXiv 1612.03144, section 3. Differs from it: batch norm and ReLU after each
convolution, and upsampling by a fixed factor, which is right for sizes that are multiples of 32.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.layers import conv_block

Pyramid = tuple[Tensor, Tensor, Tensor]


class FeaturePyramid(nn.Module):
    """Top-down pathway over three maps.

    Args:
        in_channels: of the maps of stride 8, 16 and 32.
        channels: of each map that comes out.
        smooth_shallow: whether the largest map too passes a last 3x3 convolution; the heads begin with one of their own.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, *, smooth_shallow: bool = True
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(conv_block(n, channels, kernel=1) for n in in_channels)
        self.smooth = nn.ModuleList(conv_block(channels, channels) for _ in in_channels)
        if not smooth_shallow:
            self.smooth[0] = nn.Identity()

    def forward(self, features: Sequence[Tensor]) -> Pyramid:
        """Maps ``float[N, C_i, H/s, W/s]`` -> maps ``float[N, channels, H/s, W/s]``, s = 8, 16, 32."""
        shallow, middle, deep = (side(x) for side, x in zip(self.lateral, features, strict=True))
        middle = middle + F.interpolate(deep, scale_factor=2.0, mode="nearest")
        shallow = shallow + F.interpolate(middle, scale_factor=2.0, mode="nearest")
        return self.smooth[0](shallow), self.smooth[1](middle), self.smooth[2](deep)
