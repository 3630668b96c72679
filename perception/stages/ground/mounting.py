"""A rough check of the mounting: do the vehicles imply the horizon that the camera file says?

A vehicle of height H whose box is h px high, seen by a camera at height C, has its foot h C / H px below the horizon, at any distance. One vehicle may be a
lorry or half hidden; the median of many is off only where the pitch (or the height) of the file no longer fits.
"""

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception.core.types import Float64
from perception.stages.ground.plane import RoadPlane

logger = logging.getLogger(__name__)

VEHICLE_M = (
    1.55  # height of a car; the median of KITTI's vehicles is 1.53, of rendered ones a little more
)
SMALL, LARGE = 0.015, 0.11  # of h over the focal length: too few px to tell; so near that H decides
WINDOW = 300  # boxes that the median is over
LEAST = 100  # boxes before anything is said
LEAST_FRAMES = 30  # of them; the same few vehicles for a second prove nothing
WARN_DEG, CLEAR_DEG = 1.5, 1.0  # the heights of vehicles alone leave about half a degree open


@dataclass(frozen=True, slots=True)
class _Seen:
    frame: int
    offset_deg: float


class MountingWatch:
    """Compares the horizon of the camera file with that which vehicles imply, and warns once when they part.

    Args:
        name: of the camera, for the log.
        log: whether a warning is logged; it counts either way.

    Attributes:
        warnings: how often they parted.
        fits: whether they do now, as far as is known.
    """

    def __init__(self, name: str, *, log: bool = True) -> None:
        self._name, self._log = name, log
        self._seen: deque[_Seen] = deque(maxlen=WINDOW)
        self._frames = 0
        self.warnings = 0
        self.fits = True

    @property
    def offset_deg(self) -> float | None:
        """How far the vehicles' horizon lies below that of the file, deg: the camera looks so much higher than the file says; ``None``: too few vehicles."""
        frames = {seen.frame for seen in self._seen}
        if len(self._seen) < LEAST or len(frames) < LEAST_FRAMES:
            return None
        return float(np.median([seen.offset_deg for seen in self._seen]))

    def summary(self) -> dict[str, Any]:
        """Its part of the closing JSON object."""
        offset_deg = self.offset_deg
        return {
            "camera": self._name,
            "warnings": self.warnings,
            "horizon_offset_deg": None if offset_deg is None else round(offset_deg, 3),
            "vehicles": len(self._seen),
        }

    def look(self, vehicles_xyxy: Float64, plane: RoadPlane) -> None:
        """Take the vehicles of a frame, ``[K, 4]`` px of the frame, whose feet are not cut by its border."""
        self._frames += 1
        offsets = horizon_offsets_deg(vehicles_xyxy, plane)
        self._seen.extend(_Seen(self._frames, offset) for offset in offsets.tolist())
        if not len(offsets) or (offset_deg := self.offset_deg) is None:
            return
        if self.fits and abs(offset_deg) > WARN_DEG:
            self.fits = False
            self.warnings += 1
            if self._log:
                logger.warning(
                    "%s: the vehicles' horizon is %.1f degrees off that of the camera file: distances are wrong; was the camera "
                    "moved? calibrate its mounting again",
                    self._name,
                    offset_deg,
                )
        elif not self.fits and abs(offset_deg) < CLEAR_DEG:
            self.fits = True


def horizon_offsets_deg(vehicles_xyxy: Float64, plane: RoadPlane) -> Float64:
    """How far below the file's horizon that of each vehicle lies, deg, ``float64[<=K]``; those too small or too near tell nothing.

    Args:
        vehicles_xyxy: ``[K, 4]``, px of the frame as the lens gives it.
        plane: of the camera.
    """
    camera = plane.camera
    x1, y1, x2, y2 = vehicles_xyxy.T
    middle = (x1 + x2) / 2
    top, foot = (camera.undistorted(np.stack([middle, y], axis=-1)) for y in (y1, y2))
    height_px = foot[:, 1] - top[:, 1]
    inside = (x1 > 1) & (x2 < camera.width_px - 1) & (y1 > 1)
    telling = inside & (height_px > SMALL * camera.fy_px) & (height_px < LARGE * camera.fy_px)
    horizon_y = foot[:, 1] - height_px * (camera.height_m or 0.0) / VEHICLE_M
    offset_px = horizon_y - plane.horizon_y(foot[:, 0])
    degrees: Float64 = np.degrees(np.arctan(offset_px / camera.fy_px))[telling]
    return degrees
