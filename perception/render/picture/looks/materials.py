"""How things take light: each face its share of sun and sky, and what each material adds at the pixels."""

from dataclasses import dataclass

import numpy as np

from perception.core.types import Float32, Int64, UInt8
from perception.render.picture.looks.facade import Walls, paint_facades
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.looks.lamps import lamp_light_on_things
from perception.render.picture.looks.sky import sky_along
from perception.render.picture.looks.textures import noise
from perception.render.records import Int32, Material

# how far normals lean away from the middle of the thing, so that flat faces look round
ROUND = {Material.PAINT: 0.45, Material.FOLIAGE: 0.75, Material.CLOTH: 0.55, Material.SKIN: 0.6}
CROWNS = frozenset(("tree", "bush"))  # leaves that surround a middle; others stand in rows
LEAF_M = 3.2  # side of the texture of leaves
HEAD_POWER = 2.2
TAIL_POWER = (0.10, 0.55)  # running, braking
STREET_POWER = 1.6
SIGN_POWER = 7.0  # of a sign's answer to head lamps, against a matt surface
MIRRORS = {Material.PAINT: 0.045, Material.GLASS: 0.10}  # share of light, seen straight on
PANE_MIRRORS = 0.13


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """The N pixels that see things.

    Attributes:
        pixels: ``int64[N]`` into the flat picture.
        face: ``int32[N]``, row in `Faces`.
        material: ``uint8[N]``.
        depth_m: ``float32[N]``.
    """

    pixels: Int64
    face: Int32
    material: UInt8
    depth_m: Float32

    def of(self, kinds: tuple[Material, ...]) -> Int64:
        """Which spots are of one of these materials."""
        chosen = np.zeros(256, np.bool_)
        chosen[list(kinds)] = True
        return np.flatnonzero(chosen[self.material])


def paint_things(inputs: PictureInputs) -> tuple[Int64, Float32]:
    """Flat indices of the pixels that see things, and the light that comes from them, ``float32[N, 3]``."""
    raster, faces = inputs.raster, inputs.faces
    pixels = np.flatnonzero(raster.face)
    face = raster.face.reshape(-1)[pixels]
    depth = np.float32(1) / raster.inverse_depth.reshape(-1)[pixels]
    spots = Spots(pixels, face, faces.materials[face], depth)
    if not pixels.size:
        return pixels, np.zeros((0, 3), np.float32)
    albedo = np.take(faces.colours, face, axis=0)
    arriving = np.take(_arriving(faces.normals, inputs), face, axis=0)
    up_m = _heights(np.arange(pixels.size), spots, inputs)
    rounded = spots.of(tuple(ROUND))
    normals, from_middle = _round_normals(rounded, spots, inputs)
    arriving[rounded] = _arriving(normals, inputs, spots.material[rounded] == Material.FOLIAGE)
    _add_leaves(albedo, rounded, from_middle, spots, inputs)
    # less of the sky is seen near the ground
    arriving *= np.clip(up_m * np.float32(0.4) + np.float32(0.6), 0.5, 1)[:, None]
    walls = _walls(spots, inputs)
    wall_colours = albedo[walls]
    panes, glow = _paint_walls(wall_colours, walls, spots, inputs)
    albedo[walls] = wall_colours
    _add_lamp_light(arriving, rounded, normals, spots, inputs)
    colours = albedo * arriving
    _mirror(colours, rounded, normals, spots, inputs)
    _mirror_flat(colours, walls, panes, spots, inputs)
    if glow is not None:
        colours[walls] += glow
    _add_lamps(colours, albedo, spots, inputs)
    return pixels, colours


def _points(rows: Int64, spots: Spots, inputs: PictureInputs) -> Float32:
    """World, ``float32[M, 3]``."""
    rays = np.take(inputs.view.rays.reshape(-1, 3), spots.pixels[rows], axis=0)
    rays *= spots.depth_m[rows, None]
    rays += inputs.view.centre_m.astype(np.float32)
    return rays


def _round_normals(rows: Int64, spots: Spots, inputs: PictureInputs) -> tuple[Float32, Float32]:
    """Normals that lean away from the middle of their thing, and the place from there in halves of its size, ``float32[M, 3]``."""
    middles, sizes = np.zeros((len(inputs.things) + 1, 3)), np.ones((len(inputs.things) + 1, 3))
    for index, (thing, now, _) in enumerate(inputs.things):
        length, width, height = thing.size_lwh_m
        middle = 0.62 if thing.kind == "tree" else 0.5
        middles[index] = now.x_m, now.y_m, height * middle
        sizes[index] = max(length, width) / 2, max(length, width) / 2, height / 2
    face = spots.face[rows]
    which = inputs.faces.things[face]
    from_middle = _points(rows, spots, inputs)
    from_middle -= np.take(middles.astype(np.float32), which, axis=0)
    from_middle *= np.take((1 / np.maximum(sizes, 0.05)).astype(np.float32), which, axis=0)
    lean = np.zeros(256, np.float32)
    for kind, amount in ROUND.items():
        lean[kind] = amount
    normal = from_middle * lean[spots.material[rows]][:, None]
    normal += np.take(inputs.faces.normals, face, axis=0)
    normal *= (1 / np.sqrt(np.einsum("ij,ij->i", normal, normal) + np.float32(1e-6)))[:, None]
    return normal, from_middle


def _arriving(
    normals: Float32,
    inputs: PictureInputs,
    leaf: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None = None,
) -> Float32:
    """Light of sun, sky and ground on surfaces, ``float32[M, 3]``; leaves let some of it through."""
    light = inputs.light
    towards = light.sun_direction.astype(np.float32)
    facing = normals @ towards
    if leaf is not None:
        facing = np.where(leaf, facing * np.float32(0.72) + np.float32(0.28), facing)
    np.maximum(facing, 0, out=facing)
    if towards[2] <= 0:
        facing[:] = 0
    up = normals[:, 2] * np.float32(0.5) + np.float32(0.5)
    arriving = np.empty((len(up), 3), np.float32)
    for k in range(3):
        step = light.sky_ambient[k] - light.ground_ambient[k]
        arriving[:, k] = light.ground_ambient[k] + step * up + facing * light.sun[k]
    return arriving


def _add_leaves(
    albedo: Float32, rounded: Int64, from_middle: Float32, spots: Spots, inputs: PictureInputs
) -> None:
    """Light and dark leaves, dark inside of and under the crown, in place."""
    part = np.flatnonzero(spots.material[rounded] == Material.FOLIAGE)
    if not part.size:
        return
    rows = rounded[part]
    depth = spots.depth_m[rows]
    place = from_middle[part]
    # around the trunk, with the seam on the side that lies ahead, where the road hides it
    across = np.arctan2(place[:, 1], -place[:, 0]) * np.float32(LEAF_M)
    crowns = np.array([thing.kind in CROWNS for thing, *_ in inputs.things] + [False])
    long = np.flatnonzero(~crowns[inputs.faces.things[spots.face[rows]]])
    if long.size:
        points = _points(rows[long], spots, inputs)
        across[long] = points[:, 0] + points[:, 1]
    up = _heights(rows, spots, inputs)
    value = np.zeros(len(rows), np.float32)
    for shortest, side_m, fades_m in ((2.5, LEAF_M, 22.0), (9.0, LEAF_M * 3.7, 150.0)):
        found = _look_up(noise(256, 64.0, shortest, 0.55, 60 + int(shortest)), across, up, side_m)
        value += found / (1 + np.square(depth * np.float32(1 / fades_m)))
    factor = np.clip(1 + value * np.float32(0.42), 0.16, 2.2)
    factor *= np.clip(from_middle[part, 2] * np.float32(0.35) + np.float32(0.75), 0.35, 1.1)
    albedo[rows] *= factor[:, None]
    albedo[rows, 2] *= 1 + np.clip(value, 0, 2) * np.float32(0.12)


def _heights(rows: Int64, spots: Spots, inputs: PictureInputs) -> Float32:
    """Above the ground, m, ``float32[M]``."""
    slopes = inputs.view.rays[..., 2].reshape(-1)[spots.pixels[rows]]
    heights: Float32 = slopes * spots.depth_m[rows] + np.float32(inputs.view.centre_m[2])
    return heights


def _look_up(table: Float32, u_m: Float32, v_m: Float32, side_m: float) -> Float32:
    """The nearest texel of a table that repeats every `side_m`."""
    size = table.shape[0]
    scale = np.float32(size / side_m)
    column = (u_m * scale).astype(np.int32) & (size - 1)
    row = (v_m * scale).astype(np.int32) & (size - 1)
    found: Float32 = table.reshape(-1)[row * size + column]
    return found


def _walls(spots: Spots, inputs: PictureInputs) -> Int64:
    """Which spots see upright walls with windows."""
    faces = inputs.faces
    upright = (np.abs(faces.normals[:, 2]) < 0.5) & (faces.materials == Material.FACADE)
    return np.flatnonzero(upright[spots.face])


def _paint_walls(
    colours: Float32, rows: Int64, spots: Spots, inputs: PictureInputs
) -> tuple[Float32, Float32 | None]:
    if not rows.size:
        return np.zeros(0, np.float32), None
    walls = Walls(spots.face[rows], _points(rows, spots, inputs), spots.depth_m[rows])
    return paint_facades(colours, walls, inputs)


def _add_lamp_light(
    arriving: Float32, rounded: Int64, normals: Float32, spots: Spots, inputs: PictureInputs
) -> None:
    """Light of lamps, in place; signs send more of it back."""
    if inputs.light.lamps <= 0:
        return
    every = np.arange(len(spots.pixels))
    normal = np.take(inputs.faces.normals, spots.face, axis=0)
    normal[rounded] = normals
    lamps = lamp_light_on_things(inputs, _points(every, spots, inputs), normal)
    if lamps is not None:
        lamps[spots.of((Material.SIGN,))] *= np.float32(SIGN_POWER)
        arriving += lamps


def _mirror(
    colours: Float32, rounded: Int64, normals: Float32, spots: Spots, inputs: PictureInputs
) -> None:
    """What paint and glass mirror, in place."""
    part = np.flatnonzero(spots.material[rounded] == Material.PAINT)
    base = np.full(part.size, MIRRORS[Material.PAINT], np.float32)
    _add_mirror(colours, rounded[part], normals[part], base, (spots, inputs))
    rows = spots.of((Material.GLASS,))
    base = np.full(rows.size, MIRRORS[Material.GLASS], np.float32)
    normal = np.take(inputs.faces.normals, spots.face[rows], axis=0)
    _add_mirror(colours, rows, normal, base, (spots, inputs))


def _mirror_flat(
    colours: Float32, walls: Int64, panes: Float32, spots: Spots, inputs: PictureInputs
) -> None:
    """What window panes mirror, in place."""
    part = np.flatnonzero(panes > 0.05)
    rows = walls[part]
    normal = np.take(inputs.faces.normals, spots.face[rows], axis=0)
    _add_mirror(colours, rows, normal, panes[part] * np.float32(PANE_MIRRORS), (spots, inputs))


def _add_mirror(
    colours: Float32,
    rows: Int64,
    normal: Float32,
    base: Float32,
    scene: tuple[Spots, PictureInputs],
) -> None:
    """Mirror sky, ground and the sun, more at a slant (Schlick's approximation, 1994), in place."""
    if not rows.size:
        return
    spots, inputs = scene
    light = inputs.light
    ray = np.take(inputs.view.rays.reshape(-1, 3), spots.pixels[rows], axis=0)
    ray *= (1 / np.sqrt(np.einsum("ij,ij->i", ray, ray)))[:, None]
    into = np.einsum("ij,ij->i", ray, normal)
    ray -= normal * (2 * into)[:, None]
    slant = 1 - np.minimum(np.abs(into), 1)
    share = base + (1 - base) * np.square(np.square(slant)) * slant * np.float32(0.75)
    shown = sky_along(light, ray[:, 2])
    here = colours[rows]
    here += (shown * np.float32(0.85) - here * np.float32(0.5)) * share[:, None]
    if float(light.sun.max()) > 0.01:
        glint = np.maximum(ray @ light.sun_direction.astype(np.float32), 0)
        broad = np.square(np.square(np.square(np.square(glint))))
        sharp = np.square(np.square(np.square(broad)))
        glint = sharp * np.float32(5) + broad * np.float32(0.04)
        glint *= np.minimum(share * 3, 1)
        here += glint[:, None] * light.sun
    colours[rows] = here


def _add_lamps(colours: Float32, albedo: Float32, spots: Spots, inputs: PictureInputs) -> None:
    """What shines by itself, in place."""
    lit = np.float32(inputs.light.lamps)
    for material, power in ((Material.HEAD_LAMP, HEAD_POWER), (Material.STREET_LAMP, STREET_POWER)):
        rows = spots.of((material,))
        if rows.size:
            # traffic lights are such lamps too, and shine by day
            own = albedo[rows]
            vivid = own.max(axis=1) > own.min(axis=1) * np.float32(2.5)
            on = np.where(vivid, np.maximum(lit * np.float32(0.35), np.float32(0.5)), lit)
            on = on * ~inputs.faces.parked[spots.face[rows]]
            colours[rows] += own * (on * np.float32(power))[:, None]
    rows = spots.of((Material.TAIL_LAMP,))
    if rows.size:
        braking = inputs.faces.braking[spots.face[rows]]
        running, bright = TAIL_POWER
        power_of = np.where(braking, np.float32(bright), np.float32(running) * lit)
        power_of *= ~inputs.faces.parked[spots.face[rows]]
        colours[rows] += power_of[:, None] * np.array((0.05, 0.08, 1.0), np.float32)
