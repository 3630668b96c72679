from itertools import pairwise

import numpy as np
import pytest

from perception.render.config import DriveConfig, LightConfig, WeatherConfig
from perception.render.picture.light import build_light


def light_at(elevation_deg, **weather):
    config = DriveConfig(
        light=LightConfig(elevation_deg=elevation_deg), weather=WeatherConfig(**weather)
    )
    return build_light(config, 0.0)


def test_the_light_falls_with_the_sun():
    levels = [light_at(e).sky_ambient.mean() for e in (40, 12, 3, -1, -4, -8, -20)]
    assert all(a > b for a, b in pairwise(levels))


def test_the_low_sun_is_redder_than_the_high_one():
    high, low = light_at(50).sun, light_at(4).sun
    assert low[2] / low[0] > 1.5 * high[2] / high[0]


def test_lamps_go_on_at_dusk_and_stay_on_at_night():
    assert light_at(20).lamps == 0
    assert light_at(-3).lamps == 1
    assert light_at(-30).lamps == 1


def test_closed_clouds_leave_no_sun():
    assert light_at(40, clouds=1.0).sun.max() == 0
    assert light_at(40, clouds=0.2).sun.max() > 1


def test_the_camera_answers_to_the_dark_but_not_fully():
    day, dusk, night = (light_at(e) for e in (40, -3, -15))
    assert day.exposure < dusk.exposure < night.exposure
    assert day.sky_ambient.mean() * day.exposure > 3 * night.sky_ambient.mean() * night.exposure


def test_visibility_is_where_contrast_is_five_percent():
    light = light_at(40, visibility_m=200.0)
    assert np.exp(-200 * light.fog_per_m) == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("elevation_deg", [-90, -12, -0.6, 0, 0.01, 5, 90])
@pytest.mark.parametrize("clouds", [0.0, 1.0])
def test_every_sun_gives_light_that_is_finite_and_not_negative(elevation_deg, clouds):
    light = light_at(elevation_deg, clouds=clouds, visibility_m=0.0)
    for name in (
        "sun",
        "sky_ambient",
        "ground_ambient",
        "zenith",
        "horizon",
        "glow",
        "cloud",
        "fog",
    ):
        colour = getattr(light, name)
        assert colour.shape == (3,)
        assert colour.dtype == np.float32
        assert np.isfinite(colour).all()
        assert (colour >= 0).all()
    assert np.linalg.norm(light.sun_direction) == pytest.approx(1)


def test_the_sun_moves_from_its_first_to_its_last_place():
    config = DriveConfig(duration_s=10, light=LightConfig(elevation_deg=10, end_elevation_deg=-10))
    heights = [build_light(config, t).sun_direction[2] for t in (0.0, 5.0, 10.0, 11.0)]
    assert heights[0] > heights[1] > heights[2] == heights[3]
