"""The original's mask in closed form: no pixel inside a box, or above it in its columns, can be road that the car could drive on."""

import torch
from torch import Tensor

from perception.core.labels import ROAD
from perception.models.heads.detection import Boxes
from perception.models.masks.base import NoMask, best_class, enlarge


class HardMask(NoMask):
    """Where the mask is 0 road cannot win, and the next best class does."""

    def class_map(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """See `NoMask.class_map`."""
        logits = enlarge(cells, self.stride)
        return classify_pixels(cells, logits, self._blocked(logits, boxes))

    def road_score(self, cells: Tensor, boxes: Boxes | None) -> Tensor:
        """See `NoMask.road_score`; 0 where road cannot win."""
        score = super().road_score(cells, None)
        return score.masked_fill(self._blocked(score.unsqueeze(1), boxes), 0)

    def _blocked(self, maps: Tensor, boxes: Boxes | None) -> Tensor:
        """``bool[N, H, W]``, for ``[N, C, H, W]`` maps."""
        if boxes is None:
            raise ValueError("a mask needs boxes")
        height, width = maps.shape[2:]
        foot = box_foot(boxes.boxes_xyxy, boxes.scores, width, self.config.mask_threshold)
        return above_foot(foot, height)


def box_foot(boxes_xyxy: Tensor, scores: Tensor, width: int, threshold: float) -> Tensor:
    """The lowest foot of the boxes that cover each column.

    "Inside a box or above it" is ``y <= y2`` for ``x1 <= x <= x2``, so only this matters of all boxes:
    ``foot[x] = max{y2_k : x1_k <= x <= x2_k}`` over boxes of score >= threshold, -1 where there is none. The mask is then
    ``mask[y, x] = y > foot[x]``. That is O(K W + H W) instead of O(K H W).

    Args:
        boxes_xyxy: ``float32[N, K, 4]``, px.
        scores: ``float32[N, K]`` in [0, 1].
        width: of the frame, px.
        threshold: tau, in [0, 1].

    Returns:
        ``float32[N, W]``, px.
    """
    x = torch.arange(width, device=boxes_xyxy.device, dtype=boxes_xyxy.dtype)
    x1, x2, y2 = (boxes_xyxy[:, :, k : k + 1] for k in (0, 2, 3))  # each [N, K, 1]
    below = torch.where((scores >= threshold).unsqueeze(2), y2 + 1, 0.0)
    covered = (x1 <= x) & (x <= x2)  # [N, K, W]
    # a product instead of a select: less time on a CPU
    return (covered.to(below.dtype) * below).amax(dim=1) - 1


def above_foot(foot: Tensor, height: int) -> Tensor:
    """Where road cannot win, ``not mask``: ``float32[N, W]`` -> ``bool[N, H, W]``, true inside and above boxes."""
    y = torch.arange(height, device=foot.device, dtype=foot.dtype)
    return y[:, None] <= foot[:, None, :]


def classify_pixels(cell_logits: Tensor, logits: Tensor, blocked: Tensor) -> Tensor:
    """The class of each pixel; where the mask blocks it road cannot win and the next best class does.

    The next best class is that of the pixel's cell, not interpolated: it is asked for only where road won and a box forbids it, and a
    second arg-max over all planes at frame size would cost more than 1 % of the whole forward pass on a CPU.

    Args:
        cell_logits: ``float[N, C, H/s, W/s]``.
        logits: ``float[N, C, H, W]``, the same upsampled.
        blocked: ``bool[N, H, W]``, where the mask is 0.

    Returns:
        ``uint8[N, H, W]``.
    """
    frames, height, width = blocked.shape
    rows = cell_logits.shape[2]
    shape = (frames, rows, height // rows, width)  # the rows of a cell side by side
    # in bytes: a quarter of the time of floats
    best = best_class(logits).to(torch.uint8).reshape(shape)
    never = [-1e4 if k == ROAD else 0.0 for k in range(cell_logits.shape[1])]
    others = (cell_logits + cell_logits.new_tensor(never)[:, None, None]).argmax(dim=1)
    # enlarged along columns only: the rows of a cell share it
    next_best = torch.stack([others.to(torch.uint8)] * (height // rows), dim=3)
    next_best = next_best.reshape(frames, rows, 1, width)
    forbidden = (best == ROAD) & blocked.reshape(shape)
    return torch.where(forbidden, next_best, best).reshape(frames, height, width)
