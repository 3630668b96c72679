"""Drives that the project makes again and again: varied ones to learn from, the shipped demo, the one that loops as a source."""

from collections.abc import Mapping

from perception.core.labels import LIGHTS as LIGHT_NAMES
from perception.render.config import (
    CameraConfig,
    DriveConfig,
    LightConfig,
    OpticsConfig,
    Place,
    WeatherConfig,
)
from perception.render.world.chance import Chance

# what a dashcam sees over a year: most of it by day
DAY, LOW_SUN, DUSK, NIGHT = LIGHT_NAMES
LIGHTS: Mapping[str, tuple[float, tuple[float, float]]] = {  # share, and the sun's elevation, deg
    DAY: (0.66, (18.0, 62.0)),
    LOW_SUN: (0.14, (4.0, 18.0)),
    DUSK: (0.12, (-5.0, 3.0)),
    NIGHT: (0.08, (-20.0, -9.0)),
}
PLACES: Mapping[Place, float] = {"town": 0.45, "country": 0.25, "mixed": 0.30}
RAIN, FOG = 0.14, 0.07  # share of the drives
EXPOSURE_MS: Mapping[str, tuple[float, float]] = {
    DAY: (1.0, 6.0), LOW_SUN: (3.0, 9.0), DUSK: (8.0, 16.0), NIGHT: (12.0, 22.0),
}  # fmt: skip

RAINING, FOG_M = 0.1, 350.0  # from this much rain on, and below this visibility

SOURCE_DRIVE = DriveConfig(duration_s=10.0, fps=30.0)  # what ``--source synthetic`` plays


def varied_drive(seed: int) -> DriveConfig:
    """A drive at a place, in light, weather and traffic, and through a camera, that are drawn by the seed."""
    chance = Chance("varied drive", seed)
    light = chance.choice(tuple(LIGHTS), [share for share, _ in LIGHTS.values()])
    place = chance.choice(tuple(PLACES), tuple(PLACES.values()))
    town = place != "country"
    return DriveConfig(
        seed=seed,
        place=place,
        vehicles=3 + chance.integer(12 if town else 7),
        people=chance.integer(14 if town else 3),
        camera=CameraConfig(
            horizontal_fov_deg=_drawn(chance, 55, 95),
            height_m=_drawn(chance, 1.15, 1.75),
            pitch_deg=_drawn(chance, -6, 1),
        ),
        light=LightConfig(
            elevation_deg=_drawn(chance, *LIGHTS[light][1]),
            azimuth_deg=_drawn(chance, -180, 180),
        ),
        weather=_weather(chance),
        optics=OpticsConfig(
            shake=_drawn(chance, 0.5, 1.6),
            exposure_ms=_drawn(chance, *EXPOSURE_MS[light]),
            noise=_drawn(chance, 0.5, 1.6),
        ),
    )


def _weather(chance: Chance) -> WeatherConfig:
    if chance.flag(RAIN):
        return WeatherConfig(
            clouds=_drawn(chance, 0.8, 1),
            rain=_drawn(chance, 0.2, 1),
            visibility_m=_drawn(chance, 400, 2000),
        )
    if chance.flag(FOG):
        return WeatherConfig(clouds=_drawn(chance, 0.7, 1), visibility_m=_drawn(chance, 60, 300))
    return WeatherConfig(clouds=_drawn(chance, 0, 1), visibility_m=_drawn(chance, 1500, 8000))


def light_of(config: DriveConfig) -> str:
    """A word of `LIGHTS` for the first frame: by the lowest elevation that such drives are drawn with."""
    elevation = config.light.elevation_deg
    return next((name for name, (_, (low, _)) in LIGHTS.items() if elevation >= low), NIGHT)


def weather_of(config: DriveConfig) -> str:
    """``rain``, ``fog`` or ``dry``."""
    if config.weather.rain >= RAINING:
        return "rain"
    return "fog" if config.weather.visibility_m < FOG_M else "dry"


def _drawn(chance: Chance, low: float, high: float) -> float:
    # short numbers: they stand in every drive.json
    return round(chance.uniform(low, high), 2)


def demo_drive() -> DriveConfig:
    """The shipped demo: 20 s from town into the country, the sun going down, dusk at the end."""
    return DriveConfig(
        seed=7,
        duration_s=20.0,
        fps=10.0,
        place="mixed",
        vehicles=10,
        people=9,
        light=LightConfig(elevation_deg=16.0, end_elevation_deg=-4.0, azimuth_deg=50.0),
        weather=WeatherConfig(clouds=0.35),
    )


def sheet_drives() -> tuple[tuple[str, DriveConfig, float], ...]:
    """The scenes of the contact sheet: what each shows, its drive, and where in it, as a share of its frames."""

    def scene(seed: int, place: Place, sun_deg: float, **weather: float) -> DriveConfig:
        azimuth_deg = (seed * 67) % 240 - 120
        return DriveConfig(
            seed=seed,
            place=place,
            vehicles=10,
            people=9,
            light=LightConfig(elevation_deg=sun_deg, azimuth_deg=float(azimuth_deg)),
            weather=WeatherConfig(**weather),
        )

    return (
        ("town, day", scene(1, "town", 48), 0.3),
        ("town, overcast", scene(2, "town", 40, clouds=1.0), 0.6),
        ("town, low sun", scene(3, "town", 9), 0.5),
        ("town, rain", scene(4, "town", 30, clouds=0.95, rain=0.8, visibility_m=900.0), 0.4),
        ("town, dusk", scene(5, "town", -2), 0.7),
        ("town, night", scene(6, "town", -14), 0.3),
        ("country, day", scene(7, "country", 52, clouds=0.15), 0.2),
        ("country, fog", scene(8, "country", 25, clouds=0.9, visibility_m=110.0), 0.5),
        ("country, low sun", scene(9, "country", 6), 0.8),
        ("country, night", scene(10, "country", -16), 0.4),
        ("end of town", scene(11, "mixed", 35, clouds=0.6), 0.55),
        ("end of town, rain at dusk", scene(12, "mixed", 1, clouds=0.9, rain=0.6), 0.5),
    )
