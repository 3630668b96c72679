"""Object boundaries: where the class map, or the object, changes from one pixel to the next."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from perception.core.labels import MAP_CLASSES, has_groups
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
    linear_map,
)

TOLERANCE_PX = (
    4.0  # of the score: of a 480x360 frame 0.0067 of the diagonal; the benchmark has 0.0075
)
THRESHOLDS = np.arange(1, 20) / 20


class Boundary(Task):
    """Learnt from class maps, or outlines, and from instances, where there are any; a cell of stride 4 is a boundary if any of its pixels is.

    Loss: cross entropy in which both kinds of cells weigh the same in a batch (Xie, Tu, "Holistically-nested edge detection", 2015,
    arXiv 1504.06375, equation 2).
    """

    labels = ("instances", "outlines")
    outputs: ClassVar[Mapping[str, Restore]] = {"boundary": linear_map}

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        self.decoder = PixelDecoder(channels, fine_channels, 1)

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, 1, H/4, W/4]`` logits."""
        found: Tensor = self.decoder(seen)
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """The term ``boundary``, of the pixels that have a single class."""
        instances = batch.further.get("instances")
        # where a set labels boundaries without classes, the outlines tell them
        edge, known = boundaries(batch.further.get("outlines", batch.class_map), instances)
        edge, known = _cells(edge), _cells(known)
        weight = torch.zeros_like(raw[:, 0], dtype=torch.float32)
        for which in (known & edge, known & ~edge):
            weight[which] = 0.5 / which.sum().clamp(min=1)
        if not known.any():
            return {}
        cost = F.binary_cross_entropy_with_logits(
            raw[:, 0].float(), edge.float(), weight, reduction="sum"
        )
        return {"boundary": cost}

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``boundary``: ``float32[N, H, W]``, probability."""
        del found
        logits = upsample_logits(raw.float(), FINE_STRIDE)
        return {"boundary": logits[:, 0].sigmoid()}

    @staticmethod
    def score() -> Score:
        """See `BoundaryScore`."""
        return BoundaryScore()


def boundaries(class_map: Tensor, instances: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where neighbours to the right or below differ.

    Args:
        class_map: ``uint8[N, H, W]`` of classes, groups and ignore.
        instances: ``int32[N, H, W]``, -1 where unknown; or ``None``.

    Returns:
        ``bool[N, H, W]`` twice: a boundary; labelled with a single class.
    """
    known = class_map < len(MAP_CLASSES)
    edge = torch.zeros_like(known)
    for axis in (1, 2):
        size = class_map.shape[axis] - 1
        here, there = (class_map.narrow(axis, start, size) for start in (0, 1))
        differ = here != there
        if instances is not None:
            mine, other = (instances.narrow(axis, start, size) for start in (0, 1))
            differ = differ | ((mine != other) & (mine >= 0) & (other >= 0))
        both = known.narrow(axis, 0, size) & known.narrow(axis, 1, size)
        edge.narrow(axis, 0, size).logical_or_(differ & both)
    return edge, known


def _cells(pixels: Tensor) -> Tensor:
    return F.max_pool2d(pixels.float()[:, None], FINE_STRIDE)[:, 0] > 0


class BoundaryScore(Score):
    """F-measure at the best threshold of all frames, and precision and recall there.

    A predicted pixel is right within `TOLERANCE_PX` of a true boundary, a true one is found within that of a prediction. Source: Martin,
    Fowlkes, Malik, 2004, the benchmark of Berkeley's segmentation data set (ODS), without its thinning and its one-to-one matching: the
    predicted bands are as wide as they come, which lowers no precision within the tolerance.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((len(THRESHOLDS), 4), np.int64)  # right, predicted, found, true

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame; without a class map of single classes it counts for nothing."""
        outlines = frame.further.get("outlines", frame.class_map)
        if outlines is None or has_groups(outlines):
            return
        instances = frame.further.get("instances")
        edge, known = (
            array[0].numpy()
            for array in boundaries(
                torch.from_numpy(outlines)[None],
                None if instances is None else torch.from_numpy(instances)[None],
            )
        )
        if not known.any():
            return
        near = ndimage.distance_transform_edt(~edge) <= TOLERANCE_PX if edge.any() else edge
        for row, threshold in zip(self._counts, THRESHOLDS, strict=True):
            predicted = (outputs["boundary"] >= threshold) & known
            reach = (
                ndimage.distance_transform_edt(~predicted) <= TOLERANCE_PX
                if predicted.any()
                else predicted
            )
            row += [(predicted & near).sum(), predicted.sum(), (edge & reach).sum(), edge.sum()]

    def compute(self) -> dict[str, float]:
        """``f``, ``precision``, ``recall``, in [0, 1]."""
        if not self._counts[0, 3]:
            return {}
        right, predicted, found, true = self._counts.T
        precision, recall = right / np.maximum(predicted, 1), found / true
        f = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        best = int(f.argmax())
        return {
            "f": float(f[best]),
            "precision": float(precision[best]),
            "recall": float(recall[best]),
        }
