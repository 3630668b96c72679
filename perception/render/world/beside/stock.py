"""Shapes that things beside the road are made of, and how they are put on their places."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from perception.render.meshes import scenery
from perception.render.records import Mesh, State, Thing
from perception.render.world.chance import Chance
from perception.render.world.gates import Gate, Gates
from perception.render.world.markings import Junction
from perception.render.world.road import SIDE_PAVEMENT_M, Road

Shape = tuple[tuple[float, float, float], Callable[[float, int], Mesh]]

KERB_M = 0.4  # of posts, behind the kerb
FIRST_KEY = 1_000_000


@dataclass(frozen=True, slots=True)
class Standing:
    """A thing that stands.

    Attributes:
        thing: as it is drawn.
        state: where.
        gate: of traffic lights: the junction that they belong to.
        main: traffic lights are those of the road, not of its side roads.
        lit: traffic lights: the same thing with each of its lights on.
        range_m: from where it is drawn; 0 for what is usual for its kind.
    """

    thing: Thing
    state: State
    gate: Gate | None = None
    main: bool = True
    lit: tuple[Thing, ...] = ()
    range_m: float = 0.0

    def at(self, time_s: float) -> Thing:
        """What is drawn at a moment."""
        if self.gate is None:
            return self.thing
        names = ("red", "amber", "green")
        return self.lit[names.index(self.gate.light(time_s, main=self.main))]


class Stock:
    """Shapes, built when they are first asked for; things of one shape share their mesh.

    Attributes:
        seed: of the drive.
        road: of the drive.
        gates: of the road.
    """

    def __init__(self, seed: int, road: Road, gates: Gates) -> None:
        self.seed, self.road, self.gates = seed, road, gates
        self._shapes: dict[tuple[str, int], Shape] = {}
        self._keys = count(FIRST_KEY)

    def shape(self, kind: str, variants: int, chance: Chance) -> Shape:
        """One of some variants; things of one variant share their mesh."""
        number = chance.integer(variants)
        key = (kind, number)
        if key not in self._shapes:
            self._shapes[key] = BUILDERS[kind](Chance(self.seed, "shape", kind, number))
        return self._shapes[key]

    def stand(
        self,
        shape: Shape,
        kind: str,
        along_m: float,
        lateral_m: float,
        turn_rad: float | None = None,
    ) -> Standing:
        """Put a shape on a place; it faces along its side of the road unless turned from the world's x axis."""
        x_m, y_m = self.road.place(along_m, lateral_m)
        yaw = turn_rad
        if yaw is None:
            yaw = self.road.heading(along_m) + (math.pi if lateral_m > 0 else 0.0)
        thing = Thing(next(self._keys), kind, 0, {}, shape[0], shape[1])
        return Standing(thing, State(x_m, y_m, yaw))

    def post(self, kind: str, builder: str, chance: Chance, along_m: float, side: int) -> Standing:
        """A lamp, a sign or the like at the kerb."""
        shape = self.shape(builder, 6, chance)
        edge = self.road.edge_m(along_m) + KERB_M
        return self.stand(shape, kind, along_m, side * edge)

    def light(
        self, gate: Gate, along_m: float, lateral_m: float, turn_rad: float | None
    ) -> Standing:
        """A traffic light; one of the road's side roads is turned, from the world's x axis."""
        main = turn_rad is None
        reach = 3.6 if main and self.road.lanes > 1 else 0.0
        shapes = []
        for state in ("red", "amber", "green"):
            key = (f"light {state} {reach}", 0)
            if key not in self._shapes:
                chance = Chance(self.seed, "light")
                self._shapes[key] = scenery.build_traffic_light(chance, state, reach)
            shapes.append(self._shapes[key])
        first = self.stand(shapes[0], "light", along_m, lateral_m, turn_rad)
        key_number = first.thing.key
        lit = tuple(Thing(key_number, "light", 0, {}, size, mesh) for size, mesh in shapes)
        return Standing(first.thing, first.state, gate, main, lit)

    def in_the_way(self, along_m: float, side: int, reach_m: float) -> Junction | None:
        """The junction whose side road or corner something of this half length would stand on."""
        for gate in self.gates.all:
            junction = gate.junction
            half = junction.half_width_m + SIDE_PAVEMENT_M + 0.4
            there = junction.left if side > 0 else junction.right
            if there and abs(along_m - junction.along_m) < half + reach_m:
                return junction
        return None


def _house(chance: Chance, style: str, floors: tuple[int, int]) -> Shape:
    """A building of whole floors."""
    height = 3.0 * (floors[0] + chance.integer(floors[1] - floors[0] + 1)) + chance.uniform(
        0.8, 2.0
    )
    length, depth = chance.uniform(9.0, 19.0), chance.uniform(9.0, 13.0)
    return scenery.build_building(chance, length, depth, height, style)


BUILDERS: dict[str, Callable[[Chance], Shape]] = {
    "town house": lambda c: _house(c, "town", (2, 5)),
    "house": lambda c: _house(c, c.choice(("house", "house", "hall")), (1, 2)),
    "street tree": lambda c: scenery.build_tree(c, c.uniform(4.5, 7.5), "broadleaf"),
    "tree": lambda c: scenery.build_tree(c, c.uniform(5.0, 13.0)),
    "far trees": lambda c: scenery.build_tree(c, c.uniform(9.0, 18.0)),
    "bush": lambda c: scenery.build_bush(c, c.uniform(0.8, 1.7)),
    "hedge": lambda c: scenery.build_hedge(c, 3.0, c.uniform(0.9, 1.6)),
    "long hedge": lambda c: scenery.build_hedge(c, 8.0, c.uniform(1.0, 2.2)),
    "fence": lambda c: scenery.build_fence(c, 2.5, c.uniform(0.9, 1.5)),
    "long fence": lambda c: scenery.build_fence(c, 8.0, c.uniform(1.0, 1.3)),
    "lamp": lambda c: scenery.build_lamp(c, c.uniform(6.5, 8.0)),
    "pole": lambda c: scenery.build_pole(c, c.uniform(3.0, 6.0)),
    "power pole": lambda c: scenery.build_pole(c, c.uniform(7.5, 9.0)),
    "post": scenery.build_post,
    "sign": scenery.build_sign,
    "crossing sign": lambda c: scenery.build_sign(c, "crossing"),
    "yield sign": lambda c: scenery.build_sign(c, "yield"),
    "stop sign": lambda c: scenery.build_sign(c, "stop"),
    "bin": scenery.build_bin,
    "bus stop": scenery.build_bus_stop,
}  # fmt: skip


__all__ = ["KERB_M", "Shape", "Standing", "Stock"]
