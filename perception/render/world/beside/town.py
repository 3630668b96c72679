"""What stands in town: houses wall to wall, gardens, trees, lamps and signs."""

import math
from collections.abc import Iterator

from perception.render.world.beside.stock import Standing, Stock
from perception.render.world.chance import Chance
from perception.render.world.road import SIDE_PAVEMENT_M

LAMP_STEP_M = 27.0


class Town:
    """Builds the sides of the town's road, one stretch after the other.

    Args:
        stock: of shapes.
        first_m: where the rows of houses begin.
    """

    def __init__(self, stock: Stock, first_m: float) -> None:
        self._stock = stock
        self._row_to = {1: first_m, -1: first_m}

    def build(self, chance: Chance, side: int, span_m: tuple[float, float]) -> Iterator[Standing]:
        """What stands on one side of a stretch: houses, and what is at the kerb."""
        start_m, end_m = span_m
        yield from self._row(chance, side, end_m)
        road = self._stock.road
        leafy = Chance(self._stock.seed, "leafy", int(start_m // 120), side).flag(0.55)
        along = start_m + chance.uniform(0.0, 3.0)
        lamp = start_m + (4.0 if side > 0 else LAMP_STEP_M / 2)
        while along < end_m:
            clear = self._stock.gates.at(along, 2.0) is None
            if clear and lamp <= along:
                lamp += LAMP_STEP_M
                yield self._stock.post("lamp", "lamp", chance, along, side)
            elif clear and leafy:
                tree = self._stock.shape("street tree", 8, chance)
                yield self._stock.stand(tree, "tree", along, side * (road.edge_m(along) + 0.65))
            elif clear and chance.flag(0.35):
                kind = chance.choice(("sign", "bin", "pole"), (0.6, 0.3, 0.1))
                yield self._stock.post(kind, kind, chance, along, side)
            along += chance.uniform(6.0, 10.0)

    def _row(self, chance: Chance, side: int, end_m: float) -> Iterator[Standing]:
        """The next houses of one side, wall to wall for the most part."""
        road = self._stock.road
        while self._row_to[side] < end_m:
            along = self._row_to[side]
            walk = road.edge_m(along) + road.pavement_m
            for _ in range(5):  # one that still fits before the next side road, if there is one
                shape = self._stock.shape("town house", 28, chance)
                length, depth, _ = shape[0]
                half = length / 2 * math.cos(road.heading(along))
                blocked = self._stock.in_the_way(along + half, side, half)
                if blocked is None:
                    break
            if blocked is not None:
                gap_end = blocked.along_m + blocked.half_width_m + SIDE_PAVEMENT_M + 0.5
                space = blocked.along_m - blocked.half_width_m - SIDE_PAVEMENT_M - 0.5 - along
                yield from self._gap(chance, side, along, space)
                self._row_to[side] = gap_end
                continue
            setback = chance.choice((0.35, 3.4), (0.8, 0.2))
            lateral = side * (walk + setback + depth / 2)
            yield self._stock.stand(shape, "building", along + half, lateral)
            if setback > 1:
                yield from self._garden(chance, side, along, 2 * half)
            gap = chance.choice((0.06, chance.uniform(2.5, 7.0)), (0.72, 0.28))
            yield from self._gap(chance, side, along + 2 * half, gap)
            self._row_to[side] = along + 2 * half + gap

    def _garden(
        self, chance: Chance, side: int, along_m: float, length_m: float
    ) -> Iterator[Standing]:
        """A fence or a hedge before a house that stands back, and what grows behind."""
        walk = self._stock.road.edge_m(along_m) + self._stock.road.pavement_m
        kind = chance.choice(("fence", "hedge"))
        piece = self._stock.shape(kind, 3, chance)
        for k in range(int(length_m / piece[0][0])):
            middle = along_m + (k + 0.5) * piece[0][0]
            yield self._stock.stand(piece, kind, middle, side * (walk + 0.5))
        bush = self._stock.shape("bush", 6, chance)
        yield self._stock.stand(bush, "bush", along_m + length_m / 3, side * (walk + 2.0))

    def _gap(
        self, chance: Chance, side: int, along_m: float, length_m: float
    ) -> Iterator[Standing]:
        """Between houses: a tree behind, a fence or a bus stop at the pavement."""
        if length_m < 2.5:
            return
        walk = self._stock.road.edge_m(along_m) + self._stock.road.pavement_m
        middle = along_m + length_m / 2
        tree = self._stock.shape("tree", 12, chance)
        yield self._stock.stand(tree, "tree", middle, side * (walk + chance.uniform(5.0, 9.0)))
        if length_m > 5.0 and chance.flag(0.4):
            stop = self._stock.shape("bus stop", 2, chance)
            yield self._stock.stand(
                stop, "bus_stop", middle, side * (walk + 1.0), self._facing(middle, side)
            )
        elif length_m > 3.0:
            piece = self._stock.shape("fence", 3, chance)
            for k in range(int(length_m / piece[0][0])):
                at = along_m + (k + 0.5) * piece[0][0]
                yield self._stock.stand(piece, "fence", at, side * (walk + 0.4))

    def _facing(self, along_m: float, side: int) -> float:
        """Yaw of what is open to its -y, so that it opens to the road."""
        return self._stock.road.heading(along_m) + (0.0 if side > 0 else math.pi)


__all__ = ["Town"]
