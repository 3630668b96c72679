"""How the camera moved between two pictures, from the rays of the same points: the turn is taken out, the direction of travel stays."""

from dataclasses import dataclass

import cv2
import numpy as np

from perception.core.camera.rotation import rotation_matrix
from perception.core.types import Float64

RANSAC_PX = 1.0
TRUNCATED_PX = (
    0.1,
    1.0,
)  # in the fit: where a residual counts half; twice the deviation of the points, within these
ROUNDS = 8
LEAST_POINTS = 24
STEP = 1e-6  # of the numeric derivative, rad


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """From one picture to another: ``X_after = rotation (X_before - s direction)``, s metres travelled.

    Attributes:
        rotation: ``float64[3, 3]``.
        direction: ``float64[3]``, of length 1, in the axes of the first picture, ahead.
        sigma_rad: one standard deviation of the direction across, from the residuals; the larger of the two.
    """

    rotation: Float64
    direction: Float64
    sigma_rad: float

    @property
    def turn_deg(self) -> float:
        """Size of the rotation."""
        return float(np.degrees(np.linalg.norm(_vector(self.rotation))))


def find_motion(before: Float64, after: Float64, focal_px: float) -> Motion | None:
    """The motion that most points agree with; ``None`` where they are too few or do not agree.

    First five points at a time by RANSAC on the essential matrix, then all by least squares over rotation and direction, Sampson's distance under a
    Cauchy weight: what moves by itself loses its say.

    Args:
        before: ``float64[N, 3]`` rays with z = 1.
        after: the same points in the other picture.
        focal_px: what one px is worth.
    """
    if len(before) < LEAST_POINTS:
        return None
    essential, mask = cv2.findEssentialMat(
        before[:, :2], after[:, :2], np.eye(3), cv2.RANSAC, 0.999, RANSAC_PX / focal_px
    )
    if essential is None or essential.shape != (3, 3):
        return None
    kept = mask.ravel() > 0
    if kept.sum() < LEAST_POINTS:
        return None
    _, turned, moved, _ = cv2.recoverPose(essential, before[kept, :2], after[kept, :2], np.eye(3))
    ahead = -turned.T @ moved.ravel()
    # in reverse gear the axis is the same
    return _refine(before, after, np.asarray(turned), ahead * np.sign(ahead[2] or 1.0), focal_px)


def angles_of(direction: Float64, roll_deg: float) -> tuple[float, float]:
    """Pitch and yaw, deg, of a camera of this roll that sees what lies straight ahead on the road in this direction."""
    x, y, z = rotation_matrix(0, 0, roll_deg) @ direction
    return float(np.degrees(np.arctan2(y, z))), float(np.degrees(np.arctan2(-x, np.hypot(y, z))))


def ahead_of(pitch_deg: float, yaw_deg: float, roll_deg: float) -> Float64:
    """The inverse of `angles_of`: ``float64[3]``, in camera axes."""
    return np.asarray(rotation_matrix(yaw_deg, pitch_deg, roll_deg)[2], np.float64)


def _refine(
    before: Float64, after: Float64, rotation: Float64, direction: Float64, focal_px: float
) -> Motion | None:
    for _ in range(ROUNDS):
        across = _across(direction)

        def residuals(
            step: Float64,
            rotation: Float64 = rotation,
            direction: Float64 = direction,
            across: Float64 = across,
        ) -> Float64:
            moved = direction + step[3:] @ across
            return focal_px * _sampson(before, after, _turn(step[:3]) @ rotation, moved)

        at = residuals(np.zeros(5))
        slopes = np.stack([(residuals(STEP * e) - at) / STEP for e in np.eye(5)], axis=1)
        scale = float(np.clip(3 * np.median(np.abs(at)), *TRUNCATED_PX))
        weights = 1 / (1 + (at / scale) ** 2)
        normal = slopes.T @ (slopes * weights[:, None])
        if np.linalg.cond(normal) > 1e12:
            return None
        step = np.asarray(-np.linalg.solve(normal, slopes.T @ (weights * at)), np.float64)
        rotation = _turn(step[:3]) @ rotation
        direction = direction + step[3:] @ across
        direction = direction / np.linalg.norm(direction)
    spread = float((weights * at**2).sum() / max(weights.sum() - 5, 1))
    covariance = np.linalg.inv(normal) * spread
    sigma = float(np.sqrt(np.linalg.eigvalsh(covariance[3:, 3:])[-1]))
    return Motion(rotation, direction, sigma) if direction[2] > 0 else None


def _sampson(before: Float64, after: Float64, rotation: Float64, direction: Float64) -> Float64:
    """Signed first-order distance to the epipolar geometry, in rays' units."""
    moved = -rotation @ direction
    essential = np.cross(np.eye(3), moved) @ rotation
    lines, lines_back = before @ essential.T, after @ essential
    scale = np.sqrt((lines[:, :2] ** 2).sum(1) + (lines_back[:, :2] ** 2).sum(1))
    return np.asarray((after * lines).sum(1) / np.maximum(scale, 1e-12), np.float64)


def _across(direction: Float64) -> Float64:
    """``float64[2, 3]``: two directions at right angles to one."""
    return np.asarray(np.linalg.svd(direction[None])[2][1:], np.float64)


def _turn(vector: Float64) -> Float64:
    return np.asarray(cv2.Rodrigues(vector)[0], np.float64)


def _vector(rotation: Float64) -> Float64:
    return np.asarray(cv2.Rodrigues(rotation)[0], np.float64).ravel()
