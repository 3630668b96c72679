"""Trucks and buses: boxes with rounded corners, windows and many wheels."""

from collections.abc import Sequence

from perception.render.meshes.parts.wheels import Livery, Wheel, add_wheels, draw_livery, draw_paint
from perception.render.meshes.solids import Look, MeshOf, Point, Solid, between, linear, rigid
from perception.render.records import CityId, Mesh
from perception.render.world.chance import Chance

CARGO = (0xE9EAE8, 0xDEDFDB, 0xF0F0EC, 0xC9CCCE, 0x35588C, 0x9F2A2A, 0x3E6E4A, 0xD6A62B, 0x6C7073)
BANDS = (0xE8E8E4, 0xC8CBCD, 0x2C5AA0, 0xA32430, 0x3F7D4D, 0xE0A92A)


def draw_lorry(chance: Chance, kind: str) -> tuple[dict[str, str], MeshOf]:
    """What can be told of a truck or bus, and its mesh.

    Args:
        chance: of this vehicle.
        kind: ``"truck"`` or ``"bus"``.
    """
    word, paint = draw_paint(chance)
    if kind == "truck":
        livery = draw_livery(chance, CityId.TRUCK, paint, linear(chance.choice(CARGO)))
        length, height = chance.uniform(6.4, 10.0), chance.uniform(2.9, 3.7)
        truck = _Truck(length, 2.42, height, livery)
        return {"kind": kind, "colour": word}, rigid(truck.build)
    livery = draw_livery(chance, CityId.BUS, paint, linear(chance.choice(BANDS)))
    bus = _Bus(chance.uniform(10.2, 12.2), 2.5, chance.uniform(2.9, 3.1), livery)
    return {"kind": kind, "colour": word}, rigid(bus.build)


def _ring(x: float, half: float, low: float, high: float) -> list[Point]:
    """A rectangle across the vehicle, counter-clockwise as seen from the front."""
    return [(x, -half, low), (x, half, low), (x, half, high), (x, -half, high)]


def _side(x: tuple[float, float], y: float, z: tuple[float, float]) -> list[Point]:
    """A rectangle on the left side."""
    return [(x[1], y, z[0]), (x[0], y, z[0]), (x[0], y, z[1]), (x[1], y, z[1])]


def _facing(x: float, y: tuple[float, float], z: tuple[float, float]) -> list[Point]:
    """A rectangle that looks ahead."""
    return [(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])]


def _behind(x: float, y: tuple[float, float], z: tuple[float, float]) -> list[Point]:
    """A rectangle that looks back."""
    return _facing(x, (y[1], y[0]), z)


def _panel(
    corners: Sequence[Point], start: float, end: float, low: float, high: float
) -> list[Point]:
    """Part of a quadrilateral whose corners are lower left, lower right, upper right, upper left."""
    a, b, c, d = corners
    shares = ((start, low), (end, low), (end, high), (start, high))
    return [between(between(a, b, t), between(d, c, t), v) for t, v in shares]


class _Truck:
    """A cab before a cargo box, on a frame."""

    def __init__(self, length: float, width: float, height: float, livery: Livery) -> None:
        self.length, self.half, self.height, self.livery = length, width / 2, height, livery

    def build(self, detail: int) -> Mesh:
        """The mesh of one detail."""
        solid, livery, half = Solid(), self.livery, self.half
        front, rear = self.length / 2, -self.length / 2
        cab = front - 1.9
        solid.box((rear + 0.012, -half, 1.0), (cab - 0.15, half, self.height), livery.second)
        self._cab(solid, cab, detail)
        solid.box(
            (rear + 0.1, -0.45, 0.55), (cab, 0.45, 1.0), livery.dark, {"+z": None, "+x": None}
        )
        axles = [front - 1.25, rear + 1.6]
        if self.length > 8.4:
            axles.append(rear + 2.75)
        for x in axles:
            add_wheels(solid, Wheel(x, half - 0.03, 0.48, 0.34), livery, detail)
        low = (rear + 0.05, -half + 0.1, 0.5)
        solid.box(low, (rear + 0.13, half - 0.1, 0.62), livery.dark)
        lamp = _behind(rear + 0.012, (half * 0.62, half * 0.96), (0.8, 0.99))
        solid.decal_pair(lamp, livery.tail)
        solid.pair(_facing(rear + 0.08, (half * 0.62, half * 0.96), (0.8, 0.99)), livery.dark)
        if detail:
            self._trim(solid, detail, (rear, cab))
        return solid.build()

    def _cab(self, solid: Solid, cab: float, detail: int) -> None:
        livery, half, front = self.livery, self.half - 0.04, self.length / 2
        top = min(self.height - 0.15, 2.85)
        belt = 1.55
        low = [(front - 0.02, y, 0.42) for y in (-half, half)]
        mid = [(front - 0.012, y, belt) for y in (-half, half)]
        high = [(front - 0.24, y * 0.95, top) for y in (-half, half)]
        back = _ring(cab, half, 0.42, belt)
        roof = [(cab, y * 0.95, top) for y in (-half, half)]
        solid.face([*low, mid[1], mid[0]], livery.paint)
        solid.face([*mid, high[1], high[0]], livery.paint)
        solid.pair([low[1], back[1], back[2], mid[1]], livery.paint)
        window = [mid[1], back[2], roof[1], high[1]]
        solid.pair(window, livery.paint)
        solid.face([roof[0], high[0], high[1], roof[1]], livery.paint)
        solid.face([back[1], low[1], low[0], back[0]], livery.dark)
        solid.face([back[1], back[0], back[3], back[2]], livery.paint)
        solid.face([back[2], back[3], roof[0], roof[1]], livery.paint)
        solid.decal([*_panel([*mid, high[1], high[0]], 0.05, 0.95, 0.06, 0.74)], livery.glass)
        solid.decal_pair(_panel(window, 0.1, 0.62, 0.04, 0.62), livery.glass)
        lamp = _facing(front - 0.02, (half * 0.6, half * 0.95), (0.62, 0.82))
        solid.decal_pair(lamp, livery.head, 0.02)
        if detail:
            grille = _facing(front - 0.015, (-half * 0.52, half * 0.52), (0.86, 1.36))
            solid.decal(grille, livery.dark)
            solid.decal(_facing(front - 0.02, (-half, half), (0.42, 0.58)), livery.dark, 0.016)
            solid.decal(_facing(front - 0.02, (-0.26, 0.26), (0.66, 0.78)), livery.plate, 0.02)
        if detail == 2:
            for one, other in ((half, half + 0.2), (-half - 0.2, -half)):
                start = (front - 0.16, one, 1.62)
                solid.box(start, (front - 0.06, other, 2.25), livery.dark)

    def _trim(self, solid: Solid, detail: int, span: tuple[float, float]) -> None:
        """Doors of the box, side guards, the rear plate."""
        rear, cab = span
        livery, half = self.livery, self.half
        skirt = _side((rear + 3.5, cab - 0.5), half - 0.12, (0.5, 0.9))
        if skirt[0][0] - skirt[1][0] > 0.5:
            solid.pair(skirt, livery.dark)
            solid.pair([(x, y - 0.04, z) for x, y, z in reversed(skirt)], livery.dark)
        solid.decal(_behind(rear + 0.04, (-0.26, 0.26), (0.64, 0.76)), livery.plate)
        solid.face(_facing(rear + 0.06, (-0.26, 0.26), (0.64, 0.76)), livery.dark)
        gap = _behind(rear + 0.012, (-0.015, 0.015), (1.05, self.height - 0.08))
        solid.decal(gap, livery.dark, 0.006)
        if detail == 2:
            for low, high in ((1.0, 1.06), (self.height - 0.07, self.height)):
                edge = _behind(rear + 0.012, (-half, half), (low, high))
                solid.decal(edge, livery.rim, 0.004)
                edge = _side((rear + 0.012, cab - 0.15), half, (low, high))
                solid.decal_pair(edge, livery.rim, 0.004)
            for y in (-0.42, 0.36):
                bar = _behind(rear + 0.012, (y, y + 0.04), (1.1, self.height - 0.12))
                solid.decal(bar, livery.rim, 0.011)


class _Bus:
    """A city bus."""

    def __init__(self, length: float, width: float, height: float, livery: Livery) -> None:
        self.length, self.half, self.height, self.livery = length, width / 2, height, livery

    def build(self, detail: int) -> Mesh:
        """The mesh of one detail."""
        solid, livery, half = Solid(), self.livery, self.half
        front = self.length / 2 - 0.015
        base, belt, top = 0.32, 1.12, self.height - 0.14
        rings = [
            self._outline(-front + 0.1, (base, belt, top), 0.12),
            self._outline(front - 0.22, (base, belt, top), 0.12),
        ]
        solid.loft(rings, livery.paint, (False, False))
        nose = self._outline(front - 0.1, (base + 0.05, belt, top - 0.05), 0.16)
        nose = [(front - (0.18 if z > belt else 0.0), 0.93 * y, z) for _, y, z in nose]
        tail = [(-front, 0.96 * y, z) for _, y, z in rings[0]]
        solid.loft([tail, rings[0]], livery.paint, (False, False))
        solid.loft([rings[1], nose], livery.paint, (False, False))
        for ring, ahead in ((nose, True), (tail, False)):
            for row in ((0, 1, 2, 7), (7, 2, 3, 6), (6, 3, 4, 5)):
                points = [ring[index] for index in row]
                solid.face(points if ahead else points[::-1], livery.paint)
        for x in (front - 2.6, -front + 3.1):
            add_wheels(solid, Wheel(x, half + 0.02, 0.48, 0.3), livery, detail)
        self._windows(solid, detail, (nose, tail))
        return solid.build()

    def _outline(self, x: float, heights: tuple[float, float, float], edge: float) -> list[Point]:
        """Eight points across the bus, from the lower right, counter-clockwise as seen from the front."""
        base, belt, top = heights
        half = self.half
        right = [
            (x, -half, base),
            (x, -half, belt),
            (x, -half, top),
            (x, -half + 2 * edge, top + 0.14),
        ]
        left = [(px, -py, pz) for px, py, pz in right]
        return [right[0], left[0], left[1], left[2], left[3], right[3], right[2], right[1]]

    def _windows(self, solid: Solid, detail: int, ends: tuple[list[Point], list[Point]]) -> None:
        livery, half, front = self.livery, self.half, self.length / 2 - 0.015
        nose, tail = ends
        screen = [nose[7], nose[2], nose[3], nose[6]]
        solid.decal(_panel(screen, 0.04, 0.96, 0.02, 0.82), livery.glass)
        solid.decal(_panel(screen, 0.14, 0.86, 0.85, 0.99), livery.dark)
        back = [tail[2], tail[7], tail[6], tail[3]]
        solid.decal(_panel(back, 0.08, 0.92, 0.2, 0.85), livery.glass)
        band = (-front + 0.35, front - 0.3)
        solid.decal_pair(_side(band, half, (1.2, 2.5)), livery.glass, 0.006)
        solid.decal_pair(_side(band, half, (0.62, 0.8)), livery.second, 0.004)
        low = [nose[0], nose[1], nose[2], nose[7]]
        for start, end in ((0.03, 0.26), (0.74, 0.97)):
            solid.decal(_panel(low, start, end, 0.3, 0.56), livery.head)
        low = [tail[1], tail[0], tail[7], tail[2]]
        for start, end in ((0.03, 0.16), (0.84, 0.97)):
            solid.decal(_panel(low, start, end, 0.35, 0.98), livery.tail)
        if not detail:
            return
        solid.decal(_panel(low, 0.4, 0.6, 0.3, 0.46), livery.plate)
        solid.decal(_panel([nose[0], nose[1], nose[2], nose[7]], 0.4, 0.6, 0.2, 0.36), livery.plate)
        doors = (front - 1.75, -0.1) if detail == 2 else (front - 1.75,)
        for x in doors:  # on the right side only
            door = [
                (px, -half, pz) for px, _, pz in reversed(_side((x, x + 1.25), half, (0.42, 2.5)))
            ]
            solid.decal(door, livery.glass, 0.022)
        if detail == 2:
            self._pillars(solid, doors, livery.dark)

    def _pillars(self, solid: Solid, doors: Sequence[float], dark: Look) -> None:
        half, front = self.half, self.length / 2
        for x in doors:
            for start, width in ((x, 0.05), (x + 0.6, 0.05), (x + 1.2, 0.05)):
                post = _side((start, start + width), half, (0.42, 2.5))
                solid.decal([(px, -half, pz) for px, _, pz in reversed(post)], dark, 0.03)
        count = 6
        for index in range(1, count):
            x = -front + 0.35 + (2 * front - 0.7) * index / count
            solid.decal_pair(_side((x, x + 0.09), half, (1.2, 2.5)), dark, 0.012)
        for one, other in ((half, half + 0.2), (-half - 0.2, -half)):
            solid.box((front - 0.2, one, 1.8), (front - 0.06, other, 2.25), dark)
