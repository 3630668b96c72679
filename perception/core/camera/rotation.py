"""Yaw, pitch and roll of a mounted camera as a rotation, and cameras from the matrices that other tools write."""

from math import asin, atan2, degrees

import numpy as np

from perception.core.types import Float64


def rotation_matrix(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float64:
    """``float64[3, 3]`` road from camera: ``Ry(yaw) Rx(pitch) Rz(roll)``."""
    (cy, cp, cr), (sy, sp, sr) = (
        f(np.radians([yaw_deg, pitch_deg, roll_deg])) for f in (np.cos, np.sin)
    )
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix: Float64 = yaw @ pitch @ roll
    return matrix


def angles_deg(rotation: Float64) -> tuple[float, float, float]:
    """Yaw, pitch and roll whose `rotation_matrix` is the given one; the inverse of it for pitch in (-90, 90)."""
    pitch = asin(float(np.clip(-rotation[1, 2], -1, 1)))
    yaw = atan2(rotation[0, 2], rotation[2, 2])
    roll = atan2(rotation[1, 0], rotation[1, 1])
    return degrees(yaw), degrees(pitch), degrees(roll)
