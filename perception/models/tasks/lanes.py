"""Lane markings: lines along the road, and what is painted across it."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassConfusionMatrix

from perception.core.labels import IGNORE, LANE_CLASSES
from perception.models.heads.segmentation import upsample_logits
from perception.models.tasks.base import (
    FINE_STRIDE,
    Arrays,
    Found,
    LabelledBatch,
    LabelledFrame,
    PixelDecoder,
    Restore,
    Score,
    Seen,
    Task,
    nearest_map,
)

PAINT_WEIGHT = 5.0  # of painted pixels in the loss: about one in fifty is painted


class Lanes(Task):
    """Loss: weighted cross entropy, and 1 - Dice of each painted class: lines are too thin for cross entropy alone.

    Source of the Dice term: Milletari, Navab, Ahmadi, "V-Net", 2016, arXiv 1606.04797, section 3.
    """

    labels = ("lanes",)
    outputs: ClassVar[Mapping[str, Restore]] = {"lane_map": nearest_map}

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        self.decoder = PixelDecoder(channels, fine_channels, len(LANE_CLASSES))

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, C, H/4, W/4]`` logits."""
        found: Tensor = self.decoder(seen)
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """The terms ``lanes`` and ``lanes_overlap``, at the size of the frame."""
        wanted = batch.further.get("lanes")
        if wanted is None or not (wanted != IGNORE).any():
            return {}
        logits = upsample_logits(raw.float(), FINE_STRIDE)
        wanted = wanted.long()
        weight = logits.new_tensor([1.0] + [PAINT_WEIGHT] * (len(LANE_CLASSES) - 1))
        known = (wanted != IGNORE)[:, None]
        shares = logits.softmax(dim=1)[:, 1:] * known
        truth = torch.stack([wanted == c for c in range(1, len(LANE_CLASSES))], dim=1).float()
        both = (shares * truth).sum(dim=(0, 2, 3))
        dice = 2 * both / (shares.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))).clamp(min=1.0)
        present = truth.sum(dim=(0, 2, 3)) > 0
        overlap = (1 - dice)[present].sum() / present.sum().clamp(min=1)
        return {
            "lanes": F.cross_entropy(logits, wanted, weight, ignore_index=IGNORE),
            "lanes_overlap": overlap,
        }

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``lane_map``: ``uint8[N, H, W]`` of `LANE_CLASSES`."""
        del found
        return {"lane_map": upsample_logits(raw.float(), FINE_STRIDE).argmax(dim=1).to(torch.uint8)}

    @staticmethod
    def score() -> Score:
        """See `LaneScore`."""
        return LaneScore()


class LaneScore(Score):
    """IoU of each painted class, from the pixels of all frames."""

    def __init__(self) -> None:
        self._confusion = MulticlassConfusionMatrix(len(LANE_CLASSES), ignore_index=IGNORE)

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame."""
        truth = frame.further.get("lanes")
        if truth is not None:
            self._confusion.update(
                *(torch.from_numpy(a).int() for a in (outputs["lane_map"], truth))
            )

    def compute(self) -> dict[str, float]:
        """``iou/CLASS`` in [0, 1], without ``none``; a class that is nowhere is left out."""
        counts = self._confusion.confmat.double()
        either = counts.sum(dim=0) + counts.sum(dim=1) - counts.diag()
        return {
            f"iou/{name}": float(counts[i, i] / either[i])
            for i, name in enumerate(LANE_CLASSES)
            if i and either[i]
        }
