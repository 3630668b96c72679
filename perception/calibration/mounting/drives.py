"""The synthetic drives on which the estimate of a mounting is judged: by day, in town and country, heights and pitches in turn."""

from pathlib import Path

from perception.render.config import (
    CameraConfig,
    DriveConfig,
    LightConfig,
    OpticsConfig,
    Place,
    WeatherConfig,
)
from perception.render.store import cache_folder

TUNING_SEEDS = (100, 101, 102, 103)  # the constants of this package were chosen on these
HEIGHTS_M = (1.2, 1.45, 1.7, 1.3)
PITCHES_DEG = (-4.0, -1.5, 1.0)
PLACES: tuple[Place, ...] = ("town", "country")
SECONDS, FPS = 6.0, 10.0
SIZE_WH = (832, 256)


def bench_drive(seed: int) -> DriveConfig:
    """A drive by day; its place, height and pitch go round by the seed, so that twelve in a row meet every pair of the two."""
    return DriveConfig(
        seed=seed,
        duration_s=SECONDS,
        fps=FPS,
        place=PLACES[seed // 2 % len(PLACES)],
        vehicles=9,
        people=4,
        camera=CameraConfig(
            size_wh=SIZE_WH,
            horizontal_fov_deg=70.0,
            height_m=HEIGHTS_M[seed % len(HEIGHTS_M)],
            pitch_deg=PITCHES_DEG[seed % len(PITCHES_DEG)],
        ),
        light=LightConfig(elevation_deg=40.0, azimuth_deg=float(seed * 67 % 240 - 120)),
        weather=WeatherConfig(clouds=seed % 3 * 0.4),
        optics=OpticsConfig(exposure_ms=4.0),
    )


def drive_folder(seed: int, root: Path | None) -> Path:
    """Where the drive of a seed is kept: under `root`, or in the cache of drives."""
    return cache_folder(bench_drive(seed)) if root is None else root / f"{seed:06d}"
