"""Small things beside the road: fences, rails, posts, bins, bus stops."""

from itertools import pairwise

from perception.render.meshes.solids import Look, Shape, Solid, linear, rigid
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance


def _look(rgb: int, class_id: CityId, material: Material = Material.MATT) -> Look:
    return Look(linear(rgb), material, class_id)


def build_pole(chance: Chance, height_m: float) -> Shape:
    """A post: from 5 m on a wooden one that carries wires, else a bollard."""
    tall = height_m >= 5.0
    colour = chance.choice((0x5B4C3D, 0x6B5D4D) if tall else (0x3A3D40, 0x8E9294, 0x44524A))
    look = _look(colour, CityId.POLE)
    radius = 0.13 if tall else 0.07

    def build(detail: int) -> Mesh:
        solid, sides = Solid(), {2: 8, 1: 5, 0: 3}[detail]
        solid.tube(((0.0, 0.0, 0.0), (0.0, 0.0, height_m)), (radius, 0.75 * radius), sides, look)
        if tall:
            solid.box((-0.06, -0.9, height_m - 0.55), (0.06, 0.9, height_m - 0.43), look)
            for y in (-0.8, 0.0, 0.8) if detail == 2 else ():
                solid.tube(
                    ((0.0, y, height_m - 0.43), (0.0, y, height_m - 0.27)), (0.04, 0.03), 5,
                    _look(0x9DA5A8, CityId.POLE),
                )  # fmt: skip
        elif detail == 2:
            band = ((0.0, 0.0, 0.78 * height_m), (0.0, 0.0, 0.9 * height_m))
            solid.tube(band, (radius, radius), sides, _look(0xE6E6E2, CityId.POLE, Material.SIGN))
        return solid.build()

    return (2 * radius, 1.8 if tall else 2 * radius, height_m), rigid(build)


def build_post(chance: Chance) -> Shape:
    """A delineator post of country roads: white, a black band with a reflector on both sides."""
    white = _look(0xE9E9E6, CityId.POLE)
    black, mark = (
        _look(0x151515, CityId.POLE),
        _look(chance.choice((0xF4F4F0, 0xF0A23A)), CityId.POLE, Material.SIGN),
    )

    def build(detail: int) -> Mesh:
        solid = Solid()
        for low, high, look in ((0.0, 0.68, white), (0.68, 0.9, black), (0.9, 1.05, white)):
            ends: dict[str, Look | None] = {"-z": None} if high > 1 else {"-z": None, "+z": None}
            solid.box((-0.05, -0.06, low), (0.05, 0.06, high), look, ends)
        if detail == 2:
            for x in (-1.0, 1.0):
                points = [
                    (x * 0.05, x * y, z)
                    for y, z in ((-0.03, 0.71), (0.03, 0.71), (0.03, 0.87), (-0.03, 0.87))
                ]
                solid.decal(points, mark, 0.006)
        return solid.build()

    return (0.11, 0.12, 1.05), rigid(build)


def build_fence(chance: Chance, length_m: float, height_m: float) -> Shape:
    """A fence along x: boards, pickets, or rails on posts."""
    kind = chance.choice(("boards", "pickets", "rails"), (2.0, 2.0, 3.0))
    wood = (0x7A6248, 0x94806A, 0x5D4C3C, 0xC9C6BE)
    look = _look(
        chance.choice((0x4A4F50, 0x2F3836, 0x8D9193) if kind == "rails" else wood), CityId.FENCE
    )
    half = length_m / 2

    def build(detail: int) -> Mesh:
        solid = Solid()
        if kind == "boards":
            solid.box((-half, -0.02, 0.06), (half, 0.02, height_m), look)
        else:
            for share in (0.25, 0.85) if kind == "pickets" else (0.3, 0.62, 0.96):
                z = height_m * share
                solid.box((-half, -0.02, z - 0.035), (half, 0.02, z + 0.03), look)
        gap = {2: 2.0, 1: 2.5, 0: 5.0}[detail]
        posts = max(1, round(length_m / gap))
        for index in range(posts + 1):
            x = -half + 0.05 + (length_m - 0.1) * index / posts
            solid.box((x - 0.05, -0.05, 0.0), (x + 0.05, 0.05, height_m), look, {"-z": None})
        pickets = min(24, int(length_m / 0.3)) if kind == "pickets" and detail == 2 else 0
        for index in range(pickets):
            x = -half + length_m * (index + 0.5) / pickets
            solid.box((x - 0.045, -0.035, 0.08), (x + 0.045, -0.02, height_m), look, {"-z": None})
        if kind == "pickets" and detail < 2:
            solid.box((-half, -0.03, 0.1), (half, -0.02, 0.9 * height_m), look)
        return solid.build()

    return (length_m, 0.1, height_m), rigid(build)


def build_guard_rail(chance: Chance, length_m: float) -> Shape:
    """A steel beam on posts along x; the beam is on the side of +y."""
    steel, post = (
        _look(chance.choice((0x9A9FA2, 0xA8ACAE)), CityId.FENCE),
        _look(0x6E7274, CityId.FENCE),
    )
    half = length_m / 2

    def build(detail: int) -> Mesh:
        solid = Solid()
        bends = (
            (0.02, 0.44),
            (0.1, 0.49),
            (0.1, 0.55),
            (0.05, 0.6),
            (0.1, 0.65),
            (0.1, 0.71),
            (0.02, 0.75),
        )
        outline = bends if detail == 2 else (bends[0], bends[2], bends[4], bends[-1])
        for low, high in pairwise(outline):
            front = [(half, *low), (-half, *low), (-half, *high), (half, *high)]
            solid.face(front, steel)
            solid.face([(x, y - 0.004, z) for x, y, z in reversed(front)], post)
        posts = max(1, round(length_m / {2: 2.0, 1: 4.0, 0: 8.0}[detail]))
        for index in range(posts + 1):
            x = -half + 0.06 + (length_m - 0.12) * index / posts
            solid.box((x - 0.05, -0.1, 0.0), (x + 0.05, 0.02, 0.72), post, {"-z": None})
        return solid.build()

    return (length_m, 0.2, 0.75), rigid(build)


def build_bin(chance: Chance) -> Shape:
    """A bin on wheels."""
    look = _look(chance.choice((0x2F3335, 0x2E5A3C, 0x28476E, 0x5F4327, 0xB89A2C)), CityId.FENCE)
    lid = look._replace(colour=(look.colour[0] * 1.3, look.colour[1] * 1.3, look.colour[2] * 1.3))

    def build(detail: int) -> Mesh:
        solid = Solid()
        rings = []
        for x, y, z in ((0.22, 0.22, 0.06), (0.28, 0.27, 0.98)):
            rings.append([(x, -y, z), (x, y, z), (-x, y, z), (-x, -y, z)])
        solid.loft(rings, look)
        solid.box((-0.3, -0.29, 0.98), (0.3, 0.29, 1.05), lid)
        if detail == 2:
            for y in (-0.22, 0.22):
                solid.tube(
                    ((-0.2, y - 0.03, 0.1), (-0.2, y + 0.03, 0.1)),
                    (0.1, 0.1),
                    8,
                    _look(0x151515, CityId.FENCE),
                )
        solid.box((-0.2, -0.2, 0.0), (0.25, 0.2, 0.06), look, {"-z": None, "+z": None})
        return solid.build()

    return (0.6, 0.58, 1.05), rigid(build)


def build_bus_stop(chance: Chance) -> Shape:
    """A shelter that is open to +y, with a bench and the sign of the stop."""
    frame = _look(chance.choice((0x3A3F42, 0x6A7073, 0x2B4A3A)), CityId.BUILDING)
    glass = _look(0x5A6A70, CityId.BUILDING, Material.GLASS)
    poster = _look(chance.choice((0xC0392B, 0x2E6DA4, 0xD8B23A, 0x4E8F5A)), CityId.BUILDING)
    sign = _look(0xF0C21A, CityId.TRAFFIC_SIGN, Material.SIGN)

    def build(detail: int) -> Mesh:
        solid = Solid()
        solid.box((-2.0, -0.75, 2.38), (2.0, 0.75, 2.5), frame)
        solid.box((-1.92, -0.7, 0.15), (1.92, -0.67, 2.3), glass)
        for x in (-1.95, 1.89):
            look = poster if x > 0 else glass
            solid.box((x + 0.01, -0.64, 0.2), (x + 0.05, 0.3, 2.2), look)
        for x in (-1.96, -0.66, 0.6, 1.9):
            solid.box((x, -0.72, 0.0), (x + 0.06, -0.66, 2.38), frame, {"-z": None, "+z": None})
        if detail:
            solid.box((-1.5, -0.62, 0.42), (0.9, -0.25, 0.48), frame)
        solid.tube(
            ((2.6, 0.6, 0.0), (2.6, 0.6, 2.7)), (0.035, 0.035), 5, _look(0x8E9294, CityId.POLE)
        )
        solid.box((2.58, 0.35, 2.3), (2.62, 0.85, 2.75), sign)
        return solid.build()

    return (5.3, 1.7, 2.75), rigid(build)
