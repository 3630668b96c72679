"""What stands at junctions and along their side roads."""

import math
from collections.abc import Iterator
from dataclasses import replace

from perception.render.world.beside.stock import KERB_M, Standing, Stock
from perception.render.world.chance import Chance
from perception.render.world.gates import Gate
from perception.render.world.markings import CORNER_M
from perception.render.world.road import SIDE_PAVEMENT_M

SIDE_RANGE_M = 170.0  # what stands along side roads is hidden behind corners from farther away


class Junctions:
    """Builds traffic lights, signs and the side roads' houses.

    Args:
        stock: of shapes.
    """

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    def build(self, gate: Gate) -> Iterator[Standing]:
        """What stands at one junction."""
        junction = gate.junction
        chance = Chance(self._stock.seed, "junction", round(junction.along_m * 100))
        edge = self._stock.road.edge_m(junction.along_m)
        ours, theirs = junction.stop_m
        if junction.signals:
            yield self._stock.light(gate, ours + 0.4, -(edge + KERB_M), None)
            yield self._stock.light(gate, theirs - 0.4, edge + KERB_M, None)
        elif junction.crossing:
            sign = self._stock.shape("crossing sign", 1, chance)
            yield self._stock.stand(sign, "sign", junction.crossing_m[0] - 0.4, -(edge + KERB_M))
            yield self._stock.stand(sign, "sign", junction.crossing_m[1] + 0.4, edge + KERB_M)
        for side, there in ((1, junction.left), (-1, junction.right)):
            if there:
                yield from self._arm(gate, chance, side, edge)

    def _arm(self, gate: Gate, chance: Chance, side: int, edge_m: float) -> Iterator[Standing]:
        """What stands along a side road."""
        junction = gate.junction
        corner = junction.along_m - side * (junction.half_width_m + 0.5)
        turn = -side * math.pi / 2
        line = side * (edge_m + CORNER_M + 0.5)
        if junction.signals:
            yield self._stock.light(gate, corner, line, turn)
        else:
            kind = chance.choice(("yield sign", "stop sign"), (0.75, 0.25))
            yield self._stock.stand(self._stock.shape(kind, 1, chance), "sign", corner, line, turn)
        town = self._stock.road.is_town(junction.along_m)
        for beside in (1, -1):
            out = edge_m + self._stock.road.pavement_m + (15.5 if town else 9.0)
            while out < 75.0:
                kind, name = ("town house", "building") if town else ("tree", "tree")
                shape = self._stock.shape(kind, 28 if town else 12, chance)
                length, depth, _ = shape[0]
                away = junction.half_width_m + SIDE_PAVEMENT_M + 0.4 + depth / 2
                at = junction.along_m + beside * away
                house = self._stock.stand(shape, name, at, side * (out + length / 2), turn)
                yield replace(house, range_m=SIDE_RANGE_M)
                out += length + (chance.uniform(0.1, 5.0) if town else chance.uniform(4.0, 14.0))


__all__ = ["Junctions"]
