"""From light to the camera's picture: motion blur, bloom, lens, noise, tone curve."""

from functools import cache

import cv2
import numpy as np

from perception.core.types import Float32, UInt8
from perception.render.config import DriveConfig
from perception.render.picture.light import Light
from perception.render.records import Int32

STEPS = 4096  # of the tone curve
TOP = 12.0  # light that is white and more; the curve's steps run with its square root
NOISE = 0.0065  # of a usual sensor by day, in steps of the square root of the light
NOISE_MOST = 0.021  # of the camera at its highest gain
CORNER = 0.22  # share of the light that the lens loses in the corners
BLUR_LIMIT_PX = 0.7  # motion blur below this is not worth its time
BLUR_MOST_PX = 90.0
BLOOM_FROM = 1.1  # exposed light above this spreads


def develop(
    linear: Float32,
    flow_px: Float32,
    light: Light,
    config: DriveConfig,
    index: int,
) -> UInt8:
    """The picture as the camera gives it.

    Args:
        linear: ``float32[H, W, 3]``: light of each pixel.
        flow_px: ``float32[H, W, 2]``: motion until the next frame; NaN counts as none.
        light: of the moment.
        config: of the drive.
        index: of the frame.

    Returns:
        ``uint8[H, W, 3]``, BGR.
    """
    share = min(config.optics.exposure_ms * config.fps / 1000.0, 1.0)
    exposed = _blur_motion(linear, flow_px, share) if share > 0 else linear
    exposed = exposed * np.float32(light.exposure)
    _add_bloom(exposed)
    height, width = exposed.shape[:2]
    np.maximum(exposed, 0, out=exposed)
    steps: Float32 = np.asarray(cv2.sqrt(exposed), np.float32)
    gain = (STEPS - 1) / TOP**0.5
    steps = np.asarray(cv2.multiply(steps, _vignette(height, width), scale=gain), np.float32)
    if config.optics.noise > 0:
        grain = NOISE * config.optics.noise * (light.exposure / 0.5) ** 0.5
        _add_noise(steps, min(grain, NOISE_MOST) * gain, (config.seed, index))
    return _tone_curve()[_to_index(steps)]


def _blur_motion(linear: Float32, flow_px: Float32, share: float) -> Float32:
    """Mean along the way that each pixel's point moves while the shutter is open; twice as many places with each pass."""
    way = flow_px * np.float32(share)
    way = np.where(np.isfinite(way), way, np.float32(0))
    np.clip(way, -BLUR_MOST_PX, BLUR_MOST_PX, out=way)
    longest = np.maximum(np.abs(way[..., 0]), np.abs(way[..., 1]))
    rows = np.flatnonzero((longest > BLUR_LIMIT_PX).any(axis=1))
    if not rows.size:
        return linear
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    steps = 2 if float(np.percentile(longest[part][::4, ::8], 90)) < 6 else 3
    columns = np.arange(linear.shape[1], dtype=np.float32)[None, :]
    lines = np.arange(part.start, part.stop, dtype=np.float32)[:, None]
    x, y = np.ascontiguousarray(way[part, :, 0]), np.ascontiguousarray(way[part, :, 1])
    place = (columns, lines)
    current, spacing, moved = linear.copy(), 0.5**steps, 0.0
    for _ in range(steps - 1):
        ahead = _shifted(current, place, (x, y), spacing)
        current[part] = cv2.addWeighted(current[part], 0.5, ahead, 0.5, 0)
        moved += spacing / 2
        spacing *= 2
    # the last pass puts the middle of all places onto the pixel
    first = _shifted(current, place, (x, y), -moved - spacing / 2)
    last = _shifted(current, place, (x, y), spacing / 2 - moved)
    current[part] = cv2.addWeighted(first, 0.5, last, 0.5, 0)
    return current


def _shifted(
    image: Float32, place: tuple[Float32, Float32], way: tuple[Float32, Float32], share: float
) -> Float32:
    x, y = (start + step * np.float32(share) for start, step in zip(place, way, strict=True))
    moved = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _add_bloom(exposed: Float32) -> None:
    """Light of bright places around them, worked out at a quarter of the size, in place."""
    height, width = exposed.shape[:2]
    size = (max(width // 4, 1), max(height // 4, 1))
    small = np.asarray(cv2.resize(exposed, size, interpolation=cv2.INTER_AREA), np.float32)
    bright = np.clip(small - np.float32(BLOOM_FROM), 0, 30)
    if not bright.any():
        return
    spread = cv2.GaussianBlur(bright, (0, 0), 1.6) * 0.14
    spread += cv2.GaussianBlur(bright, (0, 0), 7) * np.float32(0.09)
    grown = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.add(exposed, grown, dst=exposed)


@cache
def _vignette(height: int, width: int) -> Float32:
    """``float32[H, W, 3]``: square root of the share of light that the lens lets through."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1) * height / width
    square = (x[None, :] ** 2 + y[:, None] ** 2) / (1 + (height / width) ** 2)
    kept = np.sqrt(1 - CORNER * square**1.5).astype(np.float32)
    return np.repeat(kept[..., None], 3, axis=2)


@cache
def _noise_tile(height: int, width: int) -> Float32:
    """Sensor noise with a little of its neighbours, as demosaicing leaves it, ``float32[H + 64, W + 64, 3]``."""
    rng = np.random.Generator(np.random.PCG64([height, width, 91]))
    raw = rng.standard_normal((height + 64, width + 64, 3), dtype=np.float32)
    soft = cv2.GaussianBlur(raw, (3, 3), 0.55)
    grey = soft.mean(axis=2, keepdims=True)
    tile: Float32 = (0.75 * soft + 0.6 * grey).astype(np.float32)
    tile /= tile.std()
    return tile


def _add_noise(steps: Float32, strength: float, key: tuple[int, int]) -> None:
    """Add noise of the same strength everywhere: in the square root of the light that is what photons make."""
    height, width = steps.shape[:2]
    rng = np.random.Generator(np.random.PCG64([*key, 92]))
    row, column = (int(rng.random() * 64) for _ in range(2))
    tile = _noise_tile(height, width)[row : row + height, column : column + width]
    if rng.random() < 0.5:
        strength = -strength
    cv2.scaleAdd(tile, strength, steps, dst=steps)


def _to_index(steps: Float32) -> Int32:
    index: Int32 = np.clip(steps, 0, STEPS - 1).astype(np.int32)
    return index


@cache
def _tone_curve() -> UInt8:
    """Bytes for steps of the square root of the light: a toe, a shoulder (Narkowicz, "ACES filmic tone mapping", 2015), sRGB."""
    light = np.linspace(0, 1, STEPS) ** 2 * TOP
    x = light * 0.8
    film = np.clip((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    display = np.where(film <= 0.0031308, film * 12.92, 1.055 * film ** (1 / 2.4) - 0.055)
    curve: UInt8 = np.clip(display * 255 + 0.5, 0, 255).astype(np.uint8)
    return curve
