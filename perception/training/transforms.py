"""Augmentation: frames, class maps, unjudged areas and boxes move together (torchvision's v2 transforms)."""

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from perception.core.geometry import PADDING_VALUE
from perception.core.labels import IGNORE

MIN_SIDE = 4.0  # px: smaller boxes are not learnt
MIN_VISIBLE = (
    0.3  # boxes of which the crop shows less are not learnt, nor is their place trained to be empty
)

Labels = dict[str, Any]


class RandomScale(v2.Transform):
    """Resize by one random factor, the same for everything in the sample.

    Args:
        low, high: bounds of the factor, whose logarithm is uniform.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.log_range = torch.tensor((low, high)).log().tolist()

    def make_params(self, flat_inputs: list[Any]) -> Labels:
        """Draw the factor and the size it gives."""
        height, width = v2.functional.get_size(flat_inputs[0])
        factor = torch.empty(1).uniform_(*self.log_range).exp().item()
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: Labels) -> Any:  # noqa: ANN401 (any tv_tensor)
        """Resize one member of the sample."""
        return self._call_kernel(v2.functional.resize, inpt, size=params["size"], antialias=True)


def build_transforms(crop_wh: tuple[int, int], scale_range: tuple[float, float]) -> v2.Transform:
    """Random scale, crop, flip and colour.

    What comes in has the keys ``frame`` (Image), ``maps`` (Mask ``uint8[2, H, W]``: class map, and unjudged as 0 or `IGNORE`), ``boxes``.
    """
    fill = {tv_tensors.Image: PADDING_VALUE, tv_tensors.Mask: IGNORE}
    return v2.Compose(
        [
            RandomScale(*scale_range),
            v2.RandomCrop(crop_wh[::-1], pad_if_needed=True, fill=fill),
            v2.RandomHorizontalFlip(),
            # dusk and noon, dull and clear; hue is left out, it takes five times as long as the rest
            v2.RandomApply([v2.ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5)], p=0.8),
        ]
    )


def cut_boxes(boxes: Tensor, size_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Clip boxes to the frame and say which are left.

    Args:
        boxes: ``float32[K, 4]``, px, may reach beyond the frame.
        size_wh: of the frame.

    Returns:
        The clipped boxes ``float32[K, 4]``, and ``bool[K]``: true where enough of the box is in the frame.
    """
    limit = torch.tensor(size_wh * 2, dtype=boxes.dtype)
    clipped = boxes.clamp(min=0).minimum(limit)
    before, after = boxes[:, 2:] - boxes[:, :2], clipped[:, 2:] - clipped[:, :2]
    shown = after.prod(dim=1) / before.prod(dim=1).clamp(min=1e-6)
    return clipped, (shown >= MIN_VISIBLE) & (after.amin(dim=1) >= MIN_SIDE)
