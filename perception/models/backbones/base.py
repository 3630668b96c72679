"""The contract of a backbone: an image in, four maps of strides 4, 8, 16 and 32 out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # of RGB in [0, 255]
IMAGENET_STD = (58.395, 57.12, 57.375)


class Backbone(nn.Module):
    """Wraps a timm feature extractor and what it wants to be fed.

    Networks trained on RGB are turned to this software's channel order by turning the weights of their first convolution once,
    so that no image is ever turned.

    Args:
        features: module that returns the maps for ``float[N, 3, H, W]``.
        out_channels: channels of the maps of stride 4, 8, 16 and 32.
        stem: the first convolution of `features`; its weights are for RGB when this is called.
        mean_rgb, std_rgb: what `features` was trained with, of values in [0, 255].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        features: nn.Module,
        out_channels: Sequence[int],
        stem: nn.Conv2d,
        mean_rgb: Sequence[float] = IMAGENET_MEAN,
        std_rgb: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.features = features
        self.out_channels = tuple(out_channels)
        with torch.no_grad():
            stem.weight.copy_(stem.weight.flip(1))
        for name, rgb in (("mean", mean_rgb), ("std", std_rgb)):
            bgr = torch.tensor(tuple(rgb)[::-1]).reshape(1, 3, 1, 1)
            self.register_buffer(name, bgr, persistent=False)

    def forward(
        self, frame: Tensor, added: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Extract features.

        Args:
            frame: ``uint8[N, H, W, 3]``, channels in `perception.core.types.CHANNEL_ORDER`; H, W multiples of 32.
            added: ``float[N, 3, H, W]``, onto the normalised image (`perception.models.fusion`).

        Returns:
            Maps ``float[N, C_i, H/s, W/s]`` for s = 4, 8, 16, 32.
        """
        # numbers first, then axes: TensorRT moves no uint8
        image = frame.to(self.mean.dtype).permute(0, 3, 1, 2)
        image = (image - self.mean) / self.std
        fine, shallow, middle, deep = self.features(image if added is None else image + added)
        return fine, shallow, middle, deep
