"""What stands beside the road.

Every builder gives ``(size_lwh_m, mesh)``. x is along the road, y across it. What has a face (signs, traffic lights) looks
at -x: who comes driving along +x sees it. Arms of lamps and traffic lights reach to +y. The origin of whatever has a post is the foot
of the post, so the box of the size is about it; of all else it is the middle.
"""

from itertools import pairwise

from perception.render.meshes.parts.buildings import build_building
from perception.render.meshes.parts.street import (
    build_bin,
    build_bus_stop,
    build_fence,
    build_guard_rail,
    build_pole,
    build_post,
)  # fmt: skip
from perception.render.meshes.parts.trees import build_bush, build_hedge, build_tree
from perception.render.meshes.solids import Look, Point, Shape, Solid, linear, rigid, turns
from perception.render.records import CityId, Material, Mesh
from perception.render.world.chance import Chance

GREY, ZINC, DARK = 0x77797A, 0x8E9294, 0x2A2C2E
SIGNS = {
    "warning": 3.0,
    "limit": 4.0,
    "yield": 2.0,
    "stop": 1.0,
    "priority": 2.0,
    "parking": 2.0,
    "crossing": 2.0,
}
LENSES = {"red": (0xFF2A1E, 0x301010), "amber": (0xFFB020, 0x302210), "green": (0x28E08A, 0x0E2A1C)}
RED, WHITE, BLUE, YELLOW, BLACK = 0xC01822, 0xF0F0EE, 0x1450A0, 0xF2C21A, 0x141414
Outline = list[
    tuple[float, float]
]  # to the right and up, m, as seen by who drives towards it; counter-clockwise


def _look(rgb: int, class_id: CityId, material: Material = Material.MATT) -> Look:
    return Look(linear(rgb), material, class_id)


def _post(solid: Solid, height_m: float, radius_m: float, look: Look, sides: int = 6) -> None:
    solid.tube(((0.0, 0.0, 0.0), (0.0, 0.0, height_m)), (radius_m, 0.8 * radius_m), sides, look)


def _facing(outline: Outline, x: float, z: float, y: float = 0.0) -> list[Point]:
    """An outline before the driver, at a place and height."""
    return [(x, y - right, z + up) for right, up in outline]


def _polygon(count: int, radius: float, start: float = 0.0) -> Outline:
    """Even corners, the first at the top."""
    return [(-radius * sine, radius * cosine) for cosine, sine in turns(count, start)]


def _rectangle(width: float, height: float, right: float = 0.0, up: float = 0.0) -> Outline:
    a, b, c, d = right - width / 2, right + width / 2, up - height / 2, up + height / 2
    return [(a, c), (b, c), (b, d), (a, d)]


def _plate(
    solid: Solid, outline: Outline, z: float, looks: tuple[Look, Look], y: float = 0.0
) -> None:
    """A plate of 3 cm: its face to the driver, its back."""
    front, back = _facing(outline, -0.075, z, y), _facing(outline, -0.045, z, y)
    solid.loft([back[::1], front], looks[1], (True, False))
    solid.disc(front, looks[0])


def build_sign(chance: Chance, kind: str = "") -> Shape:
    """A traffic sign on its post.

    Args:
        chance: of this sign.
        kind: ``warning``, ``limit``, ``yield``, ``stop``, ``priority``, ``parking``, ``crossing`` or ``direction``; empty for
            any but the last.
    """
    kind = kind or chance.choice(tuple(SIGNS), tuple(SIGNS.values()))
    if kind == "direction":
        return _board(chance)
    middle = chance.uniform(2.25, 2.6)
    pole = _look(ZINC, CityId.POLE)

    def build(detail: int) -> Mesh:
        solid = Solid()
        _post(solid, middle + 0.3, 0.038, pole, 6 if detail else 3)
        outline, rgb, marks = _face_of(kind, 12 if detail == 2 else 8)
        looks = (_look(rgb, CityId.TRAFFIC_SIGN, Material.SIGN), _look(GREY, CityId.TRAFFIC_SIGN))
        _plate(solid, outline, middle, looks)
        for layer, (mark, colour) in enumerate(marks[: 9 if detail == 2 else 1]):
            points = _facing(mark, -0.081 - 0.005 * layer, middle)
            solid.disc(points, _look(colour, CityId.TRAFFIC_SIGN, Material.SIGN))
        return solid.build()

    top = max(0.3, *(up for _, up in _face_of(kind, 12)[0]))
    return (0.21, 0.86, middle + top), rigid(build)


def _face_of(kind: str, count: int) -> tuple[Outline, int, list[tuple[Outline, int]]]:
    """Outline and colour of a sign, and what is on it, from below."""
    bar = _rectangle(0.05, 0.2, 0.0, 0.02)
    faces: dict[str, tuple[Outline, int, list[tuple[Outline, int]]]] = {
        "warning": (_polygon(3, 0.48), RED, [(_polygon(3, 0.34), WHITE), (bar, BLACK)]),
        "yield": (_polygon(3, 0.48, 0.5), RED, [(_polygon(3, 0.33, 0.5), WHITE)]),
        "stop": (
            _polygon(8, 0.42, 0.5), RED,
            [(_rectangle(0.12, 0.2, -0.17), WHITE), (_rectangle(0.12, 0.2, 0.17), WHITE), (_rectangle(0.1, 0.2), WHITE)],
        ),
        "limit": (
            _polygon(count, 0.36), RED,
            [(_polygon(count, 0.275), WHITE), (_rectangle(0.12, 0.24, -0.1), BLACK), (_rectangle(0.13, 0.24, 0.1), BLACK),
             (_rectangle(0.05, 0.14, 0.1), WHITE)],
        ),
        "priority": (_polygon(4, 0.43), WHITE, [(_polygon(4, 0.33), YELLOW)]),
        "parking": (
            _rectangle(0.62, 0.62), BLUE,
            [(_rectangle(0.08, 0.4, -0.1), WHITE), (_rectangle(0.2, 0.22, 0.03, 0.09), WHITE),
             (_rectangle(0.1, 0.08, 0.03, 0.09), BLUE)],
        ),
        "crossing": (_rectangle(0.66, 0.66), BLUE, [(_polygon(3, 0.32), WHITE), (bar, BLACK)]),
    }  # fmt: skip
    return faces[kind]


def _board(chance: Chance) -> Shape:
    """A board that shows ways, on two posts."""
    width, height, middle = chance.uniform(2.2, 3.4), chance.uniform(1.1, 1.7), 2.4
    rgb = chance.choice((0x14509A, 0xE9E9E4, 0x0F6B45, 0xE6BE2A))
    ink = WHITE if rgb in {0x14509A, 0x0F6B45} else BLACK

    def build(detail: int) -> Mesh:
        solid = Solid()
        for y in (-0.32 * width, 0.32 * width):
            solid.tube(
                ((0.0, y, 0.0), (0.0, y, middle)),
                (0.06, 0.06),
                6 if detail else 3,
                _look(ZINC, CityId.POLE),
            )
        outline = _rectangle(width, height)
        sign = _look(rgb, CityId.TRAFFIC_SIGN, Material.SIGN)
        _plate(solid, outline, middle, (sign, _look(GREY, CityId.TRAFFIC_SIGN)))
        lines = 3 if detail == 2 else 0
        for line in range(lines):
            up, long = (1 - line) * height * 0.28, width * (0.5 + 0.06 * line)
            mark = _rectangle(long, 0.16, -width * 0.4 + long / 2, up)
            solid.face(
                _facing(mark, -0.085, middle), _look(ink, CityId.TRAFFIC_SIGN, Material.SIGN)
            )
            arrow = [(width * 0.36, up - 0.1), (width * 0.45, up), (width * 0.36, up + 0.1)]
            solid.face(
                _facing(arrow, -0.085, middle), _look(ink, CityId.TRAFFIC_SIGN, Material.SIGN)
            )
        return solid.build()

    return (0.2, width, middle + height / 2), rigid(build)


def build_traffic_light(chance: Chance, state: str = "red", reach_m: float = 0.0) -> Shape:
    """Traffic lights.

    Args:
        chance: of this one.
        state: ``red``, ``amber`` or ``green``.
        reach_m: above 0, an arm with a second head reaches so far over the road.
    """
    height = 5.6 if reach_m else chance.uniform(3.3, 3.6)
    pole = _look(chance.choice((DARK, ZINC)), CityId.POLE)

    def head(solid: Solid, y: float, z: float, detail: int) -> None:
        case = _look(0x17191A, CityId.TRAFFIC_LIGHT)
        solid.box((-0.28, y - 0.17, z), (-0.06, y + 0.17, z + 0.98), case)
        for index, (name, shades) in enumerate(reversed(LENSES.items())):
            lit = name == state
            look = _look(
                shades[0 if lit else 1],
                CityId.TRAFFIC_LIGHT,
                Material.SIGN if lit else Material.MATT,
            )
            lens = _polygon(8 if detail == 2 else 4, 0.115, 0.5)
            solid.face(_facing(lens, -0.292, z + 0.19 + 0.3 * index, y), look)
            if detail == 2:
                shade = z + 0.31 + 0.3 * index
                solid.box(
                    (-0.4, y - 0.12, shade), (-0.28, y + 0.12, shade + 0.015), case, {"+x": None}
                )

    def build(detail: int) -> Mesh:
        solid = Solid()
        _post(solid, height, 0.085, pole, 6 if detail else 3)
        if reach_m:
            solid.tube(
                ((0.0, 0.0, height - 0.2), (0.0, reach_m, height)),
                (0.07, 0.05),
                6 if detail else 3,
                pole,
            )
            head(solid, reach_m - 0.2, height - 0.55, detail)
        head(solid, 0.0, 2.3, detail)
        return solid.build()

    return (0.8, max(0.4, 2 * reach_m), height + (0.43 if reach_m else 0.0)), rigid(build)


def build_lamp(chance: Chance, height_m: float, reach_m: float = 1.6) -> Shape:
    """A street lamp.

    Args:
        chance: of this one.
        height_m: of the whole.
        reach_m: of its arm; 0 has the head on top.
    """
    pole = _look(chance.choice((ZINC, GREY, DARK, 0x3F4A44)), CityId.POLE)
    light = _look(0xE8E4D8, CityId.POLE, Material.STREET_LAMP)

    def build(detail: int) -> Mesh:
        solid, sides = Solid(), {2: 8, 1: 5, 0: 3}[detail]
        if reach_m:
            _post(solid, height_m - 0.45, 0.1, pole, sides)
            elbow = (0.0, 0.35 * reach_m, height_m - 0.14)
            arm = ((0.0, 0.0, height_m - 0.5), elbow, (0.0, reach_m - 0.3, height_m - 0.08))
            for one, other in pairwise(arm):
                solid.tube((one, other), (0.055, 0.045), max(3, sides - 3), pole)
            low, high = (-0.16, reach_m - 0.6, height_m - 0.15), (0.16, reach_m + 0.2, height_m)
            solid.box(low, high, pole, {"-z": light})
            solid.box(
                (-0.11, low[1] + 0.1, low[2] - 0.05),
                (0.11, high[1] - 0.1, low[2]),
                light,
                {"+z": None},
            )
        else:
            _post(solid, height_m - 0.45, 0.075, pole, sides)
            solid.tube(
                ((0.0, 0.0, height_m - 0.45), (0.0, 0.0, height_m - 0.1)), (0.12, 0.2), sides, light
            )
            solid.tube(
                ((0.0, 0.0, height_m - 0.1), (0.0, 0.0, height_m)), (0.24, 0.08), sides, pole
            )
        return solid.build()

    return (0.5, max(0.5, 2 * reach_m + 0.4), height_m), rigid(build)


__all__ = [
    "build_bin", "build_building", "build_bus_stop", "build_bush", "build_fence", "build_guard_rail", "build_hedge",
    "build_lamp", "build_pole", "build_post", "build_sign", "build_traffic_light", "build_tree",
]  # fmt: skip
