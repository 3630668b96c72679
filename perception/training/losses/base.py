"""What losses get: one batch of labels, and the terms they give back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from perception.core.labels import GROUPS, IGNORE
from perception.models.heads.segmentation import upsample_logits

Terms = dict[str, Tensor]  # name of the term -> scalar; their sum is the loss


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """N labelled frames of one size, as tensors.

    Attributes:
        frame: ``uint8[N, H, W, 3]``.
        class_map: ``uint8[N, H, W]`` of classes, groups and ignore; all ignore where a frame has no map.
        unjudged: ``bool[N, H, W]``, where detection is not trained; everywhere in frames without boxes.
        boxes_xyxy: N tensors ``float32[K_i, 4]``, px.
        class_ids: N tensors ``int64[K_i]``.
        boxed: ``bool[N, C]``, whether the frame's set boxes the class.
        focal_px: ``float32[N]``: of the frame as it is here, however it was scaled; NaN where there is no camera.
        further: name in `perception.core.labels.FURTHER_LABELS` -> ``[N, H, W]`` of pixels, ``[N]`` of frames, or a tuple of N tensors of
            boxes or points; names that no frame of the batch has are absent, frames without have its unknown value throughout.
    """

    frame: Tensor
    class_map: Tensor
    unjudged: Tensor
    boxes_xyxy: tuple[Tensor, ...]
    class_ids: tuple[Tensor, ...]
    boxed: Tensor
    focal_px: Tensor = field(default_factory=lambda: torch.full((1,), torch.nan))
    further: Mapping[str, Any] = field(default_factory=dict)

    def to(self, device: torch.device, **options: Any) -> "Batch":  # noqa: ANN401 (options of torch)
        """The same batch on another device."""

        def move(value: Any) -> Any:  # noqa: ANN401 (a field, or a part of one)
            if isinstance(value, Tensor):
                return value.to(device, **options)
            if isinstance(value, Mapping):
                return {name: move(part) for name, part in value.items()}
            return tuple(move(part) for part in value)

        return Batch(**{f.name: move(getattr(self, f.name)) for f in fields(self)})


def at_frame_size(logits: Tensor, batch: Batch, fraction: int = 1) -> Tensor:
    """The logits of a segmentation head, in float32, as large as the frames of the batch or a fraction of that.

    Args:
        logits: ``float[N, C, H/s, W/s]``.
        batch: whose ``class_map`` is ``[N, H, W]``.
        fraction: 2 for half the size.

    Returns:
        ``float32[N, C, H/fraction, W/fraction]``.
    """
    stride = batch.class_map.shape[1] // logits.shape[2]
    return upsample_logits(logits.float(), stride // fraction)


def log_likelihood(log_p: Tensor, target: Tensor) -> Tensor:
    """Of what each pixel is labelled with: the log of the summed probability of the classes that its label allows.

    Args:
        log_p: ``float[N, C, H, W]``, log probability of each class.
        target: ``int64[N, H, W]`` of classes, groups (from C on) and ignore.

    Returns:
        ``float[N, H, W]``; 0 where nothing is labelled.

    Raises:
        ValueError: an id of none of these.
    """
    classes = log_p.shape[1]
    known = classes + len(GROUPS)
    if ((target >= known) & (target != IGNORE)).any():
        raise ValueError(
            f"class map: expected ids below {known} and {IGNORE}, got up to {int(target[target != IGNORE].max())}"
        )
    found = log_p.gather(1, target.clamp(max=classes - 1).unsqueeze(1)).squeeze(1)
    for group, members in enumerate(GROUPS.values(), start=classes):
        where = target == group
        if where.any():
            found = torch.where(where, log_p[:, list(members)].logsumexp(dim=1), found)
    return found.masked_fill(target == IGNORE, 0.0)
