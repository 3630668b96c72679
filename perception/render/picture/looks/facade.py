"""Walls with windows, drawn from the place on the wall; each building has its own."""

from dataclasses import dataclass

import numpy as np

from perception.core.types import Float32, Int64
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.looks.textures import noise
from perception.render.records import Int32

BASE_M = 0.7  # foot of a house, darker
FRAME_M = 0.09
LIT_BGR = (0.13, 0.34, 0.55)  # behind a window at night, from warm
COOL_BGR = (0.42, 0.46, 0.44)  # to cool
PANE_BGR = (0.035, 0.033, 0.030)
LIT_POWER = 0.34
STYLES = 7  # random numbers of each building


@dataclass(frozen=True, slots=True, eq=False)
class Walls:
    """The N spots of the picture that see upright walls.

    Attributes:
        face: ``int32[N]``, row in `Faces`.
        point_m: ``float32[N, 3]``, world.
        depth_m: ``float32[N]``.
    """

    face: Int32
    point_m: Float32
    depth_m: Float32


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Windows at each of N spots.

    Attributes:
        u, v: ``float32[N]``: from the middle of the window's cell, m.
        half_w, half_h: ``float32[N]``: of the pane, m.
        pixel: ``float32[N]``: size of a pixel there, m.
        random: ``float32[N]`` in [0, 1): the same all over one window.
    """

    u: Float32
    v: Float32
    half_w: Float32
    half_h: Float32
    pixel: Float32
    random: Float32


def paint_facades(
    albedo: Float32, walls: Walls, inputs: PictureInputs
) -> tuple[Float32, Float32 | None]:
    """Draw windows into colours of walls ``float32[N, 3]``, in place.

    Returns:
        How much of each spot is a window pane, ``float32[N]``, and the light from behind it, ``float32[N, 3]``, once lamps are on.
    """
    wall = inputs.faces.normals[walls.face]
    which = inputs.faces.things[walls.face]
    style = _styles(inputs)[which]
    across = _across(walls.point_m, wall, which, inputs)
    grid = _windows(across, walls, style, which, inputs)
    frame = _inside(grid.u, grid.v, grid.half_w + FRAME_M, grid.half_h + FRAME_M, grid.pixel)
    pane = _inside(grid.u, grid.v, grid.half_w, grid.half_h, grid.pixel)
    bar = np.clip((np.abs(grid.u) - np.float32(0.03)) / grid.pixel + np.float32(0.5), 0, 1)
    np.maximum(bar, style[:, 4] < 0.4, out=bar)
    pane *= bar
    up = walls.point_m[:, 2]
    tone = _plaster(across, up, walls.depth_m)
    tone *= 1 - np.float32(0.35) * (up < BASE_M)
    albedo *= tone[:, None]
    around = np.where(style[:, 6] > 0.5, np.float32(0.62), np.float32(0.16))
    frame *= np.float32(0.85)
    curtain = np.float32(0.4) + 3 * np.maximum(grid.random - np.float32(0.55), 0)
    curtain += np.clip(-grid.v, 0, 1)
    for k in range(3):
        plane = albedo[:, k]
        plane += (around - plane) * frame
        plane += (curtain * np.float32(PANE_BGR[k]) - plane) * pane
    return pane * np.float32(0.9), _shining(grid, pane, inputs)


def _shining(grid: _Grid, pane: Float32, inputs: PictureInputs) -> Float32 | None:
    """Light from windows behind which a lamp is on, ``float32[N, 3]``; ``None`` by day."""
    if inputs.light.lamps < 0.05:
        return None
    other = grid.random * 57
    other -= np.floor(other)
    on = np.clip((other - np.float32(0.66)) * 4, 0, 1) * (
        np.float32(0.8) + grid.v * np.float32(0.25)
    )
    on *= pane * np.float32(LIT_POWER * inputs.light.lamps)
    warm = np.array(LIT_BGR, np.float32)
    tint = warm + (np.array(COOL_BGR, np.float32) - warm) * grid.random[:, None]
    light: Float32 = tint * on[:, None]
    return light


def _windows(
    across: Float32, walls: Walls, style: Float32, which: Int32, inputs: PictureInputs
) -> _Grid:
    """Where each spot lies in its cell."""
    cell_w = np.float32(2.3) + style[:, 0] * np.float32(1.3)
    cell_h = np.float32(2.8) + style[:, 1] * np.float32(0.5)
    column, u = _cell(across, cell_w)
    floor, v = _cell(walls.point_m[:, 2] - np.float32(0.3), cell_h)
    v -= np.float32(0.06) * cell_h
    half_w = cell_w * (np.float32(0.20) + style[:, 2] * np.float32(0.16))
    half_h = cell_h * (np.float32(0.24) + style[:, 3] * np.float32(0.08))
    pixel = walls.depth_m * np.float32(1 / inputs.view.focal_px[0])
    np.maximum(pixel, np.float32(0.004), out=pixel)
    facing = inputs.faces.normals[:, :2]
    side = np.round(facing[:, 0] * 3) * 5 + np.round(facing[:, 1] * 3)
    mixed = column * np.float32(0.61803) + floor * np.float32(0.75488)
    mixed += _hash(_keys(inputs), 8)[which] + (side * np.float32(0.3819))[walls.face]
    mixed = np.sin(mixed * np.float32(12.9898)) * np.float32(437.585)
    return _Grid(u, v, half_w, half_h, pixel, mixed - np.floor(mixed))


def _styles(inputs: PictureInputs) -> Float32:
    """``float32[T + 1, STYLES]`` in [0, 1): what each building has of its own."""
    keys = _keys(inputs)
    return np.stack([_hash(keys, salt) for salt in range(1, STYLES + 1)], axis=1)


def _keys(inputs: PictureInputs) -> Int64:
    """A number of its own for each thing, ``int64[T + 1]``."""
    return np.array([thing.key for thing, *_ in inputs.things] + [0], np.int64) * 2654435761


def _hash(values: Int64, salt: int) -> Float32:
    """``float32`` in [0, 1) for each number."""
    mixed = (values + salt * 40503) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 3266489917) & 0xFFFFFFFF
    share: Float32 = ((mixed ^ (mixed >> 16)) & 0xFFFF).astype(np.float32) * np.float32(1 / 65536)
    return share


def _across(point: Float32, wall: Float32, which: Int32, inputs: PictureInputs) -> Float32:
    """Place along the wall, m, from the middle of the building."""
    middles = np.array([(now.x_m, now.y_m) for _, now, _ in inputs.things] + [(0, 0)], np.float32)
    here = middles[which]
    along: Float32 = (point[:, 1] - here[:, 1]) * wall[:, 0] - (point[:, 0] - here[:, 0]) * wall[
        :, 1
    ]
    return along


def _cell(place: Float32, size: Float32) -> tuple[Float32, Float32]:
    """Which cell, and where in it from its middle, m."""
    scaled = place / size
    which = np.floor(scaled)
    return which, (scaled - which - np.float32(0.5)) * size


def _inside(u: Float32, v: Float32, half_w: Float32, half_h: Float32, pixel: Float32) -> Float32:
    """Share of a pixel inside of a rectangle."""
    per_m = np.float32(1) / pixel
    a = np.clip((half_w - np.abs(u)) * per_m + np.float32(0.5), 0, 1)
    b = np.clip((half_h - np.abs(v)) * per_m + np.float32(0.5), 0, 1)
    share: Float32 = a * b
    return share


def _plaster(across: Float32, up: Float32, depth_m: Float32) -> Float32:
    """Stains, and grain where it is near."""
    table = noise(256, 120.0, 3.0, 0.8, 71).reshape(-1)
    total = np.ones(len(across), np.float32)
    for side_m, weight, fades_m in ((21.0, 0.09, 200.0), (3.0, 0.07, 25.0)):
        scale = np.float32(256 / side_m)
        column = (across * scale).astype(np.int32) & 255
        row = (up * scale).astype(np.int32) & 255
        found = table[row * 256 + column] * np.float32(weight)
        total += found / (1 + np.square(depth_m * np.float32(1 / fades_m)))
    return total
