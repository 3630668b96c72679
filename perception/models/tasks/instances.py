"""Instance masks: each pixel of a road user points to the middle of its object, and so to one of the boxes."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
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
    match_labelled,
    nearest_map,
)

UNIT_PX = 32.0  # of the raw offsets
LEAST_SCORE = 0.1  # boxes below it own no pixels
NOWHERE = 1e4  # farther than any middle


class Instances(Task):
    """Learns offsets to the middles of the labelled boxes; the loss is their L1 distance on pixels of boxed objects.

    Source: Cheng et al., "Panoptic-DeepLab", 2019, arXiv 1911.10194, section 3.2; middles are those of the found boxes, not peaks of a heat
    map, and each distance is in sizes of its box.
    """

    labels = ("instances", "instance")
    outputs: ClassVar[Mapping[str, Restore]] = {"instance_map": nearest_map}
    needs = ("detection", "segmentation")

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        self.decoder = PixelDecoder(channels, fine_channels, 2)

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, 2, H/4, W/4]``: x and y to the middle of the pixel's object, in units of 32 px."""
        found: Tensor = self.decoder(seen)
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """The term ``instances``."""
        if "instances" not in batch.further or "instance" not in batch.further:
            return {}
        half = FINE_STRIDE // 2
        numbers = batch.further["instances"][:, half::FINE_STRIDE, half::FINE_STRIDE]
        places = _cell_middles(raw)
        costs = []
        for i, boxes in enumerate(batch.boxes_xyxy):
            owners = batch.further["instance"][i]
            for box, number in zip(boxes, owners, strict=True):
                cells = numbers[i] == number
                if number > 0 and cells.any():
                    middle = (box[:2] + box[2:]) / 2
                    offset = (middle[:, None] - places[:, cells]) / UNIT_PX
                    costs.append(F.l1_loss(raw[i].float()[:, cells], offset))
        return {"instances": torch.stack(costs).mean()} if costs else {}

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``instance_map``: ``uint8[N, H, W]``, 1 + row of the box whose object this is, 0 for none.

        A cell belongs to the box whose middle is nearest to where it points, of the boxes of at least `LEAST_SCORE` that hold it; a
        pixel of it only if its class is the box's.
        """
        if found.boxes is None or found.class_map is None:
            raise ValueError("instances need boxes and a class map")
        boxes, scores, class_ids = found.boxes
        places = _cell_middles(raw)  # [2, h, w]
        pointed = places + raw.float() * UNIT_PX
        x1, y1, x2, y2 = (side[:, :, None, None] for side in boxes.unbind(dim=2))  # [N, K, 1, 1]
        width, height = (x2 - x1).clamp(min=1), (y2 - y1).clamp(min=1)
        across = (pointed[:, 0, None] - (x1 + x2) / 2) / width
        down = (pointed[:, 1, None] - (y1 + y2) / 2) / height
        distance = across.square() + down.square()  # [N, K, h, w]
        x, y = places[0], places[1]
        inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
        usable = inside & (scores >= LEAST_SCORE)[:, :, None, None]
        nearest, owner = torch.where(usable, distance, NOWHERE).min(dim=1)  # [N, h, w]
        of_class = class_ids.long().gather(1, owner.flatten(1)).view_as(owner)
        map_class = torch.tensor([MAP_CLASSES.index(n) for n in BOX_CLASSES], device=raw.device)
        wanted = map_class[of_class]
        owned = torch.where(nearest < NOWHERE, owner + 1, 0)
        owned, wanted = _repeat(owned), _repeat(wanted)
        same = found.class_map.long() == wanted
        return {"instance_map": torch.where(same, owned, 0).to(torch.uint8)}

    @staticmethod
    def score() -> Score:
        """See `InstanceScore`."""
        return InstanceScore()


def _cell_middles(raw: Tensor) -> Tensor:
    """Px of the middles of the cells, ``float32[2, h, w]``: x and y."""
    rows = torch.arange(raw.shape[2], device=raw.device, dtype=torch.float32)
    columns = torch.arange(raw.shape[3], device=raw.device, dtype=torch.float32)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return (torch.stack((x, y)) + 0.5) * FINE_STRIDE


def _repeat(cells: Tensor) -> Tensor:
    """``[N, h, w]`` -> ``[N, 4 h, 4 w]``."""
    enlarged = F.interpolate(
        cells[:, None].float(), scale_factor=float(FINE_STRIDE), mode="nearest"
    )
    return enlarged[:, 0].long()


class InstanceScore(Score):
    """Of the labelled objects: mean IoU of their masks, and the share of masks with an IoU of at least a half.

    Objects whose box was not found have an IoU of 0. A mask is what the instance map gives to the found box.
    """

    def __init__(self) -> None:
        self._overlaps: list[float] = []

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame."""
        numbers, owners = frame.further.get("instances"), frame.further.get("instance")
        if numbers is None or owners is None or frame.boxes is None:
            return
        rows, _ = match_labelled(outputs, frame)
        for number, row in zip(owners, rows, strict=True):
            if number <= 0:
                continue
            truth = numbers == number
            mask = (outputs["instance_map"] == row + 1) if row >= 0 else np.zeros_like(truth)
            either = (truth | mask).sum()
            self._overlaps.append(float((truth & mask).sum() / either) if either else 0.0)

    def compute(self) -> dict[str, float]:
        """``iou`` and ``recall50`` in [0, 1]."""
        if not self._overlaps:
            return {}
        overlaps = np.array(self._overlaps)
        return {"iou": float(overlaps.mean()), "recall50": float((overlaps >= 0.5).mean())}
