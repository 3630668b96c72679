"""The world of a drive at any moment."""

import math
from functools import lru_cache
from itertools import count

from perception.render.config import DriveConfig
from perception.render.meshes.cast import Cast, Member, build_cast
from perception.render.records import Snapshot, State, Thing
from perception.render.world.agents import DECISION_TICKS, TICK_S, Agent, Pool
from perception.render.world.chance import Chance
from perception.render.world.crossing import CrossTraffic
from perception.render.world.gates import Gates
from perception.render.world.people import People
from perception.render.world.road import Road
from perception.render.world.roadside import Roadside
from perception.render.world.traffic import Traffic

WARM_UP_TICKS = 200  # before the first moment, so that traffic has settled
PARKED_AHEAD_M = 185.0
PARKED_BEHIND_M = 14.0
PARKED_SHARE = 0.62  # of the cars of the cast
BEHIND_M = 25.0  # of the ego: what moves and is farther back is left out of snapshots
FAR_M = 300.0


@lru_cache(maxsize=2)
def _cast_of(cast_seed: int) -> Cast:
    """The cast; worlds of one process share it and its meshes."""
    return build_cast(cast_seed)


class World:
    """What happens in a drive: a simulation in ticks, between which it is interpolated, so that it is the same at any frame rate.

    Args:
        config: of the drive.

    Attributes:
        road: it leads along.
    """

    def __init__(self, config: DriveConfig) -> None:
        self._config = config
        self._cast: Cast = _cast_of(config.cast_seed)
        self.road = Road(config)
        self._roadside = Roadside(config, self.road, Gates(self.road, Chance(config.seed, "gates")))
        self._scene = _Scene(config, self._cast, self.road)

    def at(self, time_s: float) -> Snapshot:
        """The world at a moment, s since the start; fastest if moments are asked for in order."""
        place = time_s / TICK_S
        tick = math.floor(place + 1e-6)
        share = max(0.0, place - tick)
        if tick + 1 < self._scene.ticks:
            self._scene = _Scene(self._config, self._cast, self.road)
        while self._scene.ticks < tick + 1:
            self._scene.tick()
        ego = self._scene.traffic.ego.state(self.road, share)
        things = [
            (agent.thing, agent.state(self.road, share))
            for agent in self._scene.agents()
            if -BEHIND_M < agent.along_m - ego.x_m < FAR_M
        ]
        things += self._scene.parked.near(ego.x_m)
        things += self._roadside.near(ego.x_m, time_s)
        return Snapshot(time_s, ego, tuple(things))


class _Scene:
    """All that moves, at one tick."""

    def __init__(self, config: DriveConfig, cast: Cast, road: Road) -> None:
        keys = count(1)
        cars = [m for m in cast.vehicles if m.kind == "car"]
        still = cars[: round(PARKED_SHARE * len(cars))]
        moving = cars[len(still) :] + [m for m in cast.vehicles if m.kind != "car"]

        def pool(members: list[Member], name: str) -> Pool:
            return Pool(members, Chance(config.seed, name, "pool"), keys)

        vehicles = pool(moving, "vehicles")
        self._gates = Gates(road, Chance(config.seed, "gates"))
        self.traffic = Traffic(
            config, road, self._gates, vehicles, pool(list(cast.cyclists), "cyclists")
        )
        self._cross = CrossTraffic(config, road, self._gates, vehicles)
        self._people = People(config, road, self._gates, pool(list(cast.people), "people"))
        self.parked = _Parked(config, road, self._gates, pool(still, "parked"))
        self.ticks = -WARM_UP_TICKS

    def tick(self) -> None:
        """Go on by one tick."""
        if self.ticks % DECISION_TICKS == 0:
            self._think(self.ticks * TICK_S)
        self.traffic.tick()
        self._people.tick()
        self._cross.tick()
        self.ticks += 1

    def agents(self) -> list[Agent]:
        """All that move, the ego left out."""
        riders = [rider for rider in self.traffic.riders if rider is not self.traffic.ego]
        return [*riders, *self._people.walkers, *self._cross.crossers]

    def _think(self, time_s: float) -> None:
        ego = self.traffic.ego.along_m
        vehicles = self.traffic.directed()
        self._people.think(time_s, ego, vehicles)
        self._cross.think(time_s, ego, vehicles, self._people.block)
        self.traffic.think(time_s)
        self.parked.think(ego)


class _Parked:
    """Rows of parked cars along the kerbs of the town."""

    def __init__(self, config: DriveConfig, road: Road, gates: Gates, pool: Pool) -> None:
        self._road, self._gates, self._pool = road, gates, pool
        self._chances = {side: Chance(config.seed, "parked", side) for side in (1, -1)}
        self._to = {1: -60.0, -1: -60.0}
        self._full_to = dict(self._to)
        self._full = {1: True, -1: True}
        self._cars: list[tuple[Thing, State]] = []

    def think(self, ego_m: float) -> None:
        """Add cars far ahead, and let go of those behind."""
        stay = []
        for thing, state in self._cars:
            if state.x_m > ego_m - PARKED_BEHIND_M - 20.0:
                stay.append((thing, state))
            else:
                self._pool.give_back(thing)
        self._cars = stay
        for side in (1, -1):
            while self._to[side] < ego_m + PARKED_AHEAD_M:
                self._add(side, self._chances[side])

    def near(self, ego_m: float) -> list[tuple[Thing, State]]:
        """Those that can be seen."""
        return [car for car in self._cars if car[1].x_m > ego_m - PARKED_BEHIND_M]

    def _add(self, side: int, chance: Chance) -> None:
        """The next car of one side, or the next gap."""
        start = self._to[side]
        if start >= self._full_to[side]:
            self._full[side] = chance.flag(0.75)
            self._full_to[side] = start + chance.uniform(18.0, 65.0)
        self._to[side] = start + chance.uniform(4.5, 7.0)
        if not self._full[side] or not chance.flag(0.88):
            return
        thing = self._pool.take()
        if thing is None:
            return
        length, width, _ = thing.size_lwh_m
        middle = start + length / 2
        end = start + length
        if self._keeps_clear(start, end):
            self._pool.give_back(thing)
            return
        edge = self._road.edge_m(middle)
        lateral = side * (edge - 0.12 - width / 2 - chance.uniform(0.0, 0.06))
        x_m, y_m = self._road.place(middle, lateral)
        yaw = self._road.heading(middle) + chance.normal(0.0, 0.006)
        self._cars.append(
            (thing, State(x_m, y_m, yaw + (math.pi if side > 0 else 0.0), parked=True))
        )
        self._to[side] = end + chance.uniform(0.6, 1.8)

    def _keeps_clear(self, start_m: float, end_m: float) -> bool:
        """Whether nobody may park between two places."""
        if end_m > self._road.town_end_m - 6.0:
            return True
        clear = [gate.junction.clear_m for gate in self._gates.all]
        return any(first < end_m and start_m < last for first, last in clear)


__all__ = ["World"]
