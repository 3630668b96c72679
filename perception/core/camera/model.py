"""A calibrated camera: intrinsics, lens, mounting, and the road plane in metres.

Axes, all right-handed. Camera: x right, y down, z along the optical axis. Road: the same with z forward along the road, y = 0 on
its surface (KITTI's road frame). A ground point is ``(x, z)`` in metres. Pixels are those of `perception.core.types`: continuous,
the pixel in column i covers [i, i + 1). Camera files hold the principal point as calibration tools give it, where integers are
pixel *centres*; the half pixel between the two is added here and nowhere else.
"""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import numpy as np

from perception.core.camera import lens
from perception.core.camera.ground import OUTSIDE_PX, GroundGrid
from perception.core.camera.rotation import angles_deg, rotation_matrix
from perception.core.errors import ConfigError
from perception.core.types import Float32, Float64

SHAPE_TOLERANCE_PX = (
    1.0  # a scaled frame may miss the camera's aspect by this much: sizes are whole pixels
)
# axes of nuScenes' vehicles, and of ISO 8855: x forward, y left, z up -> of the road frame: x right, y down, z forward
ROAD_FROM_VEHICLE: Float64 = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera and how it is mounted; also the schema of ``calib/cameras/*.toml``.

    Attributes:
        width_px, height_px: size of the frames that it was calibrated with.
        fx_px, fy_px: focal lengths.
        cx_px, cy_px: principal point; integers are pixel centres, as OpenCV and KITTI have it.
        lens: which formula `distortion` belongs to.
        distortion: no unit; ``pinhole``: OpenCV's k1, k2, p1, p2, k3, and k4, k5, k6 of the rational form if there are eight;
            ``fisheye``: k1 to k4 of Kannala and Brandt (2006) as `cv2.fisheye` has them. Empty for frames that are rectified already.
        height_m: of the camera above the road; ``None`` where nobody measured how it is mounted: then nothing is known in metres.
        pitch_deg: positive looks up. The angles turn in the order yaw, pitch, roll.
        roll_deg: positive leans to the right: what is level seems to rise to the right.
        yaw_deg: positive looks to the right of the road frame's z axis.
        lateral_m: position right of the road frame's origin.
        forward_m: position ahead of the road frame's origin.
        rms_px: of the calibration, over all corners of the views that it kept, or ``None`` where unknown.
        focal_sigma_px, height_sigma_m, pitch_sigma_deg: one standard deviation of the focal length, height and pitch, or ``None``
            where unknown.
        source: where the numbers come from.
        date: ISO date of the calibration, or empty where unknown.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    height_m: float | None = None
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    yaw_deg: float = 0.0
    lateral_m: float = 0.0
    forward_m: float = 0.0
    lens: Literal["pinhole", "fisheye"] = "pinhole"
    distortion: tuple[float, ...] = ()
    rms_px: float | None = None
    focal_sigma_px: float | None = None
    height_sigma_m: float | None = None
    pitch_sigma_deg: float | None = None
    source: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        for name in ("width_px", "height_px", "fx_px", "fy_px", "height_m"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0):
                raise ConfigError(f"camera: {name}: expected a positive number, got {value}")
        for name in ("cx_px", "cy_px", "pitch_deg", "roll_deg", "yaw_deg", "lateral_m", "forward_m"):  # fmt: skip
            if not isfinite(getattr(self, name)):
                raise ConfigError(
                    f"camera: {name}: expected a finite number, got {getattr(self, name)}"
                )
        for name in ("rms_px", "focal_sigma_px", "height_sigma_m", "pitch_sigma_deg"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value >= 0):
                raise ConfigError(f"camera: {name}: expected 0 or more, got {value}")
        lens.check(self.lens, self.distortion)

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
        if self.height_m is None:
            raise ConfigError(
                "camera: height_m is missing: nobody measured how it is mounted; put height_m and pitch_deg into its file, or "
                "run perception calibrate mounting"
            )
        road_from_camera = np.eye(4)
        road_from_camera[:3, :3] = rotation_matrix(self.yaw_deg, self.pitch_deg, self.roll_deg)
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

    def distorted(self, points_px: Float64) -> Float64:
        """``[N, 2]`` undistorted px -> ``float64[N, 2]`` px of the frame as the lens gives it."""
        rays = (np.asarray(points_px, np.float64) - self._centre) / self._focal
        return lens.bend(self.lens, self.distortion, rays) * self._focal + self._centre

    def undistorted(self, points_px: Float64) -> Float64:
        """``[N, 2]`` px of the frame as the lens gives it -> ``float64[N, 2]`` undistorted px, the inverse of `distorted`.

        NaN where the lens formula has no inverse: far outside the frame, or where it folds.
        """
        rays = (np.asarray(points_px, np.float64) - self._centre) / self._focal
        return lens.straighten(self.lens, self.distortion, rays) * self._focal + self._centre

    def scaled(self, size_wh: tuple[int, int]) -> "Camera":
        """The same camera giving frames of another size of the same shape.

        A row or column more or less on the right or below is what encoders make of odd sizes: it changes nothing but the size.

        Raises:
            ConfigError: the size is of another shape: a crop or a stretch needs a calibration of its own.
        """
        if max(abs(size_wh[0] - self.width_px), abs(size_wh[1] - self.height_px)) <= 1:
            return replace(self, width_px=size_wh[0], height_px=size_wh[1])
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
            rms_px=None if self.rms_px is None else self.rms_px * scale_x,
            focal_sigma_px=None if self.focal_sigma_px is None else self.focal_sigma_px * scale_x,
        )

    def grid_pixels(self, grid: GroundGrid) -> Float32:
        """``float32[rows, columns, 2]``: where in the frame, distorted as it is, each cell's centre lies.

        Continuous px; `OUTSIDE_PX` where the cell is behind the camera.
        """
        points = self.distorted(self.image_points(grid.centres().reshape(-1, 2)))
        columns, rows = grid.size_wh
        limited = np.clip(np.nan_to_num(points, nan=OUTSIDE_PX), OUTSIDE_PX, -OUTSIDE_PX)
        return limited.reshape(rows, columns, 2).astype(np.float32)

    @property
    def _centre(self) -> Float64:
        return np.array([self.cx_px + 0.5, self.cy_px + 0.5])

    @property
    def _focal(self) -> Float64:
        return np.array([self.fx_px, self.fy_px])


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
    yaw, pitch, roll = angles_deg(rotation.T)
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


def _project(homography: Float64, points: Float64) -> Float64:
    """Apply a homography to ``[N, 2]`` points; NaN where the third coordinate is not positive."""
    lifted = np.asarray(points, np.float64) @ homography[:, :2].T + homography[:, 2]
    depth = np.where(lifted[:, 2:] > 1e-9, lifted[:, 2:], np.nan)
    projected: Float64 = lifted[:, :2] / depth
    return projected
