"""The body of a car or van, lofted from a few numbers of its side view."""

from dataclasses import dataclass
from itertools import pairwise

from perception.render.meshes.parts.wheels import Livery, Wheel, add_wheels
from perception.render.meshes.solids import Look, Point, Solid, area_vector, between
from perception.render.records import Mesh

CORNER_M = 0.30  # how far from the front, or the rear, the sides begin to turn in


@dataclass(frozen=True, slots=True, kw_only=True)
class CarForm:
    """The side view of a car; distances in m, places along it are measured backwards from the nose.

    Attributes:
        length, width, height: of the body, mirrors besides.
        front_axle, rear_axle: places of the axles.
        wheel: radius.
        sill, waist: heights of the lower edge and of the widest part of the sides.
        nose: height of the hood's front edge.
        hood: height of the hood above the corner.
        cowl, rear: place and height of the lower edges of windscreen and rear window.
        deck: place and height of the tail's upper edge.
        roof: places where the roof begins and ends.
        windows: how far back the side windows reach, share of the cabin.
    """

    length: float
    width: float
    height: float
    front_axle: float
    rear_axle: float
    wheel: float
    sill: float
    waist: float
    nose: float
    hood: float
    cowl: tuple[float, float]
    rear: tuple[float, float]
    deck: tuple[float, float]
    roof: tuple[float, float]
    windows: float = 0.9


class _Plane:
    """The plane through three points, asked for y."""

    def __init__(self, a: Point, b: Point, c: Point) -> None:
        self._normal = area_vector([a, b, c])
        self._point = a

    def at(self, x: float, z: float) -> Point:
        dx, dz = x - self._point[0], z - self._point[2]
        y = self._point[1] - (self._normal[0] * dx + self._normal[2] * dz) / self._normal[1]
        return (x, y, z)


class Car:
    """Builds one car. Points are of the left side, +y; faces are added with their mirror images."""

    def __init__(self, form: CarForm, livery: Livery) -> None:
        self.form, self.livery, self.solid = form, livery, Solid()
        half, front = form.width / 2, form.length / 2
        self.front = front
        waist = (0.0, half, form.waist)
        self.low = _Plane(waist, (1.0, half, form.waist), (0.0, half * 0.95, form.sill))
        self.high = _Plane(waist, (1.0, half, form.waist), (0.0, half * 0.945, form.cowl[1]))
        self.cowl = self.high.at(front - form.cowl[0], form.cowl[1])
        self.rear = self.high.at(front - form.rear[0], form.rear[1])
        self.roof = (front - form.roof[0], half * 0.74, form.height - 0.075)
        self.cabin = _Plane(self.cowl, self.rear, self.roof)
        self.roof_rear = self.cabin.at(front - form.roof[1], form.height - 0.085)
        self.ahead = front - CORNER_M
        self.behind = front - max(form.length - CORNER_M, form.rear[0])
        share = (form.rear[0] - (front - self.behind)) / (form.rear[0] - form.deck[0])
        self.tail = form.rear[1] + (form.deck[1] - form.rear[1]) * share

    def build(self, detail: int) -> Mesh:
        """The mesh of one detail."""
        self.solid = Solid()
        if detail == 0:
            self._far()
        else:
            self._sides(detail)
            self._end(1.0, detail)
            self._end(-1.0, detail)
            self._cabin(detail)
        form = self.form
        for place in (form.front_axle, form.rear_axle):
            outer = form.width / 2 * (0.965 if detail == 2 else 1.005)
            wheel = Wheel(self.front - place, outer, form.wheel, 0.21)
            add_wheels(self.solid, wheel, self.livery, detail)
        if detail == 2:
            self._trim()
        return self.solid.build()

    def _arch(self, place: float) -> list[Point]:
        """The edge of a wheel arch, from front to rear."""
        x, reach, sill = self.front - place, self.form.wheel + 0.06, self.form.sill
        rise = min(self.form.wheel + reach, self.form.waist - 0.02) - sill
        turn = ((1.0, 0.0), (0.74, 0.72), (0.3, 1.0), (-0.3, 1.0), (-0.74, 0.72), (-1.0, 0.0))
        return [self.low.at(x + reach * along, sill + rise * up) for along, up in turn]

    def _sides(self, detail: int) -> None:
        form, solid, livery = self.form, self.solid, self.livery
        ends = [self.low.at(self.ahead, form.sill), self.low.at(self.behind, form.sill)]
        edge = ends
        if detail == 2:
            edge = [ends[0], *self._arch(form.front_axle), *self._arch(form.rear_axle), ends[1]]
        top = form.sill + 0.13
        for one, other in pairwise(edge):
            above = [self.low.at(point[0], form.waist) for point in (other, one)]
            solid.pair([one, other, *above], livery.paint)
            solid.face([other, one, _across(one), _across(other)], livery.dark)
            if detail == 2 and one[2] == other[2] == form.sill:
                sides = [self.low.at(point[0], top) for point in (other, one)]
                solid.decal_pair([one, other, *sides], livery.second, 0.008)
        shoulder = [
            self.high.at(self.ahead, form.waist), self.high.at(self.behind, form.waist),
            self.high.at(self.behind, self.tail), self.rear, self.cowl,
            self.high.at(self.ahead, form.hood),
        ]  # fmt: skip
        solid.pair(shoulder, livery.paint)

    def _end(self, sign: float, detail: int) -> None:
        """The nose (sign 1) or the tail (-1). Points are ordered for the nose and reversed for the tail."""
        form, nose = self.form, sign > 0
        half, face_x = form.width / 2, sign * self.front
        side_x, top = (self.ahead, form.hood) if nose else (self.behind, self.tail)
        side = (
            self.low.at(side_x, form.sill),
            self.low.at(side_x, form.waist),
            self.high.at(side_x, top),
        )
        bumper = (face_x, half * (0.72 if nose else 0.84), form.waist - (0.2 if nose else 0.16))
        lip_x, lip_z = (
            (self.front - 0.1, form.nose) if nose else (self.front - form.deck[0], form.deck[1])
        )
        lip = _Plane(side[1], side[2], bumper).at(lip_x, lip_z)
        foot = _Plane(side[0], side[1], bumper).at(face_x - sign * 0.05, form.sill + 0.03)
        paint = self.livery.paint

        def add(points: list[Point], look: Look, *, both: bool = False, lift: float = 0.0) -> None:
            points = points if nose else points[::-1]
            for corners in (points, [_across(p) for p in reversed(points)])[: 2 if both else 1]:
                if lift:
                    self.solid.decal(corners, look, lift)
                else:
                    self.solid.face(corners, look)

        add([foot, side[0], side[1], bumper], paint, both=True)
        add([bumper, side[1], side[2], lip], paint, both=True)
        for low, high in ((foot, bumper), (bumper, lip), (lip, side[2])):
            add([_across(low), low, high, _across(high)], paint)
        base = self.cowl if nose else self.rear
        add([_across(side[2]), side[2], base, _across(base)], paint)
        add([_across(side[0]), side[0], foot, _across(foot)], self.livery.dark)

        def patch(low: Point, high: Point, spans: tuple[float, float, float, float]) -> list[Point]:
            f0, f1, v0, v1 = spans
            corners = ((f0, v0), (f1, v0), (f1, v1), (f0, v1))
            mids = [(between(low, high, v), f) for f, v in corners]
            return [(x, y * f, z) for (x, y, z), f in mids]

        lamp, spans = self._lamp(nose=nose)
        add(patch(bumper, lip, spans), lamp, both=True, lift=0.012)
        wide = 0.26 / bumper[1]
        plate = (-wide, wide, 0.42, 0.80) if nose else (-wide, wide, 0.30, 0.58)
        add(
            patch(*((foot, bumper) if nose else (bumper, lip)), plate),
            self.livery.plate,
            lift=0.01,
        )
        if detail == 2 or nose:
            add(patch(foot, bumper, (-0.8, 0.8, 0.08, 0.45)), self.livery.dark, lift=0.008)
        if nose:
            add(patch(bumper, lip, (-0.48, 0.48, 0.25, 0.9)), self.livery.dark, lift=0.008)
        if detail == 2:
            corner = [
                between(between(bumper, lip, v), between(side[1], side[2], v), s)
                for s, v in (
                    (0.0, spans[2]),
                    (0.55, spans[2] + 0.1),
                    (0.65, spans[3]),
                    (0.0, spans[3]),
                )
            ]
            add(corner, lamp, both=True, lift=0.012)

    def _lamp(self, *, nose: bool) -> tuple[Look, tuple[float, float, float, float]]:
        """Look of the lamps, and where they are on the upper face: from, to (share of the half width; of the height)."""
        if nose:
            return self.livery.head, (0.54, 1.0, 0.4, 0.95)
        tall = self.form.rear[0] > self.form.length - CORNER_M
        return self.livery.tail, (0.74, 1.0, 0.3, 0.95) if tall else (0.6, 1.0, 0.45, 0.95)

    def _cabin(self, detail: int) -> None:
        solid, livery, height = self.solid, self.livery, self.form.height
        cowl, rear, roof, roof_rear = self.cowl, self.rear, self.roof, self.roof_rear
        inner = min(roof[1], roof_rear[1]) - 0.13
        crown = (roof[0] - 0.28, inner, height)
        crown_rear = (roof_rear[0] + 0.14, inner, height - 0.012)
        solid.face([_across(cowl), cowl, roof, _across(roof)], livery.glass)
        tailgate = [rear, _across(rear), _across(roof_rear), roof_rear]
        solid.face(tailgate, livery.paint)
        low, high = between(rear, roof_rear, 0.1), between(rear, roof_rear, 0.9)
        pane = [low, _across(low), _across(high), high]
        solid.decal([(x, 0.9 * y, z) for x, y, z in pane], livery.glass)
        solid.face([_across(roof), roof, crown, _across(crown)], livery.paint)
        solid.face([_across(crown_rear), _across(crown), crown, crown_rear], livery.paint)
        solid.face([roof_rear, _across(roof_rear), _across(crown_rear), crown_rear], livery.paint)
        solid.pair([roof, roof_rear, crown_rear, crown], livery.paint)
        solid.pair([cowl, rear, roof_rear, roof], livery.paint)

        def span(start: float, end: float, low: float, high: float) -> list[Point]:
            corners = ((start, low), (end, low), (end, high), (start, high))
            return [
                between(between(cowl, rear, t), between(roof, roof_rear, t), v) for t, v in corners
            ]

        solid.decal_pair(span(0.07, self.form.windows, 0.08, 0.86), livery.glass)
        if detail == 2 and self.form.windows > 0.5:
            middle = 0.47
            solid.decal_pair(span(middle, middle + 0.035, 0.08, 0.86), livery.dark, 0.02)

    def _trim(self) -> None:
        """Mirrors, door gaps and handles."""
        form, solid, livery = self.form, self.solid, self.livery
        half = form.width / 2
        x, _, z = between(self.cowl, self.roof, 0.12)
        for low, high, inner in (
            (0.9 * half, half + 0.11, "-y"),
            (-half - 0.11, -0.9 * half, "+y"),
        ):
            solid.box(
                (x - 0.36, low, z - 0.02), (x - 0.22, high, z + 0.13), livery.paint,
                {inner: None, "-x": livery.glass},
            )  # fmt: skip
        middle = self.cowl[0] + (self.rear[0] - self.cowl[0]) * 0.485
        first = self.cowl[0] - 0.12
        for gap in (first, middle):
            top = between(
                self.cowl, self.rear, (gap - self.cowl[0]) / (self.rear[0] - self.cowl[0])
            )[2]
            for plane, z0, z1 in (
                (self.low, form.sill + 0.12, form.waist),
                (self.high, form.waist, top),
            ):
                points = [plane.at(gap + 0.009, z0), plane.at(gap - 0.009, z0)]
                points += [plane.at(gap - 0.009, z1), plane.at(gap + 0.009, z1)]
                solid.decal_pair(points, livery.dark, 0.006)
        for handle in (middle + 0.28, middle - 0.72):
            z0 = form.waist + 0.07
            points = [self.high.at(handle, z0), self.high.at(handle - 0.18, z0)]
            points += [self.high.at(handle - 0.18, z0 + 0.04), self.high.at(handle, z0 + 0.04)]
            solid.decal_pair(points, livery.dark, 0.01)

    def _far(self) -> None:
        """A body of two boxes with slanted ends."""
        form, solid, livery = self.form, self.solid, self.livery
        half, front = form.width / 2, self.front
        low = form.sill * 0.8
        nose = [(front, half * 0.94, low), (front, half * 0.94, form.nose)]
        tail = [(-front, half * 0.94, low), (-front, half * 0.94, form.deck[1])]
        cowl, rear = (
            (self.cowl[0], half * 0.94, self.cowl[2]),
            (self.rear[0], half * 0.94, self.rear[2]),
        )
        roof = (self.roof[0] - 0.1, half * 0.72, form.height)
        roof_rear = _Plane(cowl, rear, roof).at(self.roof_rear[0] + 0.1, form.height)
        solid.pair([nose[0], tail[0], tail[1], rear, cowl, nose[1]], livery.paint)
        solid.face([_across(nose[0]), nose[0], nose[1], _across(nose[1])], livery.paint)
        solid.face([tail[0], _across(tail[0]), _across(tail[1]), tail[1]], livery.paint)
        solid.face([_across(nose[1]), nose[1], cowl, _across(cowl)], livery.paint)
        solid.face([rear, tail[1], _across(tail[1]), _across(rear)], livery.paint)
        solid.face([_across(cowl), cowl, roof, _across(roof)], livery.glass)
        solid.face([rear, _across(rear), _across(roof_rear), roof_rear], livery.glass)
        solid.face([_across(roof_rear), _across(roof), roof, roof_rear], livery.paint)
        solid.pair([cowl, rear, roof_rear, roof], livery.glass)
        for sign, look, height in (
            (1.0, livery.head, form.nose),
            (-1.0, livery.tail, form.deck[1]),
        ):
            y0, y1, z0 = half * 0.55, half * 0.9, height - 0.16
            lamp = [
                (sign * front, y * sign, z)
                for y, z in ((y0, z0), (y1, z0), (y1, height), (y0, height))
            ]
            solid.decal_pair(lamp, look)


def _across(point: Point) -> Point:
    return (point[0], -point[1], point[2])
