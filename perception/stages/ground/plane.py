"""The road plane under a camera, and how sure a distance on it is.

A distance is the camera's height over the slope of the ray below the horizon, so its inverse is what errors act on evenly: 1 / z is taken as
normal, its variance the sum of those from pitch, height, focal length and foot pixel. The interval of z is then lopsided, grows with the square of z
and has no upper end where 1 / z may be 0. The road is taken as a plane; its slope, like the pitching of the vehicle, is in the sigma of the pitch.
"""

from dataclasses import dataclass, replace
from math import hypot
from statistics import NormalDist

import numpy as np

from perception.core.camera import Camera
from perception.core.types import Float64

Z95 = NormalDist().inv_cdf(0.975)  # sigmas of a 95 % interval
LESS_SURE_THAN_LONG = 2**0.5 - 1  # share of 1 / z at which the interval of z is as wide as z
STEP_DEG, STEP_SHARE, STEP_PX = 1e-3, 1e-4, 1e-2  # of the derivatives
SEARCH_M = np.geomspace(1.0, 1000.0, 600)  # where the farthest distance is looked for


@dataclass(frozen=True, slots=True)
class Sigmas:
    """One standard deviation of everything that a distance rests on; the defaults of pitch and foot are those that `perception bench distance` chooses.

    Attributes:
        pitch_deg: of the camera against the road under the object: the slope of the road and the pitching of the vehicle, which no camera file knows;
            `Camera.pitch_sigma_deg`, where it is stated, is added in squares.
        height_m: of the camera above the road, where its file states none.
        focal_share: of the focal length, where the file states none.
        foot_px, foot_share: of the lower edge of a box: px, and share of the height of the box; they add in squares.
    """

    pitch_deg: float = 0.65
    height_m: float = 0.05
    focal_share: float = 0.005
    foot_px: float = 0.8
    foot_share: float = 0.037

    def foot_sigma_px(self, height_px: Float64) -> Float64:
        """``[K]`` heights of boxes -> ``float64[K]``."""
        sigma: Float64 = np.hypot(self.foot_px, self.foot_share * height_px)
        return sigma


DEFAULT_SIGMAS = Sigmas()


class RoadPlane:
    """The road plane of one camera.

    Args:
        camera: at the size of the frames.
        sigmas: where the camera's file states none.

    Attributes:
        camera, sigmas: as given.
        farthest_m: z up to which the interval of a point straight ahead, seen to `Sigmas.foot_px`, is narrower than z is long.

    Raises:
        ConfigError: nobody measured how the camera is mounted.
    """

    def __init__(self, camera: Camera, sigmas: Sigmas = DEFAULT_SIGMAS) -> None:
        self.camera, self.sigmas = camera, sigmas
        self._homography = camera.ground_from_image
        self._height_m = camera.height_m or 0.0  # the line above has refused a camera without
        pitch_deg, height_m, focal_share = stated_sigmas(camera, sigmas)
        moved = (
            (pitch_deg / STEP_DEG, replace(camera, pitch_deg=camera.pitch_deg + STEP_DEG)),
            (height_m / (STEP_SHARE * self._height_m), replace(camera, height_m=self._height_m * (1 + STEP_SHARE))),
            (
                focal_share / STEP_SHARE,
                replace(camera, fx_px=camera.fx_px * (1 + STEP_SHARE), fy_px=camera.fy_px * (1 + STEP_SHARE)),
            ),
        )  # fmt: skip
        self._steps = [(times, one.ground_from_image) for times, one in moved]
        ahead_m = np.stack([np.zeros_like(SEARCH_M), SEARCH_M + camera.forward_m], axis=-1)
        unsure = Z95 * self._share(camera.image_points(ahead_m), np.array([sigmas.foot_px]))
        within = np.flatnonzero(unsure < LESS_SURE_THAN_LONG)
        self.farthest_m = float(ahead_m[within[-1], 1]) if len(within) else camera.forward_m

    def points(self, points_px: Float64) -> Float64:
        """``[N, 2]`` px of the frame as the lens gives it -> ``float64[N, 2]`` (x, z) in m; NaN at and above the horizon."""
        return self.camera.ground_points(self.camera.undistorted(points_px))

    def intervals(self, points_px: Float64, foot_sigma_px: Float64) -> Float64:
        """95 % intervals of z.

        Args:
            points_px: ``[N, 2]``, px of the frame as the lens gives it.
            foot_sigma_px: ``[N]``, of their y.

        Returns:
            ``float64[N, 2]``, m; infinite above where the horizon lies within, NaN where the point has no distance.
        """
        straight = self.camera.undistorted(points_px)
        inverse = self._inverse(self._homography, straight)
        unsure = Z95 * self._share(straight, foot_sigma_px)
        with np.errstate(divide="ignore"):
            near = 1 / (inverse * (1 + unsure))
            far = 1 / (inverse * np.maximum(1 - unsure, 0))
        return np.stack([near, far], axis=-1) + self.camera.forward_m

    def horizon_y(self, x_px: Float64) -> Float64:
        """``[N]`` undistorted px from the left -> ``float64[N]``: where the horizon lies there, undistorted px."""
        a, b, c = self._homography[2].tolist()
        y_px: Float64 = -(a * x_px + c) / b
        return y_px

    def _share(self, straight_px: Float64, foot_sigma_px: Float64) -> Float64:
        """One sigma of 1 / z as a share of it, ``float64[N]``."""
        inverse = self._inverse(self._homography, straight_px)
        below = straight_px + np.array([0.0, STEP_PX])
        moves = [(self._inverse(self._homography, below) - inverse) * foot_sigma_px / STEP_PX]
        moves += [
            (self._inverse(moved, straight_px) - inverse) * times for times, moved in self._steps
        ]
        share: Float64 = np.sqrt(np.sum(np.square(moves), axis=0)) / inverse
        return share

    def _inverse(self, ground_from_image: Float64, straight_px: Float64) -> Float64:
        """1 / z in 1/m, z from the camera itself, ``float64[N]``; NaN at and above the horizon, where it is not positive."""
        lifted = straight_px @ ground_from_image[1:, :2].T + ground_from_image[1:, 2]
        ahead = lifted[:, 0] - self.camera.forward_m * lifted[:, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            inverse = lifted[:, 1] / ahead
            return np.where(inverse > 0, inverse, np.nan)


def stated_sigmas(camera: Camera, sigmas: Sigmas) -> tuple[float, float, float]:
    """Of the pitch in degrees, the height in m and the focal length as a share: with the file's, where it states them."""
    pitch_deg = hypot(camera.pitch_sigma_deg or 0.0, sigmas.pitch_deg)
    height_m = sigmas.height_m if camera.height_sigma_m is None else camera.height_sigma_m
    focal = camera.focal_sigma_px
    return pitch_deg, height_m, sigmas.focal_share if focal is None else focal / camera.fy_px
