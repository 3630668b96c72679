"""The KITTI road benchmark: MaxF, AP and the rates at the threshold of MaxF, in the image and from above.

Source:
    Fritsch, Kuehnl, Geiger, "A new performance measure and evaluation benchmark for road detection algorithms", ITSC 2013,
    section IV (measures: equations 1 to 4) and section III.B (bird's-eye view); AP is Pascal VOC's 11-point
    interpolation (Everingham et al., IJCV 2010, section 4.2). Counts are summed over the data set before any ratio.
    Differs from the authors' kit: it takes labels that were projected from above by the authors, here both labels and
    scores are looked up in the frame, at the nearest pixel; and it counts pixels from one where this counts from zero.
"""

from dataclasses import dataclass, field

import numpy as np

from perception.core.camera import Camera, GroundGrid, resample
from perception.core.errors import check_array
from perception.core.labels import IGNORE
from perception.core.types import Bool, Float64, Int64, UInt8

LEVELS = 256  # of a uint8 score: a pixel is called road where its score >= threshold, threshold in 0..255
# the benchmark's view from above: 400 columns, 800 rows
KITTI_GRID = GroundGrid(x_min_m=-10.0, x_max_m=10.0, z_min_m=6.0, z_max_m=46.0, cell_m=0.05)
VOC_RECALLS = np.arange(11) / 10


@dataclass(frozen=True, slots=True)
class RoadFigures:
    """The benchmark's figures, each in [0, 1].

    Attributes:
        maxf: largest F1 over the thresholds.
        ap: average precision, 11-point interpolated.
        precision, recall, fpr, fnr: at the threshold of `maxf`; fpr and fnr are shares of not-road and of road pixels.
        threshold: that threshold, as a share of 255.
    """

    maxf: float
    ap: float
    precision: float
    recall: float
    fpr: float
    fnr: float
    threshold: float


@dataclass(slots=True, eq=False)
class RoadCurve:
    """Histograms of the scores of road and of other pixels, of one or many frames.

    Attributes:
        road, other: ``int64[256]``, pixels by score.
    """

    road: Int64 = field(default_factory=lambda: np.zeros(LEVELS, np.int64))
    other: Int64 = field(default_factory=lambda: np.zeros(LEVELS, np.int64))

    def add(self, score: UInt8, is_road: Bool, is_judged: Bool) -> None:
        """Count one frame.

        Args:
            score: ``uint8[H, W]``, 255 x road probability.
            is_road: ``bool[H, W]``, the truth.
            is_judged: ``bool[H, W]``, where the truth is known.
        """
        check_array("RoadCurve: score", score, np.uint8, is_road.shape)
        self.road += np.bincount(score[is_road & is_judged], minlength=LEVELS)
        self.other += np.bincount(score[~is_road & is_judged], minlength=LEVELS)

    def figures(self) -> RoadFigures | None:
        """The figures over everything that was counted; ``None`` where no pixel of one of the two kinds was."""
        roads, others = int(self.road.sum()), int(self.other.sum())
        if not roads or not others:
            return None
        # pixels of score >= t, for t = 0..255
        true_positive = np.cumsum(self.road[::-1])[::-1].astype(np.float64)
        false_positive = np.cumsum(self.other[::-1])[::-1].astype(np.float64)
        recall = true_positive / roads
        called = true_positive + false_positive
        precision = np.divide(true_positive, called, out=np.zeros(LEVELS), where=called > 0)
        f1 = 2 * true_positive / (called + roads)
        best = int(f1.argmax())
        return RoadFigures(
            maxf=float(f1[best]),
            ap=_voc_ap(precision, recall),
            precision=float(precision[best]),
            recall=float(recall[best]),
            fpr=float(false_positive[best] / others),
            fnr=float(1 - recall[best]),
            threshold=best / (LEVELS - 1),
        )


def _voc_ap(precision: Float64, recall: Float64) -> float:
    """Mean over recalls 0, 0.1 .. 1 of the best precision at that recall or a higher one."""
    return float(np.mean([precision[recall >= r].max(initial=0.0) for r in VOC_RECALLS]))


class BirdsEye:
    """The view from above of one frame's maps."""

    def __init__(self, camera: Camera, grid: GroundGrid = KITTI_GRID) -> None:
        self._points_px = camera.grid_pixels(grid)

    def labels(self, label_map: UInt8) -> UInt8:
        """``uint8[H, W]`` labels -> ``uint8[rows, columns]``; ignored where the frame does not reach."""
        return resample(label_map, self._points_px, linear=False, border=IGNORE)

    def scores(self, score: UInt8) -> UInt8:
        """``uint8[H, W]`` scores -> ``uint8[rows, columns]``, of the very pixels that the labels are taken from."""
        return resample(score, self._points_px, linear=False)
