"""Noise that repeats, and atlases of it that are already as blurred as the ground is far. Made once in a process."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from perception.core.types import Float32, UInt8

TILE_PX = 512
PAD_PX = 2
FLATNESS = 0.044  # m^0.5: a pixel of a usual dashcam covers this times sqrt(a) across the road where it covers a along it


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """One square texture at several blurs, one below the other.

    Attributes:
        pixels: ``uint8[levels * (TILE_PX + 2 PAD_PX), TILE_PX + 2 PAD_PX, 4]``.
        tile_m: side of the texture on the ground.
        first_m: length along the road that a pixel covers, for which level 0 is made; each next level is for twice that.
        levels: how many there are.
    """

    pixels: UInt8
    tile_m: float
    first_m: float
    levels: int

    def sample(self, along_m: Float32, lateral_m: Float32, octave: Float32) -> UInt8:
        """Look up ``uint8[H, W, 4]``.

        Args:
            along_m: ``float32[H, W]``, place on the road.
            lateral_m: the same, across.
            octave: log2 of the length in m along the road that a pixel covers; a fraction chooses between levels as it is, so dither it.
        """
        level = np.floor(octave - np.float32(np.log2(self.first_m)))
        np.clip(level, 0, self.levels - 1, out=level)
        u = lateral_m * np.float32(1 / self.tile_m)
        v = along_m * np.float32(1 / self.tile_m)
        u -= np.floor(u)
        v -= np.floor(v)
        u *= TILE_PX
        u += PAD_PX
        v *= TILE_PX
        level *= TILE_PX + 2 * PAD_PX
        v += level
        v += PAD_PX
        found: UInt8 = cv2.remap(self.pixels, u, v, cv2.INTER_LINEAR)  # type: ignore[assignment]
        return found


@cache
def noise(
    size_px: int, longest_px: float, shortest_px: float, steepness: float, key: int
) -> Float32:
    """Cloudy noise that repeats, ``float32[size, size]``, mean 0, variance 1.

    Args:
        size_px: side of it.
        longest_px: wavelength.
        shortest_px: wavelength; it is made of what lies between the two.
        steepness: amplitude falls with frequency to this power.
        key: another one for another noise.
    """
    rng = np.random.Generator(np.random.PCG64([size_px, key]))
    spectrum = np.fft.rfft2(rng.standard_normal((size_px, size_px), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size_px)[:, None], np.fft.rfftfreq(size_px)[None, :])
    frequency[0, 0] = 1
    shape = frequency**-steepness
    shape[(frequency < 1 / longest_px) | (frequency > 1 / shortest_px)] = 0
    shape[0, 0] = 0
    plain = np.fft.irfft2(spectrum * shape, s=(size_px, size_px))
    result: Float32 = (plain / max(float(plain.std()), 1e-9)).astype(np.float32)
    return result


def to_bytes(values: Float32, spread: float) -> UInt8:
    """Values around 0 as bytes around 128; `spread` is what one standard deviation becomes."""
    rounded: UInt8 = np.clip(values * spread + 128.5, 0, 255).astype(np.uint8)
    return rounded


def unpack(texture: UInt8, channel: int, strength: float) -> Float32:
    """``float32[H, W]``: a channel of bytes around 128 as a factor around 1."""
    return np.asarray(cv2.LUT(texture[..., channel], _factors(strength)), np.float32)


@cache
def _factors(strength: float) -> Float32:
    return (1 + (np.arange(256, dtype=np.float32) - 128) * np.float32(strength / 128)).astype(
        np.float32
    )


@cache
def fine_atlas() -> Atlas:
    """4 m: asphalt grain, grass, paving slabs, wear of paint."""
    grain = 0.75 * noise(512, 9, 2.0, 0.15, 1) + 0.5 * noise(512, 60, 8, 0.8, 2)
    stones = np.where(noise(512, 6, 2.5, 0.0, 3) > 2.1, 2.2, 0).astype(np.float32)
    grass = 0.8 * noise(512, 14, 2, 0.4, 4) + 0.7 * noise(512, 80, 8, 0.9, 5)
    slabs = _slabs() + 0.45 * noise(512, 20, 2, 0.4, 6)
    wear = 0.6 * noise(512, 120, 5, 0.9, 7) + 0.7 * noise(512, 8, 2, 0.1, 8)
    layers = [
        to_bytes(v, s) for v, s in ((grain + stones, 34), (grass, 42), (slabs, 26), (wear, 42))
    ]
    return _atlas(layers, 4.0, 0.02, 7)


@cache
def coarse_atlas() -> Atlas:
    """32 m: stains and patches of asphalt, of grass, cracks, dirt."""
    stains = 0.8 * noise(512, 200, 12, 1.3, 11) + 0.35 * noise(512, 14, 3, 0.5, 12) + _patches()
    grass = 0.8 * noise(512, 256, 16, 1.1, 13) + 0.6 * noise(512, 16, 3, 0.6, 14)
    dirt = noise(512, 256, 6, 1.2, 16)
    layers = [to_bytes(stains, 30), to_bytes(grass, 40), _cracks(), to_bytes(dirt, 40)]
    return _atlas(layers, 32.0, 0.11, 11)


def _slabs() -> Float32:
    """Paving of 8 x 8 slabs with joints, each of its own grey."""
    shades = np.random.Generator(np.random.PCG64(21)).uniform(-0.9, 0.9, (8, 8)).astype(np.float32)
    field = np.repeat(np.repeat(shades, 64, axis=0), 64, axis=1)
    place = np.arange(512) % 64
    joint = (place < 2) | (place > 62)
    field[joint, :] = -2.6
    field[:, joint] = -2.6
    return field


def _patches() -> Float32:
    """Rectangles where the road was opened and closed again."""
    field = np.zeros((512, 512), np.float32)
    rng = np.random.Generator(np.random.PCG64(22))
    for _ in range(5):
        x, y = rng.integers(0, 470, 2).tolist()
        width, length = rng.integers(16, 40), rng.integers(24, 90)
        shade = float(rng.uniform(-1.5, 0.7))
        field[y : y + length, x : x + width] = shade
        cv2.rectangle(field, (x, y), (x + int(width), y + int(length)), -2.2, 1)
    return field


def _cracks() -> UInt8:
    """Thin lines where a noise crosses zero, in some places only; 0 is none."""
    field = noise(512, 170, 5, 1.35, 23)
    slope = np.hypot(*np.gradient(field)).astype(np.float32)
    near = np.clip(1.1 - np.abs(field) / np.maximum(slope, 1e-3) * 0.8, 0, 1)
    where = np.clip(noise(512, 256, 60, 1.0, 24) * 0.9 - 0.35, 0, 1)
    cracks: UInt8 = (near * where * 255).astype(np.uint8)
    return cracks


def _atlas(layers: list[UInt8], tile_m: float, first_m: float, levels: int) -> Atlas:
    """Blur a texture for each level, longer along the road than across it, as a low camera sees it."""
    tile = np.stack(layers, axis=2)
    texel_m = tile_m / TILE_PX
    tiles = []
    down, aside = TILE_PX // 2, 32
    padded = cv2.copyMakeBorder(tile, down, down, aside, aside, cv2.BORDER_WRAP)
    rows = slice(down - PAD_PX, PAD_PX - down)
    columns = slice(aside - PAD_PX, PAD_PX - aside)
    for level in range(levels):
        along_m = first_m * 2.0 ** (level + 0.5)
        across = FLATNESS * along_m**0.5 / texel_m
        along = min(along_m / texel_m, TILE_PX / 2.2)
        # two boxes make a triangle twice as wide
        size = (1 + 2 * round(across * 0.3), 1 + 2 * round(along * 0.3))
        tiles.append(cv2.blur(cv2.blur(padded, size), size)[rows, columns])
    pixels: UInt8 = np.ascontiguousarray(np.concatenate(tiles))
    return Atlas(pixels, tile_m, first_m, levels)


@cache
def dither(height: int, width: int) -> Float32:
    """``float32[H, W]`` in [0, 1): hides where one level of an atlas ends and the next begins."""
    rng = np.random.Generator(np.random.PCG64(31))
    return rng.random((height, width), dtype=np.float32)


@cache
def cloud_layer() -> UInt8:
    """``uint8[1024, 1024]``: density of clouds, evenly spread over the values, repeating."""
    field = noise(1024, 420, 3, 1.45, 41) + 0.25 * noise(1024, 40, 3, 1.0, 42)
    order = np.empty(field.size, np.float32)
    order[np.argsort(field, axis=None, kind="stable")] = np.linspace(0, 255, field.size)
    return order.reshape(field.shape).astype(np.uint8)
