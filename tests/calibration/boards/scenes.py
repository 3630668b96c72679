"""Boards before known cameras: as pictures, and as corners with known errors. Shares no projection code with OpenCV's calibration."""

from functools import cache

import cv2
import numpy as np

from perception.calibration.boards.board import MARGIN_SQUARES, MM_PER_INCH, Board, draw_board
from perception.calibration.boards.find import View
from perception.core.camera import Camera, lens

BOARD = Board(columns=9, rows=6, square_mm=40.0)
CHARUCO = Board(columns=9, rows=6, square_mm=40.0, marker_mm=30.0, dictionary="4x4_50")
PINHOLE = Camera(
    width_px=640, height_px=400, fx_px=520.0, fy_px=515.0, cx_px=325.0, cy_px=196.0,
    distortion=(-0.28, 0.09, 0.001, -0.0008, -0.01),
)  # fmt: skip
FISHEYE = Camera(
    width_px=640, height_px=480, fx_px=260.0, fy_px=258.0, cx_px=318.0, cy_px=244.0,
    lens="fisheye", distortion=(0.05, -0.02, 0.008, -0.002),
)  # fmt: skip
DRAWN_DPI = 25.4  # a pixel a millimetre
FINE = 2  # samples a side of a pixel


def poses(count, camera, seed=0, board=BOARD):
    """Boards in view, tilted by up to 40 deg, somewhere in the picture: rotation and translation from board to camera, m."""
    rng = np.random.default_rng(seed)
    middle = board.points.mean(axis=0)
    found = []
    while len(found) < count:
        tilt = cv2.Rodrigues(rng.uniform(-0.7, 0.7, 3) * (1, 1, 0.6))[0]
        distance = rng.uniform(0.45, 0.9) * camera.fx_px / 520
        reach = (
            0.6
            * np.array(camera.size_wh)
            / camera.fx_px
            / 2
            * (1.6 if camera.lens == "fisheye" else 1)
        )
        x, y = rng.uniform(-reach, reach)
        facing = cv2.Rodrigues(np.array([-np.arctan(y), np.arctan(x), 0.0]))[0]
        rotation = facing @ tilt
        shift = facing @ (0, 0, distance)
        pose = rotation, shift - rotation @ middle
        seen = project(camera, pose, board.points)
        inside = (seen > 25).all() and (seen < np.array(camera.size_wh) - 25).all()
        if inside and np.isfinite(seen).all():
            found.append(pose)
    return found


def project(camera, pose, points):
    """``[N, 3]`` points of the board -> ``[N, 2]`` px, integers being pixel centres."""
    rotation, shift = pose
    there = np.asarray(points, float) @ rotation.T + shift
    there[there[:, 2] < 0.05] = np.nan
    rays = lens.bend(camera.lens, camera.distortion, there[:, :2] / there[:, 2:])
    return rays * (camera.fx_px, camera.fy_px) + (camera.cx_px, camera.cy_px)


def noisy_views(camera, poses, sigma_px, seed=0, board=BOARD):
    """Corners that err independently and normally."""
    rng = np.random.default_rng(seed)
    ids = np.arange(len(board.points))
    return [
        View(
            f"view {i}",
            ids,
            board.points,
            (project(camera, p, board.points) + rng.normal(0, sigma_px, (len(ids), 2))).astype(
                np.float32
            ),
        )
        for i, p in enumerate(poses)
    ]


def render(camera, pose, board=BOARD, *, noise=2.0, seed=0):
    """``uint8[H, W, 3]``: the printed board before a grey wall."""
    rays = _rays(camera)
    rotation, shift = pose
    to_board = np.linalg.inv(np.column_stack((rotation[:, :2], shift)))
    on_board = rays @ to_board[:, :2].T + to_board[:, 2]
    place = on_board[..., :2] / on_board[..., 2:]
    side_px = round(board.square_mm / MM_PER_INCH * DRAWN_DPI)
    start = (1 + MARGIN_SQUARES) * side_px  # of the first inner corner, from the picture's edge
    texture = place / board.square * side_px + start - 0.5
    texture = np.where(on_board[..., 2:] > 0, texture, -1e4)
    texture = np.nan_to_num(texture, nan=-1e4).clip(-1e4, 1e4).astype(np.float32)
    drawn = cv2.remap(
        draw_board(board, DRAWN_DPI) // 2 + 60, texture[..., 0], texture[..., 1],
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=110,
    )  # fmt: skip
    seen = cv2.resize(drawn, camera.size_wh, interpolation=cv2.INTER_AREA).astype(np.float64)
    seen = cv2.GaussianBlur(seen, (0, 0), 0.6)
    seen += np.random.default_rng(seed).normal(0, noise, seen.shape)
    grey = seen.round().clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@cache
def _rays(camera):
    """``[FINE H, FINE W, 2]``: what each sample of each pixel looks along."""
    width, height = camera.size_wh
    x = (np.arange(width * FINE) + 0.5) / FINE - 0.5
    y = (np.arange(height * FINE) + 0.5) / FINE - 0.5
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    bent = (grid - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px)
    return lens.straighten(camera.lens, camera.distortion, bent)
