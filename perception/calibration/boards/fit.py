"""The camera that fits the corners of many views best, by OpenCV, and how well they determine it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import cv2
import numpy as np

from perception.calibration.boards.find import View
from perception.core.camera import Camera
from perception.core.errors import InputError
from perception.core.types import Float64

Lens = Literal["pinhole", "fisheye"]
FOCAL = ("fx_px", "fy_px", "cx_px", "cy_px")
DISTORTION = {
    "pinhole": ("k1", "k2", "p1", "p2", "k3"),
    "rational": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
MIN_VIEWS = 3
# OpenCV 4 keeps the flags of the fisheye lens in its module, OpenCV 5 beside the others
_FISHEYE_FLAGS: Any = cv2 if hasattr(cv2, "CALIB_RECOMPUTE_EXTRINSIC") else cv2.fisheye


@dataclass(frozen=True, slots=True)
class Model:
    """Which camera is fitted.

    Attributes:
        lens: of `Camera`.
        rational: a pinhole with eight coefficients instead of five.
    """

    lens: Lens = "pinhole"
    rational: bool = False

    @property
    def kind(self) -> str:
        """``pinhole``, ``rational`` or ``fisheye``."""
        return "rational" if self.rational else self.lens

    @property
    def names(self) -> tuple[str, ...]:
        """What is fitted, in the order of `Fit.values`."""
        return (*FOCAL, *DISTORTION[self.kind])


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A camera, and where its boards were.

    Attributes:
        model: which one.
        size_wh: of the pictures, px.
        values: ``float64[P]``, focal lengths and principal point in px, then the coefficients of the lens.
        poses: of each view, ``float64[2, 3]``: rotation vector and translation from board to camera, in the board's units.
        residuals: of each view, ``float64[N, 2]``, px: seen minus expected.
        information: ``float64[V, P, P]``: what each view tells of the values once its own pose is unknown, for corners that err
            by 1 px; their sum is the inverse of the covariance.
    """

    model: Model
    size_wh: tuple[int, int]
    values: Float64
    poses: tuple[Float64, ...]
    residuals: tuple[Float64, ...]
    information: Float64

    @property
    def matrix(self) -> Float64:
        """``float64[3, 3]``, with the principal point where integers are pixel centres."""
        return _matrix(self.values)

    @property
    def distortion(self) -> Float64:
        """``float64[P - 4]``."""
        return self.values[4:]

    @property
    def rms_px(self) -> float:
        """Of the distances of all corners, as OpenCV counts it."""
        return _rms(np.concatenate(self.residuals))

    @property
    def view_rms_px(self) -> Float64:
        """``float64[V]``: the same of each view."""
        return np.array([_rms(residual) for residual in self.residuals])

    @property
    def corner_sigma_px(self) -> float:
        """Standard deviation of a corner's x or y, after what the fit itself takes away."""
        count = sum(residual.size for residual in self.residuals)
        freedom = max(count - len(self.values) - 6 * len(self.poses), 1)
        return float(np.sqrt(sum(float((r**2).sum()) for r in self.residuals) / freedom))

    @property
    def sigmas(self) -> Float64:
        """``float64[P]``: standard deviations of the values, if corners err independently, all alike, and the model is right."""
        covariance = np.linalg.pinv(self.information.sum(axis=0), hermitian=True)
        return np.asarray(self.corner_sigma_px * np.sqrt(np.diag(covariance).clip(0)), np.float64)

    @property
    def bits(self) -> Float64:
        """``float64[V]``: by how much each view narrows the values, all taken together, beyond what the others tell.

        One bit halves the volume of their joint interval. Infinite where the others alone leave something open.
        """
        total = self.information.sum(axis=0)
        whole = np.linalg.slogdet(_scaled(total, total))[1]
        gains = []
        for one in self.information:
            sign, rest = np.linalg.slogdet(_scaled(total - one, total))
            gains.append((whole - rest) / (2 * np.log(2)) if sign > 0 else np.inf)
        return np.array(gains)

    @property
    def tilts_deg(self) -> Float64:
        """``float64[V]``: between each board's normal and the optical axis."""
        return np.array([_tilt(pose) for pose in self.poses])

    def camera(self, *, source: str, focal_sigma_px: float) -> Camera:
        """The camera file's record; how it is mounted is not known."""
        fx, fy, cx, cy = map(float, self.values[:4])
        return Camera(
            width_px=self.size_wh[0],
            height_px=self.size_wh[1],
            fx_px=fx,
            fy_px=fy,
            cx_px=cx,
            cy_px=cy,
            lens=self.model.lens,
            distortion=tuple(map(float, self.distortion)),
            rms_px=self.rms_px,
            focal_sigma_px=focal_sigma_px,
            source=source,
            date=date.today().isoformat(),
        )


def fit_camera(
    views: Sequence[View], size_wh: tuple[int, int], model: Model, start: Fit | None = None
) -> Fit:
    """Fit a camera to views.

    Args:
        views: at least `MIN_VIEWS`.
        size_wh: of the pictures, px.
        model: which camera.
        start: begin with its values instead of OpenCV's own guess, which is as good and slower.

    Raises:
        InputError: OpenCV finds no camera that fits them.
    """
    points = [view.points.astype(np.float64).reshape(-1, 1, 3) for view in views]
    corners = [view.corners_px.astype(np.float64).reshape(-1, 1, 2) for view in views]
    try:
        if model.lens == "fisheye":
            values, turns, shifts = _fit_fisheye(points, corners, size_wh, start)
        else:
            values, turns, shifts = _fit_pinhole(points, corners, size_wh, model, start)
    except cv2.error as error:
        raise InputError(
            f"no {model.kind} camera fits the {len(views)} views: {' '.join(str(error.err).split())}; expected boards in different tilts, "
            "and the lens that the pictures were taken with: --lens"
        ) from error
    if not np.isfinite(values).all() or values[:2].min() <= 0:
        raise InputError(
            f"no {model.kind} camera fits the {len(views)} views: the focal length came out as {values[0]:g} px; expected boards in "
            "different tilts"
        )
    poses = [np.stack((np.ravel(r), np.ravel(t))) for r, t in zip(turns, shifts, strict=True)]
    expected = [project(p, pose, values, model) for p, pose in zip(points, poses, strict=True)]
    return Fit(
        model,
        size_wh,
        values,
        tuple(poses),
        tuple(c[:, 0] - e[0] for c, e in zip(corners, expected, strict=True)),
        np.stack([_told(jacobian, len(values)) for _, jacobian in expected]),
    )


def project(
    points: Float64, pose: Float64, values: Float64, model: Model
) -> tuple[Float64, Float64]:
    """Where points of a board are seen, ``float64[N, 2]``, and how that changes, ``float64[2 N, P + 6]``: values first, then the pose."""
    matrix, coefficients = _matrix(values), values[4:]
    shaped = np.asarray(points, np.float64).reshape(-1, 1, 3)
    turn, shift = pose[0].copy(), pose[1].copy()
    if model.lens == "fisheye":
        seen, j = cv2.fisheye.projectPoints(shaped, turn, shift, matrix, coefficients)
        # OpenCV's order: focal lengths, principal point, coefficients, turn, shift, skew
        return np.asarray(seen, np.float64).reshape(-1, 2), np.asarray(j, np.float64)[:, :14]
    seen, j = cv2.projectPoints(shaped, turn, shift, matrix, coefficients)
    # OpenCV's order: turn, shift, focal lengths, principal point, coefficients
    whole = np.asarray(j, np.float64)
    return np.asarray(seen, np.float64).reshape(-1, 2), np.hstack(
        (whole[:, 6 : 6 + len(values)], whole[:, :6])
    )


def _fit_pinhole(
    points: list[Any], corners: list[Any], size_wh: tuple[int, int], model: Model, start: Fit | None
) -> tuple[Float64, Any, Any]:
    flags = cv2.CALIB_RATIONAL_MODEL if model.rational else 0
    matrix: Any = None
    coefficients: Any = None
    if start is not None:
        flags |= cv2.CALIB_USE_INTRINSIC_GUESS
        matrix, coefficients = start.matrix, start.distortion.copy()
    _, matrix, coefficients, turns, shifts = cv2.calibrateCamera(
        [p.astype(np.float32) for p in points],
        [c.astype(np.float32) for c in corners],
        size_wh,
        matrix,
        coefficients,
        flags=flags,
    )
    found = np.ravel(coefficients)[: len(model.names) - 4]  # behind them stand zeros
    return np.array([*_focal(matrix), *found], np.float64), turns, shifts


def _fit_fisheye(
    points: list[Any], corners: list[Any], size_wh: tuple[int, int], start: Fit | None
) -> tuple[Float64, Any, Any]:
    flags = _FISHEYE_FLAGS.CALIB_RECOMPUTE_EXTRINSIC | _FISHEYE_FLAGS.CALIB_FIX_SKEW
    matrix: Any = np.eye(3)
    coefficients: Any = np.zeros((4, 1))
    if start is not None:
        flags |= cv2.CALIB_USE_INTRINSIC_GUESS
        matrix, coefficients = start.matrix, start.distortion.reshape(4, 1).copy()
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-9)
    _, matrix, coefficients, turns, shifts = cv2.fisheye.calibrate(
        [p.reshape(1, -1, 3) for p in points],  # OpenCV 5 takes rows only
        [c.reshape(1, -1, 2) for c in corners],
        size_wh,
        matrix,
        coefficients,
        flags=flags,
        criteria=stop,
    )
    return np.array([*_focal(matrix), *np.ravel(coefficients)], np.float64), turns, shifts


def _focal(matrix: Any) -> tuple[float, float, float, float]:  # noqa: ANN401 (OpenCV's)
    return matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]


def _matrix(values: Float64) -> Float64:
    fx, fy, cx, cy = values[:4]
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _told(jacobian: Float64, count: int) -> Float64:
    """``float64[P, P]``: the information on the values that is left once the pose has taken its share (Schur complement)."""
    ours, pose = jacobian[:, :count], jacobian[:, count:]
    explained, *_ = np.linalg.lstsq(pose, ours, rcond=None)
    left = ours - pose @ explained
    information: Float64 = left.T @ left
    return information


def _scaled(information: Float64, by: Float64) -> Float64:
    """With units taken out, so that its determinant is a sound number."""
    unit = 1 / np.sqrt(np.diag(by).clip(1e-300))
    scaled: Float64 = information * np.outer(unit, unit)
    return scaled


def _tilt(pose: Float64) -> float:
    turn = cv2.Rodrigues(pose[0])[0]
    return float(np.degrees(np.arccos(np.clip(abs(turn[2, 2]), 0, 1))))


def _rms(residual: Float64) -> float:
    return float(np.sqrt((residual**2).sum(axis=1).mean()))
