"""Points followed from one picture to a later one, and straight segments; all in px or as rays of the camera."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.core.camera import Camera
from perception.core.types import Float64, UInt8

MOST_POINTS = 500
QUALITY = (
    0.003  # of the best corner: road is plain, and what does not hold is thrown out by the way back
)
DISTANCE_PX = 7
WINDOW_PX, LEVELS = (
    13,
    4,
)  # 21 px of road near the car are no plane piece to shift: direction 0.1 deg worse
RETURN_PX = 0.5  # how far from its start a point may come back
SEGMENT_SHARE = 0.035  # of the width of the frame: shorter segments tell little of a direction

Mask = NDArray[np.bool_]


def follow_points(before: UInt8, after: UInt8, masks: tuple[UInt8, ...]) -> tuple[Float64, Float64]:
    """Corners of `before` and where they are in `after`, px of the frame.

    Args:
        before: ``uint8[H, W]``.
        after: the same size.
        masks: ``uint8[H, W]`` each; corners are looked for where one is not 0, `MOST_POINTS` in each, so that what has strong corners
            does not take them all.

    Returns:
        ``float64[N, 2]`` twice; only points that come back to where they started when they are followed backwards.
    """
    found = [
        cv2.goodFeaturesToTrack(before, MOST_POINTS, QUALITY, DISTANCE_PX, mask=mask)
        for mask in masks
    ]
    listed = [points.reshape(-1, 2) for points in found if points is not None]
    if not listed:
        return np.empty((0, 2)), np.empty((0, 2))
    start = np.concatenate(listed).astype(np.float32).reshape(-1, 1, 2)
    there, ok, _ = _flow(before, after, start)
    back, ok_back, _ = _flow(after, before, there)
    off = np.abs(back - start).reshape(-1, 2).max(axis=1)
    kept = (ok.ravel() == 1) & (ok_back.ravel() == 1) & (off < RETURN_PX)
    # integers are pixel centres to OpenCV
    return (
        start.reshape(-1, 2)[kept].astype(np.float64) + 0.5,
        there.reshape(-1, 2)[kept].astype(np.float64) + 0.5,
    )


def _flow(before: UInt8, after: UInt8, start: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 (OpenCV's arrays)
    return cv2.calcOpticalFlowPyrLK(
        before, after, start, start.copy(), winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS
    )


def find_segments(gray: UInt8, mask: UInt8) -> Float64:
    """Straight segments whose middle lies where ``uint8[H, W]`` `mask` is not 0: ``float64[N, 4]``, x1, y1, x2, y2 in px."""
    lines = cv2.createLineSegmentDetector().detect(gray)[0]
    if lines is None:
        return np.empty((0, 4))
    found = np.asarray(lines, np.float64).reshape(-1, 4)
    length = np.hypot(found[:, 2] - found[:, 0], found[:, 3] - found[:, 1])
    found = found[length >= SEGMENT_SHARE * gray.shape[1]]
    middle = np.clip((found[:, :2] + found[:, 2:]) / 2, 0, np.array(gray.shape[::-1]) - 1)
    columns, rows = middle.astype(int).T
    return np.asarray(found[mask[rows, columns] > 0] + 0.5, np.float64)


def to_rays(camera: Camera, points_px: Float64) -> Float64:
    """``[N, 2]`` px of the frame -> ``float64[N, 3]`` rays in camera axes with z = 1; NaN where the lens has no inverse."""
    lifted = np.column_stack([camera.undistorted(points_px), np.ones(len(points_px))])
    return np.asarray(lifted @ np.linalg.inv(camera.image_from_camera).T, np.float64)


def to_pixels(camera: Camera, ray: Float64) -> Float64:
    """``float64[3]`` ray -> ``float64[2]`` px of the frame."""
    flat = camera.image_from_camera @ (ray / ray[2])
    return np.asarray(camera.distorted(flat[None, :2])[0], np.float64)
