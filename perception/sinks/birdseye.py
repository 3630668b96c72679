"""The road from above, drawn into a corner of the frame: road, boxes with their intervals, free distance. Pure drawing."""

import cv2
import numpy as np

from perception.core.types import Float64, Ground, Scene, UInt8

SHARE = 0.6  # of the frame's height
SHOWN_M = 60.0  # ahead, at most; beside, a quarter of it
RING_M = 10.0
BACK_BGR, RING_BGR, ROAD_BGR, FREE_BGR = (30, 30, 30), (80, 80, 80), (110, 70, 100), (90, 170, 60)
NEAR_BGR = (255, 255, 255)


def draw_birdseye(canvas: UInt8, scene: Scene, colours: tuple[tuple[int, int, int], ...]) -> None:
    """Draw the panel into the upper right corner of a frame, in place; nothing where the scene has no metres.

    Args:
        canvas: ``uint8[H, W, 3]``.
        scene: of that frame.
        colours: BGR of the boxes, by class, in turn.
    """
    ground = scene.ground
    height = int(SHARE * canvas.shape[0])
    if ground is None or height < 16 or canvas.shape[1] < height:
        return
    scale = height / SHOWN_M
    width = height // 2
    panel = np.full((height, width, 3), BACK_BGR, np.uint8)

    def to_px(points_m: Float64) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        limited = np.clip(points_m, -1000, 1000)
        x_px, y_px = width / 2 + limited[:, 0] * scale, height - limited[:, 1] * scale
        return np.stack([x_px, y_px], axis=-1).round().astype(np.int32)

    for polygon in ground.road_xz_m:
        cv2.fillPoly(panel, [to_px(polygon.astype(np.float64))], ROAD_BGR)
    if ground.free is not None:
        half, end_m = ground.free.corridor_m / 2, ground.free.free_m
        cv2.fillPoly(
            panel,
            [to_px(np.array([[-half, 0], [half, 0], [half, end_m], [-half, end_m]]))],
            FREE_BGR,
        )
    for ring_m in np.arange(RING_M, SHOWN_M, RING_M).tolist():
        y_px = int(height - ring_m * scale)
        cv2.line(panel, (0, y_px), (width, y_px), RING_BGR, 1)
        cv2.putText(panel, f"{ring_m:.0f}", (1, y_px - 1), cv2.FONT_HERSHEY_SIMPLEX, 0.3, NEAR_BGR, 1, cv2.LINE_AA)  # fmt: skip
    for number in np.flatnonzero(np.isfinite(ground.feet_xz_m[:, 1])).tolist():
        colour = colours[int(scene.detections.class_ids[number]) % len(colours)]
        _draw_foot(panel, to_px(_foot_lines(ground, number)), colour)
    canvas[:height, -width:] = panel


def _foot_lines(ground: Ground, number: int) -> Float64:
    """Ends of the line across a foot, and of that along its interval, (x, z) in m, ``float64[4, 2]``."""
    x_m, z_m = ground.feet_xz_m[number].tolist()
    low_m, high_m = ground.intervals_m[number].tolist()
    half = float(ground.widths_m[number]) / 2
    return np.array([[x_m - half, z_m], [x_m + half, z_m], [x_m, low_m], [x_m, high_m]])


def _draw_foot(
    panel: UInt8,
    ends_px: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
    colour: tuple[int, int, int],
) -> None:
    left, right, near, far = (tuple(point) for point in ends_px.tolist())
    cv2.line(panel, near, far, colour, 1)
    cv2.line(panel, left, right, colour, 3)
