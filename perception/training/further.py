"""Labels beyond boxes and class map on their way from a sample through the augmentation into a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from perception.core.labels import FURTHER_LABELS, KEY_POINTS
from perception.datasets import Sample

PREFIX = "further."
PROBE = "probe"  # two points one px apart: what became of them tells scale and flip
# in a mirror, the left hand is a right one
MIRRORED = [
    KEY_POINTS.index(
        name.replace("left", "right") if name.startswith("left") else name.replace("right", "left")
    )
    for name in KEY_POINTS
]


def further_tensors(sample: Sample) -> dict[str, Any]:
    """The labels as members of what `perception.training.augment.transforms.build_transforms` varies."""
    height, width = sample.image.shape[:2]
    canvas = {"canvas_size": (height, width)}
    found: dict[str, Any] = {
        PROBE: tv_tensors.KeyPoints(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), **canvas),
        "focal_px": torch.tensor(torch.nan if sample.camera is None else sample.camera.fx_px),
    }
    for name, array in sample.further.items():
        tensor = torch.tensor(array)
        match FURTHER_LABELS[name].of:
            case "pixel":
                found[PREFIX + name] = tv_tensors.Mask(tensor[None])
            case "points":
                found[PREFIX + name] = tv_tensors.KeyPoints(tensor[..., :2], **canvas)
                found[PREFIX + name + ".seen"] = tensor[..., 2]
            case _:
                found[PREFIX + name] = tensor
    return found


def further_labels(varied: Mapping[str, Any], kept: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Take the labels out of what the augmentation gave.

    Args:
        varied: the varied sample.
        kept: ``bool[K]``, the boxes that are left.

    Returns:
        The focal length in px of the varied frame, a scalar, and the labels by name.
    """
    start, end = varied[PROBE].as_subclass(Tensor)
    step = end[0] - start[0]
    found: dict[str, Tensor] = {}
    for name, label in FURTHER_LABELS.items():
        value = varied.get(PREFIX + name)
        if value is None:
            continue
        match label.of:
            case "pixel":
                found[name] = value.as_subclass(Tensor)[0]
            case "box":
                found[name] = value[kept]
            case "points":
                points = value.as_subclass(Tensor)[kept]
                seen = varied[PREFIX + name + ".seen"][kept]
                if step < 0:  # torchvision mirrors about the middles of the outer pixels
                    points = points[:, MIRRORED] + points.new_tensor([1.0, 0.0])
                    seen = seen[:, MIRRORED]
                found[name] = torch.cat((points, seen[..., None]), dim=2)
            case "frame":
                found[name] = value
    return varied["focal_px"] * step.abs(), found


def collate_further(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The labels that some frame of a batch has; see `perception.training.losses.base.Batch`."""
    names = [n for n in FURTHER_LABELS if any(n in item["further"] for item in items)]
    batch: dict[str, Any] = {}
    for name in names:
        values = [_or_unknown(name, item) for item in items]
        stacked = FURTHER_LABELS[name].of in {"pixel", "frame"}
        batch[name] = torch.stack(values) if stacked else tuple(values)
    return batch


def _or_unknown(name: str, item: Mapping[str, Any]) -> Tensor:
    if name in item["further"]:
        known: Tensor = item["further"][name]
        return known
    label = FURTHER_LABELS[name]
    shape = label.shape(tuple(item["class_map"].shape), len(item["boxes_xyxy"]))
    return torch.from_numpy(np.full(shape, label.unknown, label.dtype))
