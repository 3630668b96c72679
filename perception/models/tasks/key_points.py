"""Key points of people, read where the detection head found them."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from perception.core.labels import KEY_POINTS
from perception.models.tasks.base import (
    Arrays,
    Found,
    LabelledBatch,
    LabelledFrame,
    ObjectDecoder,
    Restore,
    Score,
    Seen,
    Task,
    at_boxes,
    boxes_of,
    match_labelled,
    points_back,
)

NEAR = 0.1  # of the box's height: so far off, a point is still right
LOCATION_WEIGHT = 10.0  # brings offsets, in box sizes, to the scale of the cross entropy


class KeyPoints(Task):
    """For each box 14 places, in widths and heights of the box from its middle, and whether each is seen.

    Loss: distance of the places (smooth from 1/20 of the box on) and cross entropy of being seen. Source: regression from an object's
    centre, Zhou, Wang, Kraehenbuehl, "Objects as points", 2019, arXiv 1904.07850, section 4; without its heat maps.
    """

    labels = ("key_points",)
    outputs: ClassVar[Mapping[str, Restore]] = {"key_points": points_back}
    needs = ("detection",)

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        del fine_channels
        self.decoder = ObjectDecoder(channels, 3 * len(KEY_POINTS))

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, 3 P, H/8, W/8]``: for each point x, y and the logit of being seen."""
        found: Tensor = self.decoder(seen)
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """The terms ``key_points`` and ``key_points_seen``, of boxes whose points are labelled."""
        labelled = batch.further.get("key_points")
        if labelled is None:
            return {}
        wanted, boxes = torch.cat(labelled), torch.cat(batch.boxes_xyxy)
        known = wanted.isfinite().all(dim=2)  # [M, P]
        if not known.any():
            return {}
        found = boxes_of(raw, batch).view(-1, len(KEY_POINTS), 3)[known]
        middle, size = _middle_and_size(boxes)
        place = ((wanted[..., :2] - middle[:, None]) / size[:, None].clamp(min=1))[known]
        seen = wanted[..., 2][known]
        return {
            "key_points": LOCATION_WEIGHT * F.smooth_l1_loss(found[:, :2], place, beta=0.05),
            "key_points_seen": F.binary_cross_entropy_with_logits(found[:, 2], seen),
        }

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``key_points``: ``float32[N, K, P, 3]``: x, y in px, and the probability of being seen; of all boxes, only people's mean anything."""
        if found.boxes is None:
            raise ValueError("key points need boxes")
        boxes = found.boxes.boxes_xyxy
        values = torch.unflatten(at_boxes(raw.float(), boxes), 2, (len(KEY_POINTS), 3))
        middle, size = _middle_and_size(boxes)
        places = middle.unsqueeze(2) + values[..., :2] * size.unsqueeze(2)
        return {"key_points": torch.cat((places, values[..., 2:].sigmoid()), dim=3)}

    @staticmethod
    def score() -> Score:
        """See `KeyPointScore`."""
        return KeyPointScore()


def _middle_and_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return (low + high) / 2, high - low


class KeyPointScore(Score):
    """Share of the visible labelled points that are found within `NEAR` of the box's height (PCK, with the box in place of the torso).

    Source: Yang, Ramanan, "Articulated human detection with flexible mixtures of parts", 2013. Points of people who were not found
    count as missed in ``pck`` and not at all in ``pck_found``.
    """

    def __init__(self) -> None:
        self._right = self._of_found = self._all = 0

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame."""
        points = frame.further.get("key_points")
        if points is None or frame.boxes is None:
            return
        rows, _ = match_labelled(outputs, frame)
        for wanted, box, row in zip(points, frame.boxes.boxes_xyxy, rows, strict=True):
            seen = np.isfinite(wanted).all(axis=1) & (wanted[:, 2] > 0)
            self._all += int(seen.sum())
            if row < 0:
                continue
            off = np.linalg.norm(outputs["key_points"][row, :, :2] - wanted[:, :2], axis=1)
            self._of_found += int(seen.sum())
            self._right += int((off[seen] <= NEAR * (box[3] - box[1])).sum())

    def compute(self) -> dict[str, float]:
        """``pck`` and ``pck_found`` in [0, 1]."""
        if not self._all:
            return {}
        figures = {"pck": self._right / self._all}
        return figures | ({"pck_found": self._right / self._of_found} if self._of_found else {})
