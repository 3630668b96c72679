"""Cells on the road, and looking a map up where they lie in a frame: bird's-eye views."""

from dataclasses import dataclass

import cv2
import numpy as np

from perception.core.errors import check_array
from perception.core.types import Float32, Float64, UInt8

OUTSIDE_PX = -1e4  # where a cell of a grid has no pixel; far outside, and inside remap's 16 bits


@dataclass(frozen=True, slots=True)
class GroundGrid:
    """Cells of a bird's-eye view; row 0 is the farthest, column 0 the leftmost.

    Attributes:
        x_min_m, x_max_m: lateral range, m, to the right.
        z_min_m, z_max_m: forward range, m.
        cell_m: side of a cell, m.
    """

    x_min_m: float
    x_max_m: float
    z_min_m: float
    z_max_m: float
    cell_m: float

    @property
    def size_wh(self) -> tuple[int, int]:
        """Columns and rows."""
        return (
            round((self.x_max_m - self.x_min_m) / self.cell_m),
            round((self.z_max_m - self.z_min_m) / self.cell_m),
        )

    def centres(self) -> Float64:
        """``float64[rows, columns, 2]``: (x, z) of the centre of each cell, m."""
        columns, rows = self.size_wh
        x_m = self.x_min_m + self.cell_m * (np.arange(columns) + 0.5)
        z_m = self.z_max_m - self.cell_m * (np.arange(rows) + 0.5)
        return np.stack(np.meshgrid(x_m, z_m), axis=-1)


def resample(image: UInt8, points_px: Float32, *, linear: bool, border: int = 0) -> UInt8:
    """Look a map up at the given places: a bird's-eye view, with the places of `Camera.grid_pixels`.

    Args:
        image: ``uint8[H, W]``.
        points_px: ``float32[rows, columns, 2]``, continuous px of `image`.
        linear: between pixels, for scores; otherwise the nearest pixel, for labels.
        border: what stands where there is no pixel.

    Returns:
        ``uint8[rows, columns]``.
    """
    check_array("resample: points_px", points_px, np.float32, (None, None, 2))
    how = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    centres_px = points_px - np.float32(0.5)  # OpenCV counts from pixel centres
    x_px, y_px = centres_px[..., 0], centres_px[..., 1]
    found = cv2.remap(image, x_px, y_px, how, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
    return np.asarray(found, np.uint8)
