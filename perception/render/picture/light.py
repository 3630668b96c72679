"""The light of a moment: sun, sky, lamps, fog, and how the camera answers to it. Knows nothing of what stands in it."""

from dataclasses import dataclass
from math import cos, exp, radians, sin

import numpy as np

from perception.core.types import Float32, Float64
from perception.render.config import DriveConfig

SUN_BGR = (2.55, 2.95, 3.10)  # of the high sun in clear air, on a surface that faces it
AIR_BGR = (0.20, 0.10, 0.055)  # extinction of one air mass: the low sun is red
DAY_ZENITH_BGR = (0.78, 0.43, 0.20)
DAY_HORIZON_BGR = (0.98, 0.86, 0.72)
CLOUD_BGR = (0.95, 0.93, 0.91)
GLOW_BGR = (0.30, 0.72, 1.50)  # the sky around the low sun
NIGHT_ZENITH_BGR = (0.0046, 0.0030, 0.0022)
NIGHT_HORIZON_BGR = (0.0085, 0.0095, 0.0115)  # towns light the haze
LAMP_BGR = (0.50, 0.80, 1.0)  # street lamps, warm
BEAM_BGR = (0.92, 0.98, 1.0)  # head lamps
GROUND_SHARE = 0.19  # of the light from above that the ground sends back up
MIDDLE_GREY = 0.37  # what the camera makes of the mean of a scene
DARKEST = 0.014  # the camera takes no scene for darker than this, and leaves the night dark
LAMP_MEAN = 0.038  # what lamps add to the mean of a scene
ADAPTS = 0.93  # 1 would make noon and dusk equally bright


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light of one moment. Colours are ``float32[3]``, linear BGR; 1 is the light of a white wall by day.

    Attributes:
        sun_direction: ``float64[3]``, world, length 1, towards the sun; also where the moon stands, when it is night.
        sun: on a surface that faces the sun; 0 when it is down or behind closed clouds.
        sky_ambient: on a surface that looks up, without the sun.
        ground_ambient: on a surface that looks down.
        zenith, horizon: of the sky.
        glow: of the sky around the sun.
        cloud: of the sun's side of clouds.
        fog: what far things fade to.
        fog_per_m: share of contrast that is lost, 1/m.
        night: in [0, 1], from daylight to dark.
        lamps: in [0, 1]: how far lamps are on.
        exposure: what the camera multiplies light by.
    """

    sun_direction: Float64
    sun: Float32
    sky_ambient: Float32
    ground_ambient: Float32
    zenith: Float32
    horizon: Float32
    glow: Float32
    cloud: Float32
    fog: Float32
    fog_per_m: float
    night: float
    lamps: float
    exposure: float


def build_light(config: DriveConfig, time_s: float) -> Light:
    """The light of a drive at one moment."""
    part = min(max(time_s / config.duration_s, 0.0), 1.0)
    first = config.light.elevation_deg
    last = first if config.light.end_elevation_deg is None else config.light.end_elevation_deg
    elevation_deg = first + (last - first) * part
    clouds, rain = config.weather.clouds, config.weather.rain
    direction = _direction(max(elevation_deg, -89.0), config.light.azimuth_deg)
    open_share = 1 - smooth(0.35, 1.0, clouds)
    day = _daylight(elevation_deg)
    low = smooth(22.0, 3.0, elevation_deg) * smooth(-9.0, -1.5, elevation_deg)
    sun = _sun(elevation_deg) * np.float32(open_share)
    night_share = smooth(1.0, -7.0, elevation_deg)

    grey = 0.75 - 0.22 * rain
    veil = smooth(0.3, 1.0, clouds)
    zenith = _mix(_bgr(DAY_ZENITH_BGR), _bgr(CLOUD_BGR) * grey, veil * 0.92)
    horizon = _mix(_bgr(DAY_HORIZON_BGR), _bgr(CLOUD_BGR) * (grey + 0.05), veil)
    warm = np.array([0.62, 0.80, 1.02], np.float32)
    horizon = horizon * _mix(np.ones(3, np.float32), warm, low * (1 - 0.7 * veil))
    blue = low * smooth(4.0, -3.0, elevation_deg) * (1 - veil)
    zenith = zenith * _mix(np.ones(3, np.float32), np.array([1.05, 0.72, 0.62], np.float32), blue)
    zenith = zenith * day + _bgr(NIGHT_ZENITH_BGR)
    horizon = horizon * day + _bgr(NIGHT_HORIZON_BGR) * (0.8 + 0.5 * clouds)
    glow = _bgr(GLOW_BGR) * np.float32((0.15 + low) * (1 - 0.85 * veil) * day**0.8)
    cloud = _bgr(CLOUD_BGR) * grey * day + sun * 0.28 * low + _bgr(NIGHT_HORIZON_BGR)

    sky_ambient = (zenith * 0.55 + horizon * 0.45) * (0.92 + 0.25 * veil) + glow * 0.12
    sky_ambient = sky_ambient + _bgr(NIGHT_HORIZON_BGR) * np.float32(0.5 * night_share)
    fog = horizon * 0.93 + glow * 0.06
    from_above = sky_ambient + sun * max(float(direction[2]), 0.0)
    lamps = smooth(3.5, -1.5, elevation_deg + 4 * (1 - open_share) * -0.5)
    mean = float(from_above.mean()) * 0.30 + float(sky_ambient.mean()) * 0.16 + LAMP_MEAN * lamps
    return Light(
        sun_direction=direction,
        sun=sun,
        sky_ambient=sky_ambient,
        ground_ambient=from_above * np.float32(GROUND_SHARE),
        zenith=zenith,
        horizon=horizon,
        glow=glow,
        cloud=cloud,
        fog=fog,
        fog_per_m=3.0 / max(config.weather.visibility_m, 5.0),
        night=night_share,
        lamps=lamps,
        exposure=MIDDLE_GREY / max(mean, DARKEST) ** ADAPTS,
    )


def smooth(start: float, end: float, value: float) -> float:
    """0 at `start`, 1 at `end`, with no corner; `end` may be the lower one."""
    t = min(max((value - start) / (end - start), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _direction(elevation_deg: float, azimuth_deg: float) -> Float64:
    elevation, azimuth = radians(elevation_deg), radians(azimuth_deg)
    across = cos(elevation)
    return np.array([across * cos(azimuth), across * sin(azimuth), sin(elevation)])


def _sun(elevation_deg: float) -> Float32:
    """Its light after the air (air mass of Kasten and Young, 1989)."""
    if elevation_deg < -0.6:
        return np.zeros(3, np.float32)
    above = max(elevation_deg, 0.0)
    mass = 1 / (sin(radians(above)) + 0.50572 * (above + 6.07995) ** -1.6364)
    rising = smooth(-0.6, 1.5, elevation_deg)
    through = [c * exp(-a * (mass - 1)) * rising for c, a in zip(SUN_BGR, AIR_BGR, strict=True)]
    return np.array(through, np.float32)


def _daylight(elevation_deg: float) -> float:
    """How bright the sky is, 1 by day; below the horizon it halves with each degree and a quarter."""
    above = 0.22 + 0.78 * smooth(-4.0, 26.0, max(elevation_deg, 0.0))
    return above * exp(min(elevation_deg, 0.0) * 0.55)


def _bgr(values: tuple[float, float, float]) -> Float32:
    return np.array(values, np.float32)


def _mix(first: Float32, second: Float32, share: float) -> Float32:
    mixed: Float32 = first + (second - first) * np.float32(share)
    return mixed
