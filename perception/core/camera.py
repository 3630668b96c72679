"""A calibrated camera: intrinsics and mounting, the road plane in metres, bird's-eye resampling."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Camera:
    """Placeholder until the camera file lands."""
