"""The road: its line through the world, what lies across it, junctions and markings. Ego drives on the right, where lateral is negative."""

import math
from typing import TypeVar, overload

import numpy as np

from perception.core.types import Bool, Float32, Float64, UInt8
from perception.render.config import DriveConfig
from perception.render.records import CityId, Int32
from perception.render.world.chance import Chance
from perception.render.world.markings import (
    CORNER_M,
    Junction,
    Line,
    MarkingMap,
    Span,
    build_lines,
)

Reals = TypeVar("Reals", Float32, Float64)  # of either type; answers have the same

KNOT_M = 0.5  # between rows of the table; a straight piece is then at most 0.2 mm off the curve
BEHIND_M = 200.0  # of the table behind the start
AHEAD_M = 1000.0  # and beyond where the ego can get
TOP_SPEED_MPS = 26.0
PARKING_M = 2.6  # width of the strip beside the lanes in town
SHOULDER_M = 0.45  # tarmac beyond the edge line in the country
TAPER_M = 18.0  # length over which the town's width becomes the country's
SIDE_PAVEMENT_M = 2.2  # along side roads of the town
NEVER_M = 1e6


class Road:
    """A road that neither climbs nor crosses itself.

    Its centre line is ``y = centre(x)``. A place is (along, lateral): along is the world's x, lateral the distance to the left of
    the centre line, ``(y - centre(x)) * cos(heading(x))``.

    Attributes:
        lane_width_m: of every lane.
        lanes: of one direction.
        pavement_m: width of the pavements of the town.
        town_end_m: where the country begins; far outside of the drive where only one of them is met.
        town_edge_m, country_edge_m: half the width of the carriageway there.
        junctions: in order.

    Args:
        config: of the drive.
    """

    def __init__(self, config: DriveConfig) -> None:
        chance = Chance(config.seed, "road")
        self.extent_m: Span = (-BEHIND_M, TOP_SPEED_MPS * config.duration_s + AHEAD_M)
        self.lane_width_m = chance.uniform(3.2, 3.55)
        wide = {"town": 0.35, "country": 0.12, "mixed": 0.2}[config.place]
        self.lanes = 2 if chance.flag(wide) else 1
        self.pavement_m = chance.uniform(2.5, 3.6)
        lanes_m = self.lanes * self.lane_width_m
        self.town_edge_m = lanes_m + PARKING_M
        self.country_edge_m = lanes_m + SHOULDER_M
        meets = max(60.0, 0.55 * config.duration_s * 7.5)  # at the usual speed in town
        self.town_end_m = {"town": NEVER_M, "country": -NEVER_M, "mixed": meets}[config.place]
        self._waves = _waves(chance, self.town_end_m > self.extent_m[1])
        self._signals = 0.15 if config.place == "mixed" else 0.35
        self.junctions = self._place_junctions(Chance(config.seed, "junctions"))
        edge = self.town_edge_m if self.town_end_m > 0 else self.country_edge_m
        self._lines = build_lines(
            self.extent_m, self.junctions, self.lanes, self.lane_width_m, edge
        )
        self._markings = MarkingMap(self._lines)
        knots = [
            self.extent_m[0] + KNOT_M * k
            for k in range(int((self.extent_m[1] - self.extent_m[0]) / KNOT_M) + 1)
        ]
        self._centres = np.array([self.centre(x) for x in knots])
        self._cosines = np.array([math.cos(self.heading(x)) for x in knots])

    @overload
    def centre(self, x: float) -> float: ...
    @overload
    def centre(self, x: Float64) -> Float64: ...
    def centre(self, x: float | Float64) -> float | Float64:
        """The world's y of the centre line, m; exact, for few places."""
        if isinstance(x, np.ndarray):
            return np.array([self.centre(float(v)) for v in x.reshape(-1)]).reshape(x.shape)
        total = 0.0
        for height, per_m, phase in self._waves:
            total += height * (math.sin(per_m * x + phase) - math.sin(phase))
        return total

    @overload
    def heading(self, x: float) -> float: ...
    @overload
    def heading(self, x: Float64) -> Float64: ...
    def heading(self, x: float | Float64) -> float | Float64:
        """Direction of the centre line, from the world's x axis to the left, rad; exact, for few places."""
        if isinstance(x, np.ndarray):
            return np.array([self.heading(float(v)) for v in x.reshape(-1)]).reshape(x.shape)
        slope = 0.0
        for height, per_m, phase in self._waves:
            slope += height * per_m * math.cos(per_m * x + phase)
        return math.atan(slope)

    def place(self, along_m: float, lateral_m: float) -> tuple[float, float]:
        """The world's (x, y) of a place, m."""
        return along_m, self.centre(along_m) + lateral_m / math.cos(self.heading(along_m))

    def locate(self, x_m: Reals, y_m: Reals) -> tuple[Reals, Reals]:
        """Places of points of the world, from a table: for many.

        Args:
            x_m: ``float[...]``.
            y_m: the same shape and type.

        Returns:
            along and lateral, m, of the same shape and type; lateral is within 1 mm.
        """
        rows = (x_m - self.extent_m[0]) * (1.0 / KNOT_M)
        rows = np.clip(rows, 0.0, float(len(self._centres) - 2))
        whole = rows.astype(np.int32)
        part = rows - whole.astype(x_m.dtype)
        centre = _between_knots(self._centres, whole, part)
        cosine = _between_knots(self._cosines, whole, part)
        return x_m, (y_m - centre) * cosine

    @overload
    def edge_m(self, along: float) -> float: ...
    @overload
    def edge_m(self, along: Reals) -> Reals: ...
    def edge_m(self, along: float | Float32 | Float64) -> float | Float32 | Float64:
        """Half the width of the carriageway, the parking strip of the town included, m."""
        narrower = self.town_edge_m - self.country_edge_m
        if isinstance(along, np.ndarray):
            share = np.clip((along - self.town_end_m) * (1.0 / TAPER_M), 0.0, 1.0)
            wide: Float32 | Float64 = self.town_edge_m - narrower * share
            return wide
        part = min(max((along - self.town_end_m) / TAPER_M, 0.0), 1.0)
        return self.town_edge_m - narrower * part

    @overload
    def is_town(self, along: float) -> bool: ...
    @overload
    def is_town(self, along: Float32 | Float64) -> Bool: ...
    def is_town(self, along: float | Float32 | Float64) -> bool | Bool:
        """Whether it is in town there."""
        if isinstance(along, np.ndarray):
            inside: Bool = along < self.town_end_m
            return inside
        return along < self.town_end_m

    def surface(self, along: Float32 | Float64, lateral: Float32 | Float64) -> UInt8:
        """What the ground is made of.

        Args:
            along: ``float[...]``, m.
            lateral: the same shape, m.

        Returns:
            ``uint8[...]`` of `CityId`: ROAD, SIDEWALK or TERRAIN. Parking strips and side roads are road.
        """
        beyond = np.abs(lateral) - self.edge_m(along)
        kinds = np.full(along.shape, CityId.ROAD, np.uint8)
        rows = np.nonzero(beyond > 0)
        if not rows[0].size:
            return kinds
        outside_along, outside = along[rows], beyond[rows]
        walk = (outside < self.pavement_m) & self.is_town(outside_along)
        ground = np.where(walk, np.uint8(CityId.SIDEWALK), np.uint8(CityId.TERRAIN))
        left = lateral[rows] > 0
        near, far = float(outside_along.min()), float(outside_along.max())
        for junction in self.junctions:
            reach = junction.half_width_m + CORNER_M
            if junction.along_m + reach >= near and junction.along_m - reach <= far:
                self._add_side_roads(ground, junction, outside_along, outside, left)
        kinds[rows] = ground
        return kinds

    def marking(self, along: Float32 | Float64, lateral: Float32 | Float64) -> UInt8:
        """``uint8[...]`` of `Marking`: what is painted at places, m, of the same shape; from `lines`, with hard edges."""
        return self._markings.at(along, lateral)

    def lines(self) -> tuple[Line, ...]:
        """All that is painted; where two overlap, the later one counts."""
        return self._lines

    def lane_lateral_m(self, lane: int, oncoming: bool) -> float:
        """Middle of a lane; 0 is next to the centre line."""
        middle = (lane + 0.5) * self.lane_width_m
        return middle if oncoming else -middle

    def _add_side_roads(
        self,
        ground: UInt8,
        junction: Junction,
        along: Float32 | Float64,
        beyond: Float32 | Float64,
        left: Bool,
    ) -> None:
        """Draw side roads of one junction, with round corners and pavements, into ``uint8[N]``."""
        rows = np.flatnonzero(np.abs(along - junction.along_m) < junction.half_width_m + CORNER_M)
        on_left = left[rows]
        rows = rows[(on_left & junction.left) | (~on_left & junction.right)]
        aside = np.abs(along[rows] - junction.along_m) - junction.half_width_m
        out = beyond[rows]
        kinds = ground[rows]
        if self.is_town(junction.along_m):
            kinds[aside < SIDE_PAVEMENT_M] = CityId.SIDEWALK
        round_m = np.square(CORNER_M - aside) + np.square(CORNER_M - out)
        kinds[(aside < 0) | ((out < CORNER_M) & (round_m > CORNER_M**2))] = CityId.ROAD
        ground[rows] = kinds

    def _place_junctions(self, chance: Chance) -> tuple[Junction, ...]:
        """Side roads and crossings from the start to the end, denser in town; none where town becomes country."""
        found: list[Junction] = []
        along = chance.uniform(48.0, 105.0)
        while along < self.extent_m[1]:
            town = self.is_town(along)
            if town or along > self.town_end_m + 90.0:
                found.append(_junction(chance, along, town, self._signals))
            along += chance.uniform(70.0, 140.0) if town else chance.uniform(250.0, 400.0)
        return tuple(j for j in found if abs(j.along_m - self.town_end_m) > 25.0)


def _between_knots(table: Float64, whole: Int32, part: Reals) -> Reals:
    """Values of a table between its rows, in the type of ``part``."""
    starts: Reals = table[:-1].astype(part.dtype)
    steps: Reals = np.diff(table).astype(part.dtype)
    between: Reals = starts[whole] + steps[whole] * part
    return between


def _waves(chance: Chance, town: bool) -> tuple[tuple[float, float, float], ...]:
    """Sines (height in m, rad per m, phase) that add up to a centre line of less than 20 degrees of heading."""
    waves = []
    calm = 0.6 if town else 1.0
    for length, slope in ((210.0, 0.085), (420.0, 0.12), (900.0, 0.13)):
        per_m = 2.0 * math.pi / (length * chance.uniform(0.85, 1.2))
        height = calm * slope * chance.uniform(0.4, 1.0) / per_m
        waves.append((height, per_m, chance.uniform(0.0, 2.0 * math.pi)))
    return tuple(waves)


def _junction(chance: Chance, along_m: float, town: bool, lights: float) -> Junction:
    """One of the usual kinds; ``lights`` is how likely traffic lights are."""
    sides = ((True, True), (True, False), (False, True))
    left, right = chance.choice(sides, (0.5, 0.25, 0.25))
    half_width = chance.uniform(2.7, 3.4)
    crossing, signals, plain = chance.flag(0.6), chance.flag(lights), chance.flag(0.18)
    if not town:
        return Junction(along_m, half_width, left, right, crossing=False)
    if plain:
        return Junction(along_m, 0.0, left=False, right=False, crossing=True)
    signals = signals and left and right
    return Junction(along_m, half_width, left, right, crossing or signals, signals)


__all__ = ["Junction", "Line", "Road"]
