"""Depth from one picture. What a picture tells without its camera is how many pixels a metre covers at each place; a focal length makes metres of it."""

from collections.abc import Mapping
from math import log
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

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
    density_map,
)

USUAL = 20.0  # px a metre at the start of training
VARIANCE_SHARE = 0.5  # of the loss that does not see one factor for the whole frame
RANGE_M = (1.0, 80.0)  # that is scored, as KITTI's benchmark has it


class Depth(Task):
    """Gives px a metre, ``focal length in px / depth in m``: of one value for a picture however it is scaled and cropped.

    So frames of different cameras train one network (Yin et al., "Metric3D", 2023, arXiv 2307.10984, section 3.2, moves all to one
    canonical camera; here the quantity itself belongs to none).

    Loss: scale-invariant error of the logarithms, Eigen, Puhrsch, Fergus, 2014, arXiv 1406.2283, equation 4, with its factor of 0.5.
    """

    labels = ("depth_m",)
    outputs: ClassVar[Mapping[str, Restore]] = {"pixels_per_metre": density_map}

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        self.decoder = PixelDecoder(channels, fine_channels, 1)
        bias = self.decoder.predict.bias
        if bias is not None:
            nn.init.constant_(bias, log(USUAL))

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, 1, H/4, W/4]``, logarithm of px a metre."""
        found: Tensor = self.decoder(seen)
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """The term ``depth``, from the pixel in the middle of each cell."""
        depth = batch.further.get("depth_m")
        if depth is None:
            return {}
        middle = slice(FINE_STRIDE // 2, None, FINE_STRIDE)
        depth = depth[:, middle, middle]
        wanted = batch.focal_px[:, None, None] / depth
        known = wanted.isfinite() & (depth > 0)
        if not known.any():
            return {}
        error = (raw[:, 0].float() - wanted.log())[known]
        return {"depth": error.square().mean() - VARIANCE_SHARE * error.mean().square()}

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``pixels_per_metre``: ``float32[N, H, W]``, of the model input; a focal length divided by it is metres."""
        del found
        enlarged = upsample_logits(raw.float(), FINE_STRIDE)
        return {"pixels_per_metre": enlarged[:, 0].exp()}

    @staticmethod
    def score() -> Score:
        """See `DepthScore`."""
        return DepthScore()


class DepthScore(Score):
    """The usual figures of KITTI's depth within `RANGE_M`: means over all pixels of all frames (Eigen et al., section 4.2)."""

    def __init__(self) -> None:
        self._sums = np.zeros(4)  # pixels, relative error, squared error, within a quarter

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame; it needs a camera."""
        truth = frame.further.get("depth_m")
        if truth is None or frame.camera is None:
            return
        known = (truth >= RANGE_M[0]) & (truth <= RANGE_M[1])
        wanted = truth[known].astype(np.float64)
        found = np.clip(frame.camera.fx_px / outputs["pixels_per_metre"][known], *RANGE_M)
        ratio = np.maximum(found / wanted, wanted / found)
        self._sums += [
            known.sum(),
            (np.abs(found - wanted) / wanted).sum(),
            np.square(found - wanted).sum(),
            (ratio < 1.25).sum(),
        ]

    def compute(self) -> dict[str, float]:
        """``abs_rel``; ``rmse_m``; ``delta``: share of pixels within a factor of 1.25."""
        pixels, relative, squared, within = self._sums.tolist()
        if not pixels:
            return {}
        return {
            "abs_rel": relative / pixels,
            "rmse_m": (squared / pixels) ** 0.5,
            "delta": within / pixels,
        }
