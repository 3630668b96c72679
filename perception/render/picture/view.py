"""Where the camera is at one moment, and the ray of each pixel. Knows nothing of what there is to see."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import cos, pi, radians, sin, tan

import numpy as np

from perception.core.camera import Camera, find_camera
from perception.core.types import Float32, Float64
from perception.render.config import CameraConfig
from perception.render.records import State

# A mounted camera on a usual road, as (amplitude, rad/s): the body's own swing, and the road's roughness.
PITCH_DEG = ((0.20, 7.1), (0.11, 17.0), (0.05, 31.0))
ROLL_DEG = ((0.16, 5.3), (0.06, 19.0))
HEIGHT_M = ((0.012, 7.1), (0.004, 23.0))


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera somewhere in the world.

    Attributes:
        size_wh: px of the picture.
        focal_px: fx, fy.
        middle_px: principal point, continuous px: the pixel in column i covers [i, i + 1).
        camera_from_world: ``float64[4, 4]``, rigid.
    """

    size_wh: tuple[int, int]
    focal_px: tuple[float, float]
    middle_px: tuple[float, float]
    camera_from_world: Float64

    @cached_property
    def centre_m(self) -> Float64:
        """``float64[3]``: the camera in the world."""
        rotation, moved = self.camera_from_world[:3, :3], self.camera_from_world[:3, 3]
        return np.array([-sum(rotation[i, k] * moved[i] for i in range(3)) for k in range(3)])

    @cached_property
    def columns(self) -> Float64:
        """``float64[W]``: x of the pixel centres at depth 1."""
        centres: Float64 = np.arange(self.size_wh[0], dtype=np.float64) + 0.5
        return (centres - self.middle_px[0]) / self.focal_px[0]

    @cached_property
    def rows(self) -> Float64:
        """``float64[H]``: y of the pixel centres at depth 1."""
        centres: Float64 = np.arange(self.size_wh[1], dtype=np.float64) + 0.5
        return (centres - self.middle_px[1]) / self.focal_px[1]

    @cached_property
    def rays(self) -> Float32:
        """``float32[H, W, 3]``: from the camera through the pixel centre, in the world, to depth 1 along the optical axis."""
        width, height = self.size_wh
        rays = np.empty((height, width, 3), np.float32)
        for axis in range(3):
            across, down, ahead = (float(self.camera_from_world[i, axis]) for i in range(3))
            row = (across * self.columns + ahead).astype(np.float32)
            column = (down * self.rows).astype(np.float32)
            np.add(row[None, :], column[:, None], out=rays[..., axis])
        return rays

    def to_camera(self, points_m: Float64) -> Float64:
        """World points ``[N, 3]`` -> ``float64[N, 3]`` in the camera's axes."""
        return transform(self.camera_from_world, points_m)

    def project(self, points_m: Float64) -> Float64:
        """Points ``[N, 3]`` in the camera's axes -> ``float64[N, 2]``, continuous px; depth must be positive."""
        depth = points_m[:, 2:]
        pixels: Float64 = points_m[:, :2] / depth * np.array(self.focal_px)
        pixels += np.array(self.middle_px)
        return pixels

    def finer(self, factor: int) -> "View":
        """The same view with `factor` times as many pixels along each side."""
        if factor == 1:
            return self
        width, height = self.size_wh
        (fx, fy), (cx, cy) = self.focal_px, self.middle_px
        return replace(
            self,
            size_wh=(width * factor, height * factor),
            focal_px=(fx * factor, fy * factor),
            middle_px=(cx * factor, cy * factor),
        )


def transform(rigid: Float64, points: Float64) -> Float64:
    """Apply ``float64[4, 4]`` to ``[N, 3]`` points, element by element: the same bits from every linear algebra library."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    moved = [row[0] * x + row[1] * y + row[2] * z + row[3] for row in rigid[:3]]
    return np.stack(moved, axis=1)


def build_camera(config: CameraConfig) -> Camera:
    """The camera of a drive, at the size of its frames.

    Raises:
        ConfigError: there is no such file, or it is of another shape than the frames.
    """
    width, height = config.size_wh
    if config.file:
        return find_camera(config.file).scaled(config.size_wh)
    focal_px = width / 2 / tan(radians(config.horizontal_fov_deg) / 2)
    return Camera(
        width_px=width,
        height_px=height,
        fx_px=focal_px,
        fy_px=focal_px,
        cx_px=width / 2 - 0.5,
        cy_px=height / 2 - 0.5,
        height_m=config.height_m,
        pitch_deg=config.pitch_deg,
        source="pinhole of a synthetic drive",
    )


def shaken(camera: Camera, shake: float, time_s: float, phase: float) -> Camera:
    """The camera as the moving car holds it at one moment.

    Args:
        camera: at rest.
        shake: 1 is usual.
        time_s: since the start of the drive.
        phase: rad, of this drive's own.
    """

    def swing(parts: tuple[tuple[float, float], ...]) -> float:
        return shake * sum(a * sin(w * time_s + phase * (i + 1)) for i, (a, w) in enumerate(parts))

    return replace(
        camera,
        pitch_deg=camera.pitch_deg + swing(PITCH_DEG),
        roll_deg=camera.roll_deg + swing(ROLL_DEG),
        height_m=(camera.height_m or 0.0) + swing(HEIGHT_M),
    )


def build_view(camera: Camera, ego: State) -> View:
    """What the camera sees from where the vehicle is; its distortion is the lens's part."""
    c, s = cos(ego.yaw_rad), sin(ego.yaw_rad)
    # road axes (x right, y down, z ahead) from the world's (x ahead, y left, z up)
    road_from_world = np.array(
        [
            [s, -c, 0.0, -(s * ego.x_m - c * ego.y_m)],
            [0.0, 0.0, -1.0, 0.0],
            [c, s, 0.0, -(c * ego.x_m + s * ego.y_m)],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
    return View(
        size_wh=camera.size_wh,
        focal_px=(camera.fx_px, camera.fy_px),
        middle_px=(camera.cx_px + 0.5, camera.cy_px + 0.5),
        # rounded, so that the last bit of a library's matrix inverse moves no label
        camera_from_world=compose(np.round(camera.camera_from_road, 12), road_from_world).round(9),
    )


def compose(left: Float64, right: Float64) -> Float64:
    """``left @ right`` of ``float64[4, 4]``, in one order of summation."""
    product = np.zeros((4, 4))
    for k in range(4):
        product += left[:, k : k + 1] * right[k : k + 1, :]
    return product


def inverse(rigid: Float64) -> Float64:
    """The inverse of a rigid ``float64[4, 4]``."""
    back = np.eye(4)
    back[:3, :3] = rigid[:3, :3].T
    back[:3, 3] = [-sum(rigid[i, k] * rigid[i, 3] for i in range(3)) for k in range(3)]
    return back


def world_from_mesh(state: State) -> Float64:
    """``float64[4, 4]``: where a thing's mesh stands."""
    c, s = cos(state.yaw_rad), sin(state.yaw_rad)
    return np.array(
        [
            [c, -s, 0.0, state.x_m],
            [s, c, 0.0, state.y_m],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def kitti_yaw(camera_from_world: Float64, yaw_rad: float) -> float:
    """KITTI's ``rotation_y`` of a heading in the world, in (-pi, pi]: about the camera's y axis, 0 along its x axis."""
    ahead = np.array([[cos(yaw_rad), sin(yaw_rad), 0.0]])
    x, _, z = (transform(camera_from_world, ahead)[0] - camera_from_world[:3, 3]).tolist()
    angle = -float(np.arctan2(z, x))
    return angle if angle > -pi else angle + 2 * pi
