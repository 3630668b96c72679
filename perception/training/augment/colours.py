"""How light and colour vary in training, by name. To add one: a function that gives transforms, and a line in the table."""

from math import log
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from perception.core.registry import Registry

# name -> callable() -> transforms of what `perception.training.augment.transforms.build_transforms` varies
COLOURS = Registry(
    "change of colour",
    {
        "jitter": "perception.training.augment.colours:jitter",
        "tone": "perception.training.augment.colours:tone",
    },
)


class RandomTone(v2.Transform):
    """Another camera in another light: brightness, contrast, gamma and a colour cast, drawn anew for each frame, in one table of 256 values a channel.

    Changes pictures alone. A table costs one look-up a pixel, where the steps one after the other cost seven passes.

    Args:
        gain: the largest factor of brightness, of one channel against the others its square root.
        gamma: the largest exponent; its inverse is the smallest.
        contrast: by how much the distance from mid grey may grow or shrink, as a share.
    """

    def __init__(self, gain: float = 1.6, gamma: float = 1.6, contrast: float = 0.5) -> None:
        super().__init__()
        self._log_gain, self._log_gamma, self._contrast = log(gain), log(gamma), contrast

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the table ``uint8[3, 256]``."""
        del flat_inputs
        bright, cast, bent, far = torch.rand(1), torch.rand(3, 1), torch.rand(1), torch.rand(1)
        factor = ((2 * bright - 1 + (2 * cast - 1) / 2) * self._log_gain).exp()
        levels = torch.linspace(0, 1, 256).pow(((2 * bent - 1) * self._log_gamma).exp())
        spread = (levels * factor - 0.5) * (1 + (2 * far - 1) * self._contrast) + 0.5
        return {"table": spread.mul(255).round().clamp(0, 255).to(torch.uint8)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401 (any tv_tensor)
        """Look the picture's values up; everything else stays as it is."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        table = params["table"].to(inpt.device)
        planes = [row[plane.int()] for row, plane in zip(table, inpt, strict=True)]
        return tv_tensors.wrap(torch.stack(planes), like=inpt)


def jitter() -> list[v2.Transform]:
    """Dusk and noon, dull and clear. Hue is left out, it takes five times as long as the rest."""
    return [v2.RandomApply([v2.ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5)], p=0.8)]


def tone() -> list[v2.Transform]:
    """Another camera too: its curve, its white, its sharpness."""
    blur = v2.GaussianBlur(kernel_size=5, sigma=(0.3, 1.5))
    return [
        v2.RandomApply([RandomTone()], p=0.8),
        v2.RandomApply([v2.ColorJitter(saturation=0.8)], p=0.5),
        v2.RandomGrayscale(p=0.05),
        v2.RandomApply([blur], p=0.2),
    ]
