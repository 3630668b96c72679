"""What stands in the country: alleys, hedges, woods, fences, posts, few houses."""

from collections.abc import Iterator

from perception.render.world.beside.stock import Standing, Stock
from perception.render.world.chance import Chance


class Country:
    """Builds the sides of the country's road.

    Args:
        stock: of shapes.
    """

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    def build(self, chance: Chance, style: Chance, side: int, start_m: float) -> Iterator[Standing]:
        """What stands on one side of the 40 m from a place on; the style is that of a longer stretch."""
        road = self._stock.road
        for builder, kind, ahead, out in _plan(chance, style):
            along = start_m + ahead
            if along < road.town_end_m + 6.0 or self._stock.in_the_way(along, side, 5.0):
                continue
            shape = self._stock.shape(builder, 12, chance)
            yield self._stock.stand(shape, kind, along, side * (road.country_edge_m + out))


Plan = list[tuple[str, str, float, float]]  # shape, kind, along, distance from the carriageway


def _plan(chance: Chance, style: Chance) -> Plan:
    """What stands where in 40 m."""
    look = style.choice(("alley", "hedge", "wood", "open", "fence"), (0.27, 0.2, 0.2, 0.2, 0.13))
    plan = _along(look, chance, style) + _afield(look == "wood", chance)
    plan.append(("post", "post", 20.0, 0.7))
    if style.flag(0.35):
        plan.append(("power pole", "pole", 2.0, 7.0))
    if chance.flag(0.16):
        plan.append(("house", "building", chance.uniform(5, 35), chance.uniform(20, 42)))
    if chance.flag(0.2):
        plan.append(("sign", "sign", chance.uniform(5, 35), 1.4))
    return plan


def _along(look: str, chance: Chance, style: Chance) -> Plan:
    """What accompanies the road."""
    if look == "alley":
        return [("tree", "tree", 10.0 * k + chance.uniform(0, 2), 4.4) for k in range(4)]
    if look == "wood":
        trees = [(chance.uniform(0, 40), chance.uniform(5, 26)) for _ in range(8)]
        bushes = [(chance.uniform(0, 40), chance.uniform(4.4, 6.5)) for _ in range(4)]
        return [("tree", "tree", *at) for at in trees] + [("bush", "bush", *at) for at in bushes]
    if look in {"hedge", "fence"}:
        out = style.uniform(4.0, 5.5)
        return [(f"long {look}", look, 8.0 * k + 4.0, out) for k in range(5)]
    return []


def _afield(wood: bool, chance: Chance) -> Plan:
    """Groups of trees in the fields, and those at the horizon."""
    plan: Plan = []
    for _ in range(1 if wood else 2):
        along, out = chance.uniform(0, 40), chance.uniform(14, 70)
        for _ in range(chance.integer(4)):
            spot = (along + chance.normal(0, 5), max(8.0, out + chance.normal(0, 5)))
            plan.append(("tree", "tree", *spot))
    for _ in range(2):
        plan.append(("far trees", "tree", chance.uniform(0, 40), chance.uniform(80, 190)))
    return plan


__all__ = ["Country"]
