"""A calibrated camera: intrinsics and mounting, the road plane in metres, bird's-eye resampling.

Axes, all right-handed. Camera: x right, y down, z along the optical axis. Road: the same with z forward along the road, y = 0 on
its surface (KITTI's road frame). A ground point is ``(x, z)`` in metres. Pixels are those of `perception.core.types`: continuous,
the pixel in column i covers [i, i + 1). Camera files hold the principal point as calibration tools give it, where integers are
pixel *centres*; the half pixel between the two is added here and nowhere else.
"""

from dataclasses import dataclass, replace
from math import asin, atan2, degrees, isfinite
from pathlib import Path

import cv2
import numpy as np

from perception.core.config import build_config, read_toml
from perception.core.errors import ConfigError, check_array
from perception.core.types import Float32, Float64, UInt8

SHAPE_TOLERANCE_PX = (
    1.0  # a scaled frame may miss the camera's aspect by this much: sizes are whole pixels
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera and how it is mounted; also the schema of ``calib/cameras/*.toml``.

    Attributes:
        width_px, height_px: size of the frames that it was calibrated with.
        fx_px, fy_px: focal lengths.
        cx_px, cy_px: principal point; integers are pixel centres, as OpenCV and KITTI have it.
        distortion: OpenCV's k1, k2, p1, p2, k3 (no unit), or empty for frames that are rectified already.
        height_m: of the camera above the road.
        pitch_deg: positive looks up. The angles turn in the order yaw, pitch, roll.
        roll_deg: positive leans to the right: what is level seems to rise to the right.
        yaw_deg: positive looks to the right of the road frame's z axis.
        lateral_m: position right of the road frame's origin.
        forward_m: position ahead of the road frame's origin.
        source: where the numbers come from.
        date: ISO date of the calibration, or empty where unknown.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    height_m: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    yaw_deg: float = 0.0
    lateral_m: float = 0.0
    forward_m: float = 0.0
    distortion: tuple[float, ...] = ()
    source: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        positive = ("width_px", "height_px", "fx_px", "fy_px", "height_m")
        for name in (*positive, "cx_px", "cy_px", "pitch_deg", "roll_deg", "yaw_deg", "lateral_m", "forward_m"):  # fmt: skip
            value = getattr(self, name)
            if not isfinite(value) or (name in positive and value <= 0):
                expected = "a positive number" if name in positive else "a finite number"
                raise ConfigError(f"camera: {name}: expected {expected}, got {value}")
        if len(self.distortion) not in {0, 5} or not all(map(isfinite, self.distortion)):
            raise ConfigError(
                f"camera: distortion: expected k1, k2, p1, p2, k3 or nothing, got {list(self.distortion)}"
            )

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of its frames, px."""
        return self.width_px, self.height_px

    @property
    def image_from_camera(self) -> Float64:
        """``float64[3, 3]``: the intrinsic matrix, for the continuous pixels of `perception.core.types`."""
        return np.array(
            [
                [self.fx_px, 0.0, self.cx_px + 0.5],
                [0.0, self.fy_px, self.cy_px + 0.5],
                [0.0, 0.0, 1.0],
            ]
        )

    @property
    def camera_from_road(self) -> Float64:
        """``float64[4, 4]``: the rigid motion from road to camera coordinates, m."""
        road_from_camera = np.eye(4)
        road_from_camera[:3, :3] = _rotation(self.yaw_deg, self.pitch_deg, self.roll_deg)
        road_from_camera[:3, 3] = (self.lateral_m, -self.height_m, self.forward_m)
        return np.asarray(np.linalg.inv(road_from_camera), np.float64)

    @property
    def image_from_ground(self) -> Float64:
        """``float64[3, 3]``: homography from (x, z, 1) in m on the road to undistorted px.

        The third coordinate of the product is the depth along the optical axis in m; it is positive in front of the camera.
        """
        homography: Float64 = self.image_from_camera @ self.camera_from_road[:3, [0, 2, 3]]
        return homography

    @property
    def ground_from_image(self) -> Float64:
        """``float64[3, 3]``: homography from undistorted px (u, v, 1) to (x, z, 1) in m on the road.

        The third coordinate of the product is positive below the horizon only.
        """
        return np.asarray(np.linalg.inv(self.image_from_ground), np.float64)

    def ground_points(self, points_px: Float64) -> Float64:
        """``[N, 2]`` undistorted px -> ``float64[N, 2]`` (x, z) in m; NaN at and above the horizon."""
        return _project(self.ground_from_image, points_px)

    def image_points(self, points_m: Float64) -> Float64:
        """``[N, 2]`` (x, z) in m -> ``float64[N, 2]`` undistorted px; NaN behind the camera."""
        return _project(self.image_from_ground, points_m)

    def scaled(self, size_wh: tuple[int, int]) -> "Camera":
        """The same camera giving frames of another size of the same shape.

        Raises:
            ConfigError: the size is of another shape: a crop or a stretch needs a calibration of its own.
        """
        scale_x, scale_y = size_wh[0] / self.width_px, size_wh[1] / self.height_px
        if abs(scale_x - scale_y) * max(self.size_wh) > SHAPE_TOLERANCE_PX:
            raise ConfigError(
                f"camera of {self.width_px}x{self.height_px}: frames of {size_wh[0]}x{size_wh[1]} have another shape; "
                "expected the same aspect ratio: calibrate this camera at that size"
            )
        return replace(
            self,
            width_px=size_wh[0],
            height_px=size_wh[1],
            fx_px=self.fx_px * scale_x,
            fy_px=self.fy_px * scale_y,
            cx_px=(self.cx_px + 0.5) * scale_x - 0.5,
            cy_px=(self.cy_px + 0.5) * scale_y - 0.5,
        )

    def grid_pixels(self, grid: GroundGrid) -> Float32:
        """``float32[rows, columns, 2]``: where in the frame, distorted as it is, each cell's centre lies.

        Continuous px; `OUTSIDE_PX` where the cell is behind the camera.
        """
        centres = grid.centres().reshape(-1, 2)
        points = self._distorted(centres) if any(self.distortion) else self.image_points(centres)
        columns, rows = grid.size_wh
        limited = np.clip(np.nan_to_num(points, nan=OUTSIDE_PX), OUTSIDE_PX, -OUTSIDE_PX)
        return limited.reshape(rows, columns, 2).astype(np.float32)

    def _distorted(self, points_m: Float64) -> Float64:
        road = np.stack([points_m[:, 0], np.zeros(len(points_m)), points_m[:, 1]], axis=1)
        rigid = self.camera_from_road
        in_camera = road @ rigid[:3, :3].T + rigid[:3, 3]
        zero = np.zeros(3)
        points, _ = cv2.projectPoints(
            in_camera, zero, zero, self.image_from_camera, np.array(self.distortion)
        )
        seen = in_camera[:, 2:] > 0
        return np.where(seen, points.reshape(-1, 2), np.nan)


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


def load_camera(path: Path) -> Camera:
    """Read a camera file; raise `ConfigError` where it is missing, incomplete or has unknown keys."""
    table = read_toml(path)
    try:
        return build_config(Camera, table, str(path))
    except ConfigError as error:
        told = str(error)
        raise ConfigError(told if told.startswith(str(path)) else f"{path}: {told}") from error


def camera_from_projection(
    projection: Float64, camera_from_road: Float64, size_wh: tuple[int, int], source: str
) -> Camera:
    """The camera of a projection matrix and a pose, as KITTI's files give them.

    Args:
        projection: ``float64[3, 4]``, px (centres at integers) from m, of the form ``K [I | t]``: KITTI's ``P2``.
        camera_from_road: ``float64[4, 4]``, rigid: from the road frame to the frame that `projection` takes.
        size_wh: of the frames, px.
        source: for `Camera.source`.

    Raises:
        ConfigError: the matrices are not of that form, or the camera is not above the road.
    """
    pose = camera_from_road.copy()
    intrinsic = projection[:, :3]
    if abs(intrinsic[0, 0] * intrinsic[1, 1]) < 1e-9:
        raise ConfigError(f"{source}: the projection matrix has no focal length")
    pose[:3, 3] += np.linalg.solve(intrinsic, projection[:, 3])
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
        raise ConfigError(
            f"{source}: expected a rotation in the pose, got one that is not orthonormal"
        )
    position = -rotation.T @ pose[:3, 3]
    yaw, pitch, roll = _angles_deg(rotation.T)
    return Camera(
        width_px=size_wh[0],
        height_px=size_wh[1],
        fx_px=float(intrinsic[0, 0]),
        fy_px=float(intrinsic[1, 1]),
        cx_px=float(intrinsic[0, 2]),
        cy_px=float(intrinsic[1, 2]),
        height_m=float(-position[1]),
        pitch_deg=pitch,
        roll_deg=roll,
        yaw_deg=yaw,
        lateral_m=float(position[0]),
        forward_m=float(position[2]),
        source=source,
    )


def _rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float64:
    """``float64[3, 3]`` road from camera: ``Ry(yaw) Rx(pitch) Rz(roll)``."""
    (cy, cp, cr), (sy, sp, sr) = (
        f(np.radians([yaw_deg, pitch_deg, roll_deg])) for f in (np.cos, np.sin)
    )
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: Float64 = yaw @ pitch @ roll
    return rotation


def _angles_deg(rotation: Float64) -> tuple[float, float, float]:
    """Yaw, pitch and roll whose `_rotation` is the given one; the inverse of it for pitch in (-90, 90)."""
    pitch = asin(float(np.clip(-rotation[1, 2], -1, 1)))
    yaw = atan2(rotation[0, 2], rotation[2, 2])
    roll = atan2(rotation[1, 0], rotation[1, 1])
    return degrees(yaw), degrees(pitch), degrees(roll)


def _project(homography: Float64, points: Float64) -> Float64:
    """Apply a homography to ``[N, 2]`` points; NaN where the third coordinate is not positive."""
    lifted = np.asarray(points, np.float64) @ homography[:, :2].T + homography[:, 2]
    depth = np.where(lifted[:, 2:] > 1e-9, lifted[:, 2:], np.nan)
    projected: Float64 = lifted[:, :2] / depth
    return projected
