"""Augmentation: frames, class maps, unjudged areas and boxes move together (torchvision's v2 transforms)."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from perception.core.geometry import PADDING_VALUE, SIZE_MULTIPLE
from perception.core.labels import IGNORE
from perception.training.augment.colours import COLOURS

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


class LetterboxPad(v2.Transform):
    """Padding on the right and below, of random width: what the network meets in the car, where a frame is fitted into multiples of 32 px.

    Without it the network never sees the lower end of a picture as it stands in the car.

    Args:
        least_wh: px, the size that comes out is at least this.
    """

    # of masks by their type: what is not labelled
    UNKNOWN: ClassVar[dict[torch.dtype, float]] = {
        torch.uint8: IGNORE, torch.int32: -1, torch.float32: torch.nan,
    }  # fmt: skip

    def __init__(self, least_wh: tuple[int, int]) -> None:
        super().__init__()
        self.least_wh = least_wh

    def make_params(self, flat_inputs: list[Any]) -> Labels:
        """Draw the two widths."""
        height, width = v2.functional.get_size(flat_inputs[0])
        right, below = torch.randint(SIZE_MULTIPLE, (2,)).tolist()
        least_width, least_height = self.least_wh
        return {
            "padding": [0, 0, max(right, least_width - width), max(below, least_height - height)]
        }

    def transform(self, inpt: Any, params: Labels) -> Any:  # noqa: ANN401 (any tv_tensor)
        """Pad one member of the sample."""
        fill: float = PADDING_VALUE if isinstance(inpt, tv_tensors.Image) else 0
        if isinstance(inpt, tv_tensors.Mask):
            fill = self.UNKNOWN[inpt.dtype]
        return self._call_kernel(v2.functional.pad, inpt, params["padding"], fill=fill)


def build_transforms(
    crop_wh: tuple[int, int], scale_range: tuple[float, float], colour: str
) -> v2.Transform:
    """Random scale, flip, padding, crop and colour.

    What comes in has the keys ``frame`` (Image), ``maps`` (Mask ``uint8[2, H, W]``: class map, and unjudged as 0 or `IGNORE`), ``boxes``.

    Args:
        crop_wh: px of what comes out.
        scale_range: bounds of the random scale.
        colour: in `COLOURS`.
    """
    return v2.Compose(
        [
            RandomScale(*scale_range),
            v2.RandomHorizontalFlip(),
            LetterboxPad(crop_wh),
            v2.RandomCrop(crop_wh[::-1]),
            *COLOURS[colour](),
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
