"""Rain: a road that mirrors what stands behind it, streaks in the air, drops on the lens."""

import cv2
import numpy as np

from perception.core.types import Float32, UInt8
from perception.render.picture.looks.ground import Layers
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.world.chance import Chance

STREAKS = 520  # at the heaviest rain, in a picture of the usual size
DROPS = 16
USUAL_AREA_PX = 1248 * 384


def add_mirror(picture: Float32, inputs: PictureInputs, ground: Layers) -> None:
    """Lay what wet ground mirrors over the rows below the horizon, in place.

    A mirrored point stands as far below the foot of its thing as it stands above it, so a row that lies r rows below the foot shows
    what is r rows above. Where no thing stands, the foot is the horizon.

    Args:
        picture: ``float32[H, W, 3]``, without fog.
        inputs: of it.
        ground: its wet share is used.
    """
    if ground.wet is None:
        return
    top = ground.top
    height, width = inputs.ground.depth_m.shape
    small = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    solid = np.ones((height // 2, width // 2), np.bool_)
    seen = inputs.ground.seen[: height // 2 * 2 : 2, : width // 2 * 2 : 2]
    solid &= ~seen
    rows = np.arange(height // 2, dtype=np.float32)[:, None]
    foot = np.maximum.accumulate(np.where(solid, rows, -1.0).astype(np.float32), axis=0)
    foot = cv2.blur(foot, (3, 1))
    first = top // 2
    columns = np.broadcast_to(np.arange(width // 2, dtype=np.float32), foot[first:].shape)
    ripple = _ripples(inputs, foot[first:].shape)
    source = np.clip(2 * foot[first:] - rows[first:] + ripple, 0, None)
    shown = cv2.remap(
        small,
        columns + ripple * np.float32(0.25),
        source,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    shown = cv2.blur(shown, (3, 9))
    shown = cv2.resize(shown, (width, height - top), interpolation=cv2.INTER_LINEAR)
    reach = np.maximum(inputs.ground.depth_m[top:], np.float32(1))
    slant = np.float32(inputs.view.centre_m[2]) / reach
    share = np.float32(0.03) + np.float32(0.9) * (1 - np.minimum(slant, 1)) ** 5
    share *= ground.wet * inputs.ground.seen[top:]
    np.minimum(share, 0.85, out=share)
    part = picture[top:]
    part[:] = cv2.blendLinear(shown, part, share, 1 - share)


def _ripples(inputs: PictureInputs, shape: tuple[int, ...]) -> Float32:
    """Small shifts of the mirror, new in each frame."""
    rng = np.random.Generator(np.random.PCG64([inputs.config.seed, inputs.index, 81]))
    rough = rng.standard_normal((shape[0] // 3 + 1, shape[1] // 6 + 1), dtype=np.float32)
    grown = cv2.resize(rough, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.float32) * np.float32(1.6 * inputs.config.weather.rain)


def add_streaks(picture: Float32, inputs: PictureInputs) -> None:
    """Draw falling rain, in place, as bright as the fog."""
    rain = inputs.config.weather.rain
    if rain <= 0:
        return
    height, width = picture.shape[:2]
    rng = np.random.Generator(np.random.PCG64([inputs.config.seed, inputs.index, 82]))
    count = round(STREAKS * rain * height * width / USUAL_AREA_PX)
    scale = height / 384
    mask = np.zeros((height, width), np.uint8)
    x, y, near, bend = rng.random((4, count))
    away = (x - 0.5) * 2
    for k in range(count):
        length = (6 + 26 * near[k] ** 3) * scale
        start = (x[k] * width, y[k] * height * 1.1 - 0.05 * height)
        end = (start[0] + length * (0.28 * away[k] + 0.10 * bend[k]), start[1] + length)
        _line(mask, start, end, round(26 + 60 * near[k]))
    soft = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0.7), np.uint8).reshape(-1)
    wet = np.flatnonzero(soft)
    share = soft[wet].astype(np.float32) * np.float32(0.75 / 255)
    bright = (inputs.light.fog * np.float32(1.1)).astype(np.float32)
    flat = picture.reshape(-1, 3)
    here = flat[wet]
    flat[wet] = here + (bright - here) * share[:, None]


def _line(mask: UInt8, start: tuple[float, float], end: tuple[float, float], value: int) -> None:
    ends = [(round(x * 8), round(y * 8)) for x, y in (start, end)]
    cv2.line(mask, ends[0], ends[1], value, 1, cv2.LINE_AA, 3)


def add_drops(picture: Float32, inputs: PictureInputs) -> None:
    """A few drops on the lens, in place: each shows the picture small and upside down, and stays for some frames."""
    rain = inputs.config.weather.rain
    if rain <= 0.05:
        return
    height, width = picture.shape[:2]
    time_s = inputs.snapshot.time_s
    for slot in range(round(DROPS * min(rain * 1.3, 1.0))):
        period = 1.5 + 2.5 * Chance(inputs.config.seed, "drop time", slot).uniform()
        chance = Chance(inputs.config.seed, "drop", slot, int(time_s / period + slot * 0.37))
        radius = chance.uniform(0.012, 0.035) * height
        middle = (chance.uniform(0, width), chance.uniform(0, height))
        _drop(picture, middle, radius)


def _drop(picture: Float32, middle: tuple[float, float], radius: float) -> None:
    height, width = picture.shape[:2]
    x0, y0 = (max(int(m - radius * 1.3), 0) for m in middle)
    x1 = min(int(middle[0] + radius * 1.3) + 2, width)
    y1 = min(int(middle[1] + radius * 1.3) + 2, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    columns, rows = np.meshgrid(
        np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)
    )
    dx, dy = (columns - np.float32(middle[0])) / radius, (rows - np.float32(middle[1])) / radius
    far = np.sqrt(dx * dx + dy * dy * np.float32(0.8))
    share = np.clip((1 - far) * 2.2, 0, 1).astype(np.float32) * np.float32(0.8)
    u = np.float32(middle[0]) - dx * radius * 5
    v = np.float32(middle[1]) - dy * radius * 5
    shown = cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    shown = cv2.blur(shown, (3, 3)) * (np.float32(0.95) - np.float32(0.35) * far**3)[..., None]
    part = picture[y0:y1, x0:x1]
    part += (np.asarray(shown, np.float32) - part) * share[..., None]
