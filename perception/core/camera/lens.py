"""What a lens does to rays, and back: pinhole with radial and tangential terms, or fisheye, in OpenCV's formulas.

Rays are ``(x / z, y / z)`` of the camera frame, no unit.
"""

from collections.abc import Sequence
from math import isfinite

import cv2
import numpy as np

from perception.core.errors import ConfigError
from perception.core.types import Float64

COUNTS = {"pinhole": (0, 5, 8), "fisheye": (0, 4)}  # lens -> how many coefficients it may have
EXPECTED = {
    "pinhole": "k1, k2, p1, p2, k3 (and k4, k5, k6), or nothing",
    "fisheye": "k1, k2, k3, k4, or nothing",
}
CLOSE = 1e-7  # a straightened ray that bends back to within this is an inverse: far below a hundredth of a pixel
ROUNDS = 200  # of the fixed-point iteration, which ends where all are that close


def check(lens: str, distortion: Sequence[float]) -> None:
    """Raise `ConfigError` where the coefficients are not those of this lens."""
    if len(distortion) not in COUNTS[lens] or not all(map(isfinite, distortion)):
        raise ConfigError(
            f"camera: distortion of a {lens} lens: expected {EXPECTED[lens]}, got {list(distortion)}"
        )


def bend(lens: str, distortion: Sequence[float], rays: Float64) -> Float64:
    """``float64[..., 2]`` rays as a pinhole has them -> where the lens puts them; NaN stays NaN."""
    if not any(distortion) or not rays.size:
        return rays
    if lens == "fisheye":
        return _bend_fisheye(distortion, rays)
    # in NumPy, because what OpenCV gives depends on its optimisations, and rendered labels must not
    k1, k2, p1, p2, k3, k4, k5, k6 = (*distortion, 0.0, 0.0, 0.0)[:8]
    x, y = rays[..., 0], rays[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if k4 or k5 or k6:
        radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack(
        (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ),
        axis=-1,
    )


def straighten(lens: str, distortion: Sequence[float], rays: Float64) -> Float64:
    """The inverse of `bend`, ``float64[..., 2]``; NaN where there is none: the formula turns back before it gets there."""
    if not any(distortion) or not rays.size:
        return rays
    straight = rays.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        if lens == "fisheye":
            straight = _straighten_fisheye(distortion, rays)
        for _ in range(ROUNDS):
            missed = rays - bend(lens, distortion, straight)
            straight += missed
            off = np.abs(missed).max(axis=-1)
            if not (off >= CLOSE).any():
                break
    return np.where((off < CLOSE)[..., None], straight, np.nan)


def reach(lens: str, distortion: Sequence[float], farthest: float) -> float:
    """Radius of the rays up to which `bend` leads away from the axis, looked for up to `farthest`; ``inf`` where it does throughout."""
    radii = np.linspace(0.0, farthest * 1.01, 1025)
    turn = np.linspace(0.0, 2 * np.pi, 32, endpoint=False)
    ways = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        bent = bend(lens, distortion, radii[:, None, None] * ways)
    outward = (bent * ways).sum(axis=-1)
    turned = ~(np.diff(outward, axis=0) > 0).all(axis=1)
    return float(radii[np.argmax(turned)]) if turned.any() else float("inf")


def _straighten_fisheye(distortion: Sequence[float], rays: Float64) -> Float64:
    """A first guess by OpenCV's Newton steps, whose fixed point is found at once."""
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ROUNDS, CLOSE)
    eye, coefficients = np.eye(3), np.array(distortion, np.float64)
    found = cv2.fisheye.undistortPoints(rays.reshape(-1, 1, 2), eye, coefficients, criteria=stop)
    return np.asarray(found, np.float64).reshape(rays.shape)


def _bend_fisheye(distortion: Sequence[float], rays: Float64) -> Float64:
    coefficients = np.array(distortion, np.float64)
    bent = cv2.fisheye.distortPoints(rays.reshape(-1, 1, 2), np.eye(3), coefficients)
    return np.asarray(bent, np.float64).reshape(rays.shape)
