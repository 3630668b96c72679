"""Everything that stands beside the road, built as the ego gets on."""

from collections.abc import Iterator

from perception.render.config import DriveConfig
from perception.render.records import State, Thing
from perception.render.world.beside.country import Country
from perception.render.world.beside.junctions import Junctions
from perception.render.world.beside.stock import Standing, Stock
from perception.render.world.beside.town import Town
from perception.render.world.chance import Chance
from perception.render.world.gates import Gates
from perception.render.world.road import Road

CHUNK_M = 40.0  # of road that is built at a time
STRETCH = 3  # chunks of the country that look alike
FIRST_M = -80.0
RANGE_M = {
    "building": 440.0,
    "tree": 330.0,
    "lamp": 260.0,
    "light": 260.0,
    "hedge": 260.0,
    "pole": 300.0,
}
OTHERS_M = 180.0


class Roadside:
    """Everything that stands, built as the ego gets on; the same wherever one starts to look.

    Args:
        config: of the drive.
        road: of the drive.
        gates: of the road.
    """

    def __init__(self, config: DriveConfig, road: Road, gates: Gates) -> None:
        self._seed, self._road, self._gates = config.seed, road, gates
        stock = Stock(config.seed, road, gates)
        self._town, self._country = Town(stock, FIRST_M), Country(stock)
        self._junctions = Junctions(stock)
        self._chunks: list[list[Standing]] = []

    def near(self, ego_m: float, time_s: float) -> Iterator[tuple[Thing, State]]:
        """What stands near enough to be seen from a place along the road, in order of its keys."""
        first = max(0, int((ego_m - 60.0 - FIRST_M) / CHUNK_M))
        last = int((ego_m + RANGE_M["building"] - FIRST_M) / CHUNK_M) + 1
        while len(self._chunks) < last:
            self._chunks.append(list(self._build(len(self._chunks))))
        for chunk in self._chunks[first:last]:
            for standing in chunk:
                thing = standing.thing
                ahead = standing.state.x_m - ego_m
                reach = max(thing.size_lwh_m[:2]) / 2 + 12.0
                far = standing.range_m or RANGE_M.get(thing.kind, OTHERS_M)
                if -reach < ahead < far:
                    yield standing.at(time_s), standing.state

    def _build(self, index: int) -> Iterator[Standing]:
        start = FIRST_M + CHUNK_M * index
        for side in (1, -1):
            chance = Chance(self._seed, "roadside", index, side)
            end = min(start + CHUNK_M, self._road.town_end_m)
            if start < end:
                yield from self._town.build(chance, side, (start, end))
            if start + CHUNK_M > end:
                style = Chance(self._seed, "stretch", index // STRETCH, side)
                yield from self._country.build(chance, style, side, start)
        for gate in self._gates.all:
            if start <= gate.junction.along_m < start + CHUNK_M:
                yield from self._junctions.build(gate)


__all__ = ["Roadside"]
