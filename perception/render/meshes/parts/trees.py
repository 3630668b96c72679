"""Trees, bushes and hedges: irregular solids of triangles whose colours differ."""

import math
from itertools import pairwise

from perception.render.meshes.solids import (
    Colour,
    Look,
    Point,
    Shape,
    Solid,
    linear,
    mixed,
    rigid,
    tinted,
    turns,
)
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance

GREENS = (0x4F6B2E, 0x5C7A35, 0x3F5D2B, 0x6B7F3A, 0x55702F, 0x4A6436)
AUTUMN = (0x9A7A2C, 0x8F5A24, 0xA08A36)
NEEDLES = (0x2F4A30, 0x37543A, 0x3E5A3A, 0x2B4230)
BARKS = (0x4A3D31, 0x5A4A3B, 0x6A5F54, 0x3E342B)


def _fitted(solid: Solid, size_lwh_m: tuple[float, float, float]) -> Mesh:
    """The mesh, moved and stretched along its axes so that the box around it is the given one."""
    mesh = solid.build()
    low, high = mesh.vertices_m.min(axis=0), mesh.vertices_m.max(axis=0)
    places = mesh.vertices_m.copy()
    for axis, length in enumerate(size_lwh_m):
        start = 0.0 if axis == 2 else -length / 2.0
        scale = length / float(high[axis] - low[axis])
        places[:, axis] = (places[:, axis] - low[axis]) * scale + start
    return Mesh(places, mesh.faces, mesh.colours, mesh.materials, mesh.class_ids)


class _Leaves:
    """Adds foliage whose faces differ in colour."""

    def __init__(self, solid: Solid, chance: Chance, colour: Colour) -> None:
        self.solid, self.chance, self.colour = solid, chance, colour

    def face(self, points: list[Point], light: float = 1.0) -> None:
        shade = light * self.chance.uniform(0.72, 1.28)
        colour = tinted(mixed(self.colour, linear(0x8A9440), self.chance.uniform(0.0, 0.22)), shade)
        self.solid.face(points, Look(colour, Material.FOLIAGE, CityId.VEGETATION))

    def ball(
        self, centre: Point, radii: tuple[float, float, float], columns: int, rows: int
    ) -> None:
        """An irregular ball of triangles, darker below."""
        chance = self.chance
        rings: list[list[Point]] = []
        for row in range(1, rows + 1):
            tilt = math.pi * row / (rows + 1) - math.pi / 2
            ring = []
            for cosine, sine in turns(columns, 0.5 * row):
                far = chance.uniform(0.8, 1.15)
                flat = math.cos(tilt) * far
                x, y = centre[0] + radii[0] * flat * cosine, centre[1] + radii[1] * flat * sine
                ring.append((x, y, centre[2] + radii[2] * math.sin(tilt) * far))
            rings.append(ring)
        top, bottom = (
            (centre[0], centre[1], centre[2] + radii[2]),
            (centre[0], centre[1], centre[2] - radii[2]),
        )
        for index in range(columns):
            self.face([bottom, rings[0][index], rings[0][index - 1]], 0.62)
            self.face([top, rings[-1][index - 1], rings[-1][index]], 1.1)
            for row in range(rows - 1):
                low, high, light = rings[row], rings[row + 1], 0.8 + 0.2 * row
                self.face([low[index - 1], low[index], high[index - 1]], light)
                self.face([low[index], high[index], high[index - 1]], light)

    def cone(self, base: Point, radius: float, height: float, columns: int) -> None:
        """A layer of branches: pointed above, hollow-looking below."""
        ring = []
        for cosine, sine in turns(columns, self.chance.uniform()):
            far = radius * self.chance.uniform(0.82, 1.12)
            drop = self.chance.uniform(-0.08, 0.06) * height
            ring.append((base[0] + far * cosine, base[1] + far * sine, base[2] + drop))
        top, under = (
            (base[0], base[1], base[2] + height),
            (base[0], base[1], base[2] + 0.18 * height),
        )
        for index in range(columns):
            self.face([top, ring[index - 1], ring[index]])
            self.face([under, ring[index], ring[index - 1]], 0.5)


def build_tree(chance: Chance, height_m: float, kind: str = "") -> Shape:
    """A tree; the trunk stands near the origin.

    Args:
        chance: of this tree.
        height_m: of the whole.
        kind: ``broadleaf``, ``conifer``, ``poplar``, or empty for any.
    """
    kind = kind or chance.choice(("broadleaf", "conifer", "poplar"), (6.0, 2.5, 0.8))
    key = chance.integer(2**31)
    bark = Look(linear(chance.choice(BARKS)), Material.MATT, CityId.VEGETATION)
    if kind == "conifer":
        colour, spread = linear(chance.choice(NEEDLES)), height_m * chance.uniform(0.3, 0.42)
    else:
        colour = linear(chance.choice(GREENS if chance.flag(0.93) else AUTUMN))
        spread = height_m * (
            chance.uniform(0.2, 0.27) if kind == "poplar" else chance.uniform(0.55, 0.8)
        )
    size = (spread, spread * chance.uniform(0.9, 1.1), height_m)

    def build(detail: int) -> Mesh:
        solid = Solid()
        leaves = _Leaves(solid, Chance(key, "leaves", detail), colour)
        sides = {2: 6, 1: 4, 0: 3}[detail]
        if kind == "conifer":
            solid.tube(
                ((0.0, 0.0, 0.0), (0.0, 0.0, 0.3)), (0.022, 0.015), sides, bark, closed=False
            )
            _layers(leaves, spread / height_m, detail)
        elif kind == "poplar":
            solid.tube(
                ((0.0, 0.0, 0.0), (0.0, 0.0, 0.25)), (0.018, 0.013), sides, bark, closed=False
            )
            radius = spread / height_m / 2
            leaves.ball(
                (0.0, 0.0, 0.56),
                (radius, radius, 0.44),
                {2: 9, 1: 6, 0: 5}[detail],
                {2: 5, 1: 4, 0: 2}[detail],
            )
        else:
            _crown(solid, leaves, Chance(key, "crown"), detail, (spread / height_m, bark))
        return _fitted(solid, size)

    return size, rigid(build)


def _layers(leaves: _Leaves, spread: float, detail: int) -> None:
    count, columns = {2: (6, 9), 1: (4, 6), 0: (2, 4)}[detail]
    for index in range(count):
        low = 0.14 + 0.7 * index / count
        leaves.cone(
            (0.0, 0.0, low),
            spread / 2 * (1.02 - low),
            1.35 * (1.0 - low) / math.sqrt(count - index),
            columns,
        )


def _crown(
    solid: Solid, leaves: _Leaves, chance: Chance, detail: int, form: tuple[float, Look]
) -> None:
    """Trunk and crowns of a broad tree, of height 1."""
    spread, bark = form
    fork, sides = chance.uniform(0.24, 0.36), {2: 6, 1: 4, 0: 3}[detail]
    solid.tube(
        ((0.0, 0.0, 0.0), (0.0, 0.0, fork + 0.15)), (0.026, 0.018), sides, bark, closed=False
    )
    half, count = spread / 2, {2: 5, 1: 3, 0: 1}[detail]
    if detail == 0:
        leaves.ball((0.0, 0.0, (1.0 + fork) / 2), (half, half, (1.0 - fork) / 2), 6, 2)
        return
    start = chance.uniform()
    for cosine, sine in turns(count - 1, start):
        off, up = half * chance.uniform(0.4, 0.55), chance.uniform(fork + 0.18, fork + 0.34)
        centre = (cosine * off, sine * off, up)
        radius = half * chance.uniform(0.5, 0.68)
        if detail == 2:
            solid.tube(((0.0, 0.0, fork), centre), (0.015, 0.008), 3, bark, closed=False)
        leaves.ball(centre, (radius, radius, radius / spread * chance.uniform(0.45, 0.6)), 6, 2)
    leaves.ball((0.0, 0.0, 0.72), (half * 0.72, half * 0.72, 0.28), 7, 3 if detail == 2 else 2)


def build_bush(chance: Chance, height_m: float) -> Shape:
    """One or two irregular balls of leaves on the ground."""
    key, colour = chance.integer(2**31), linear(chance.choice(GREENS))
    size = (height_m * chance.uniform(1.1, 1.9), height_m * chance.uniform(1.0, 1.4), height_m)

    def build(detail: int) -> Mesh:
        solid = Solid()
        leaves = _Leaves(solid, Chance(key, "leaves", detail), colour)
        columns = {2: 8, 1: 6, 0: 5}[detail]
        leaves.ball((-0.2, 0.05, 0.45), (0.5, 0.5, 0.5), columns, 3 if detail == 2 else 2)
        if detail:
            leaves.ball((0.35, -0.1, 0.3), (0.4, 0.42, 0.36), columns, 2)
        return _fitted(solid, size)

    return size, rigid(build)


def build_hedge(chance: Chance, length_m: float, height_m: float) -> Shape:
    """A cut hedge along x."""
    key, colour = chance.integer(2**31), linear(chance.choice(GREENS))
    size = (length_m, chance.uniform(0.7, 1.1), height_m)

    def build(detail: int) -> Mesh:
        solid, own = Solid(), Chance(key, "leaves", detail)
        leaves = _Leaves(solid, own, colour)
        parts = max(1, min({2: 16, 1: 6, 0: 2}[detail], round(length_m / 0.8)))
        outline = ((-0.45, 0.0), (0.45, 0.0), (0.5, 0.5), (0.42, 1.0), (-0.42, 1.0), (-0.5, 0.5))
        rings = [
            [
                (x / parts, y + own.uniform(-0.06, 0.06), z + own.uniform(-0.05, 0.05) * (z > 0))
                for y, z in outline
            ]
            for x in range(parts + 1)
        ]
        for low, high in pairwise(rings):
            for index in range(1, 6):
                light = (0.0, 0.0, 0.8, 1.0, 1.2, 1.0)[index]
                leaves.face([low[index - 1], low[index], high[index], high[index - 1]], light)
            leaves.face([low[5], low[0], high[0], high[5]], 0.8)
        ends = (rings[0][::-1], rings[-1])
        for ring in ends:
            for index in range(1, 5):
                leaves.face([ring[0], ring[index], ring[index + 1]], 0.9)
        return _fitted(solid, size)

    return size, rigid(build)
