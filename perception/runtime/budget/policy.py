"""Which variant a frame gets: the most accurate one whose p95 fits the budget. Pure: knows costs, ages and change, no clocks and no engines.

Legal head sets are boxes with the class map, and boxes alone: in the cascade the boxes cut the map, so there is no map without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MAP_EVERY = 2  # frames: so often at least the class map is seen anew
# Mean difference of the tiny grey pictures, in grey levels, up to which the view hardly changes. Neighbouring frames of two real motorway recordings
# at 24 Hz differ by 0.3 to 3; on rendered drives, after 3 to 4, the labelled road still overlaps itself to 0.96, after 12 to 20 to 0.89.
STILL = 3.0
MOVED = 12.0  # up to which a map is carried where no size fits with one
MAX_MAP_AGE_MS = 300.0  # in which a pedestrian who starts to run comes 1 m far


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a frame.

    Attributes:
        size_wh: of the engine input, px.
        with_map: boxes and class map; otherwise boxes alone.
    """

    size_wh: tuple[int, int]
    with_map: bool

    @property
    def name(self) -> str:
        """For tables: ``"640x384"``, ``"640x384 boxes"``."""
        width, height = self.size_wh
        return f"{width}x{height}" + ("" if self.with_map else " boxes")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapState:
    """The newest class map, as the frame to come would see it.

    Attributes:
        age_ms: from its capture to that of the frame.
        frames: how many frames ago it was seen, 1 or more.
        change: of the view since, in grey levels.
    """

    age_ms: float
    frames: int
    change: float


class Costs(Protocol):
    """What is known of the time that a frame takes."""

    def p95_ms(self, variant: Variant) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Policy:
    """The choice, a frame at a time.

    Where the largest size fits with the map, that is it. Otherwise a frame without the map has room for a larger size: where the view hardly changes, it is taken
    for the frames between two maps. Where no size fits with the map, it is left out until it is too old or the view another one, then seen at
    the smallest size, over the budget.

    Attributes:
        budget_ms: for one frame.
        costs: of every variant.
        sizes: of the engine input, px, the largest first.
        map_every: frames; 1: the map is seen in every frame that has the time for it.
        still: change of the view, in grey levels, up to which a map may be carried.
        max_map_age_ms: up to which a map may be carried.
    """

    budget_ms: float
    costs: Costs
    sizes: Sequence[tuple[int, int]]
    map_every: int = MAP_EVERY
    still: float = STILL
    max_map_age_ms: float = MAX_MAP_AGE_MS

    def choose(self, last: MapState | None) -> Variant:
        """The variant for a frame; `last` is ``None`` where there is no map to carry."""
        whole = self._largest(with_map=True)
        smallest = self.sizes[-1]
        if last is None or last.age_ms > self.max_map_age_ms:
            return whole or Variant(smallest, with_map=True)
        boxes = self._largest(with_map=False)
        if whole is None:
            carried = self.map_every > 1 and last.change <= MOVED
            return (carried and boxes) or Variant(smallest, with_map=not carried)
        larger = boxes is not None and self.sizes.index(boxes.size_wh) < self.sizes.index(
            whole.size_wh
        )
        if boxes is not None and larger and self._may_carry(last):
            return boxes
        return whole

    def _largest(self, *, with_map: bool) -> Variant | None:
        """The largest that fits; ``None`` where none does."""
        variants = (Variant(size_wh, with_map) for size_wh in self.sizes)
        return next((v for v in variants if self.costs.p95_ms(v) <= self.budget_ms), None)

    def _may_carry(self, last: MapState) -> bool:
        return last.frames < self.map_every and last.change <= self.still
