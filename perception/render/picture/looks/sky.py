"""The sky: colours by height and by the sun, clouds, stars at night. Worked out at half the size, for it is soft."""

from functools import cache

import cv2
import numpy as np

from perception.core.types import Float32
from perception.render.picture.light import Light
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.looks.textures import cloud_layer
from perception.render.world.chance import Chance

CLOUD_REACH = 0.34  # sides of the cloud texture per height of the clouds
DRIFT = 0.0012  # sides of the texture per second
HAZE_M = 70.0  # how high fog reaches, for what is left of the sky in it


def paint_sky(inputs: PictureInputs, bottom: int) -> Float32:
    """Light from the sky for the first `bottom` rows, ``float32[bottom, W, 3]``, whether or not something stands before it."""
    width = inputs.view.size_wh[0]
    rays = inputs.view.rays[:bottom:2, ::2]
    length = np.sqrt(np.square(rays).sum(axis=2))
    unit = rays / length[..., None]
    up = np.maximum(unit[..., 2], np.float32(0.0))
    towards = unit @ inputs.light.sun_direction.astype(np.float32)
    colours = _clear(inputs.light, up, towards)
    _add_clouds(colours, inputs, unit, (up, towards))
    colours += _disc(inputs, towards)
    _add_haze(colours, inputs.light, up)
    grown = cv2.resize(colours, (width, bottom), interpolation=cv2.INTER_LINEAR)
    sky = np.asarray(grown, np.float32)
    _add_stars(sky, inputs, bottom)
    return sky


def sky_along(light: Light, up: Float32) -> Float32:
    """What a mirror shows of sky and ground, ``float32[N, 3]``.

    Args:
        light: now.
        up: ``float32[N]``, height of the direction that it shows, -1 to 1.
    """
    steps = np.clip((up + 1) * 128, 0, 255).astype(np.int32)
    heights = np.linspace(-1, 1, 256, dtype=np.float32)
    table = _clear(light, np.maximum(heights, 0)[None], np.full((1, 256), -0.3, np.float32))[0]
    below = light.ground_ambient * np.float32(0.75)
    share = np.clip(heights * 14 + 0.5, 0, 1)[:, None]
    table = table * share + below * (1 - share)
    return np.asarray(table[steps], np.float32)


def _clear(light: Light, up: Float32, towards: Float32) -> Float32:
    """Without clouds, ``float32[h, w, 3]``."""
    rise = 1 - np.exp(up * np.float32(-3.6))
    glow = np.maximum(towards, 0)
    wide = glow**6 * np.exp(up * np.float32(-2.2))
    close = glow**90
    colours = np.empty((*up.shape, 3), np.float32)
    for k in range(3):
        plane = light.horizon[k] + (light.zenith[k] - light.horizon[k]) * rise
        plane += light.glow[k] * (wide * np.float32(0.55) + close)
        colours[..., k] = plane
    return colours


def _add_clouds(
    colours: Float32, inputs: PictureInputs, unit: Float32, heights: tuple[Float32, Float32]
) -> None:
    """Clouds on a plane far above, seen along the rays; thinner towards the horizon."""
    up, towards = heights
    amount = inputs.config.weather.clouds
    if amount <= 0.01:
        return
    light = inputs.light
    chance = Chance(inputs.config.seed, "clouds")
    shift = (chance.uniform(), chance.uniform())
    reach = np.float32(CLOUD_REACH) / (up + np.float32(0.10))
    u = unit[..., 1] * reach + np.float32(shift[0] + DRIFT * inputs.snapshot.time_s)
    v = unit[..., 0] * reach + np.float32(shift[1])
    layer = _layers()
    size = layer.shape[1] - 1
    density = np.zeros_like(up)
    for scale, weight in ((1.0, 0.74), (2.7, 0.26)):
        a, b = u * np.float32(scale), v * np.float32(scale)
        a, b = (a - np.floor(a)) * size, (b - np.floor(b)) * size
        found = cv2.remap(layer, a, b, cv2.INTER_LINEAR)
        density += np.asarray(found, np.float32) * np.float32(weight / 255)
    edge = 1.02 - 1.05 * amount**0.8
    cover = np.clip((density - np.float32(edge)) * np.float32(3.2 - 1.2 * amount), 0, 1)
    thick = np.clip((density - np.float32(edge)) * np.float32(1.5), 0, 1)
    cover *= np.clip(up * np.float32(16) + np.float32(0.15 + 0.6 * amount**2), 0, 1)
    rim = np.maximum(towards, 0) ** 8 * (1 - thick)
    for k in range(3):
        shade = light.cloud[k] * (np.float32(1.12) - np.float32(0.42) * thick)
        shade += light.sun[k] * np.float32(0.35) * rim + light.glow[k] * np.float32(0.3) * rim
        colours[..., k] += (shade - colours[..., k]) * cover * np.float32(0.94)


@cache
def _layers() -> Float32:
    """The clouds, with their first row and column again at the end."""
    return np.pad(cloud_layer(), ((0, 1), (0, 1)), mode="wrap")


def _disc(inputs: PictureInputs, towards: Float32) -> Float32:
    """The sun itself, or the moon."""
    light = inputs.light
    clear = np.float32(1 - 0.97 * inputs.config.weather.clouds**2)
    if light.sun_direction[2] < -0.02:
        return np.zeros((*towards.shape, 3), np.float32)
    disc = np.clip((towards - np.float32(0.99993)) * np.float32(40000), 0, 1) * clear
    bright: Float32 = disc[..., None] * (light.sun * np.float32(14))
    return bright


def _add_haze(colours: Float32, light: Light, up: Float32) -> None:
    """Fog between here and the sky."""
    seen = np.exp(np.float32(-light.fog_per_m * HAZE_M) / (up + np.float32(0.03)))
    colours -= light.fog
    colours *= seen[..., None]
    colours += light.fog


def _add_stars(sky: Float32, inputs: PictureInputs, bottom: int) -> None:
    """A few hundred, fixed in the world, by night and where no cloud is."""
    strength = (inputs.light.night - 0.6) * (1 - inputs.config.weather.clouds) * 0.02
    view = inputs.view
    if strength <= 0:
        return
    directions = _stars()
    turned = directions @ view.camera_from_world[:3, :3].T
    ahead = turned[:, 2] > 0.1
    pixels = view.project(turned[ahead])
    columns, rows = np.floor(pixels).astype(np.int64).T
    inside = (columns >= 0) & (columns < sky.shape[1]) & (rows >= 0) & (rows < bottom)
    bright = np.linspace(0.15, 1, len(directions))[ahead][inside] ** 3 * strength
    sky[rows[inside], columns[inside]] += bright[:, None].astype(np.float32)


@cache
def _stars() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rng = np.random.Generator(np.random.PCG64(51))
    points = rng.standard_normal((900, 3))
    points[:, 2] = np.abs(points[:, 2])
    lengths: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.sqrt(
        np.square(points).sum(axis=1, keepdims=True)
    )
    return points / lengths
