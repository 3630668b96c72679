"""Depth as a laser scanner measures it: a real scan in the picture, or rings of points thinned out of a depth map that is known everywhere."""

from math import radians

import numpy as np

from perception.core.camera import Camera
from perception.core.types import Float32, Float64

# of Velodyne's HDL-64E, which KITTI drove with: rings, their range of elevations, steps of azimuth, reach
RINGS, HIGHEST_DEG, LOWEST_DEG = 64, 2.0, -24.8
STEP_DEG = 0.17
REACH_M = 80.0
LOST = 0.05  # share of the rays that come back with nothing
NOISE_M = 0.02  # standard deviation


def scan_map(points_px: Float64, depth_m: Float64, size_wh: tuple[int, int]) -> Float32:
    """A scan as a picture; where several points meet in a pixel, the nearest one hides the others.

    Args:
        points_px: ``float64[N, 2]``, px whose centres are at integers; those outside the picture are left out.
        depth_m: ``float64[N]`` along the optical axis; points that are not in front of the camera are left out.
        size_wh: of the picture.

    Returns:
        ``float32[H, W]``: depth at the pixels that were hit, NaN elsewhere.
    """
    width, height = size_wh
    front = depth_m > 0
    column, row = np.rint(points_px[front]).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    cells = row[inside].astype(np.int64), column[inside].astype(np.int64)
    nearest = np.full((height, width), np.inf)
    np.minimum.at(nearest, cells, depth_m[front][inside])
    return np.where(np.isfinite(nearest), nearest, np.nan).astype(np.float32)


def thin_to_lidar(depth_m: Float32, camera: Camera, seed: int) -> Float32:
    """What a scanner at the camera's place, standing level, would have measured; the lens of the camera is left out.

    Args:
        depth_m: ``float32[H, W]`` along the optical axis; 0 or NaN where there is nothing.
        camera: of this picture.
        seed: of what is lost, and of the noise.

    Returns:
        ``float32[H, W]``: depth along the optical axis at the pixels that were hit, NaN elsewhere.
    """
    rng = np.random.default_rng(seed)
    height, width = depth_m.shape
    elevation = np.radians(np.linspace(HIGHEST_DEG, LOWEST_DEG, RINGS))[:, None]
    half = np.degrees(np.arctan(width / 2 / camera.fx_px)) + 5
    azimuth = np.radians(np.arange(-half, half, STEP_DEG))[None]
    x = np.cos(elevation) * np.sin(azimuth)
    y = np.broadcast_to(-np.sin(elevation), x.shape)
    z = np.cos(elevation) * np.cos(azimuth)
    pitch = radians(camera.pitch_deg)  # a camera that looks up sees level rays lower down
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    column = np.floor(camera.fx_px * x / z + camera.cx_px)
    row = np.floor(camera.fy_px * y / z + camera.cy_px)
    hit = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    hit &= rng.random(hit.shape) >= LOST
    rows, columns = row[hit].astype(int), column[hit].astype(int)
    found = depth_m[rows, columns] + rng.normal(0, NOISE_M, len(rows)).astype(np.float32)
    near = (depth_m[rows, columns] > 0) & (found < REACH_M)
    scan: Float32 = np.full(depth_m.shape, np.nan, np.float32)
    scan[rows[near], columns[near]] = found[near]
    return scan
