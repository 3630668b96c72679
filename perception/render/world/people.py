"""People on the pavements. Some wait at zebra crossings until the ego is near, and cross while vehicles wait."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from perception.render.config import DriveConfig
from perception.render.records import Thing
from perception.render.world.agents import TICK_S, Agent, Pool
from perception.render.world.chance import Chance
from perception.render.world.gates import RED_S, Gate, Gates
from perception.render.world.markings import Junction, Span
from perception.render.world.road import Road

AHEAD_M = 165.0  # where they come into being
BEHIND_M = 25.0  # and where they are given up
STRIDE_M = 1.35  # of a whole round of the gait, see `Member`
KERB_M = 0.45  # from the kerb, waiting
TURN_RADPS = 3.5
ROOM_M = 0.75  # kept to whoever walks ahead
COUNTRY_SHARE = 0.3  # of the people of the town


class Errand(Enum):
    """What somebody is about."""

    STROLL = 0
    TO_KERB = 1
    WAIT = 2
    CROSS = 3


@dataclass(slots=True)
class Walker(Agent):
    """Somebody on foot.

    Attributes:
        side: of the road: 1 is the left.
        direction: 1 is the ego's.
        pace_mps: how fast they like to walk.
        band_m: lateral distance from the kerb when strolling; those of one direction keep to one half of the pavement.
        errand: what they are about.
        gate: the crossing that they mean to take.
        at_m: where on it, along the road.
        patience_m: how near the ego has to be before they want to cross.
        target_rad: course that they turn to.
        cosine: of the road's heading, where it was when they last thought.
    """

    side: int = 1
    direction: int = 1
    pace_mps: float = 1.3
    band_m: float = 1.5
    errand: Errand = Errand.STROLL
    gate: Gate | None = None
    at_m: float = 0.0
    patience_m: float = 50.0
    target_rad: float = 0.0
    cosine: float = 1.0

    def tick(self) -> None:
        """Walk for one tick, and turn."""
        self.remember()
        moved = self.speed_mps * TICK_S
        if self.errand in {Errand.TO_KERB, Errand.CROSS}:
            way = self.side if self.errand is Errand.CROSS else -self.side
            self.lateral_m += way * moved * self.cosine
        else:
            self.along_m += self.direction * moved * self.cosine
        self.phase_rad += 2 * math.pi * moved / STRIDE_M
        self.stands = self.speed_mps < 0.05
        off = math.remainder(self.target_rad - self.course_rad, 2 * math.pi)
        most = TURN_RADPS * TICK_S
        self.course_rad += min(max(off, -most), most)


class People:
    """Everybody on foot.

    Args:
        config: of the drive.
        road: of the drive.
        gates: of the road.
        pool: who there is.
    """

    def __init__(self, config: DriveConfig, road: Road, gates: Gates, pool: Pool) -> None:
        self._road, self._gates, self._pool = road, gates, pool
        self._density = config.people / 100.0  # people a metre
        self._chance = Chance(config.seed, "people")
        self.walkers: list[Walker] = []
        self._placed_to = -60.0
        self._crossings = [gate for gate in gates.all if gate.junction.crossing]

    def tick(self) -> None:
        """Move everybody."""
        for walker in self.walkers:
            walker.tick()

    def think(self, time_s: float, ego_m: float, vehicles: Iterable[tuple[Agent, int]]) -> None:
        """Everybody decides how to go on; some leave, others come.

        Args:
            time_s: of the drive.
            ego_m: where the ego is, along the road.
            vehicles: on the road, with their directions.
        """
        self._come(ego_m)
        self._leave(ego_m)
        for gate in self._crossings:
            gate.claimed = False
            gate.people = []
        drivers = list(vehicles)
        for walker in self.walkers:
            walker.cosine = math.cos(self._road.heading(walker.along_m))
            if walker.errand is Errand.STROLL:
                self._stroll(walker)
            elif walker.gate is not None:
                self._cross(walker, walker.gate, (time_s, ego_m), drivers)
        for walker in self.walkers:
            if walker.errand is Errand.CROSS and walker.gate is not None:
                walker.gate.people.append((walker.lateral_m, walker.side))

    def block(self, junction: Junction) -> bool:
        """Whether somebody is on a side road of a junction, or about to be."""
        reach = junction.half_width_m + 2.6
        return any(abs(walker.along_m - junction.along_m) < reach for walker in self.walkers)

    def _stroll(self, walker: Walker) -> None:
        """Walk on, behind others, and not before vehicles of side roads."""
        walker.target_rad = 0.0 if walker.direction > 0 else math.pi
        wish = walker.pace_mps
        for other in self.walkers:
            ahead = (other.along_m - walker.along_m) * walker.direction
            beside = abs(other.lateral_m - walker.lateral_m)
            if other is not walker and 0 < ahead < 2.0 and beside < 0.6:
                same = other.errand is Errand.STROLL and other.direction == walker.direction
                if same or ahead > 0.3:
                    wish = min(wish, max(0.0, (ahead - ROOM_M) * 2.0))
        for gate in self._gates.all:
            reach = gate.junction.half_width_m + 0.9
            ahead = (gate.junction.along_m - walker.along_m) * walker.direction - reach
            if gate.crossed and -0.3 < ahead < 0.9:
                wish = 0.0
        walker.speed_mps += min(max(wish - walker.speed_mps, -0.4), 0.2)
        if walker.gate is None:
            return
        ahead = (walker.at_m - walker.along_m) * walker.direction
        if ahead < 0.15:
            walker.errand = Errand.TO_KERB
            walker.speed_mps = 0.0

    def _cross(
        self,
        walker: Walker,
        gate: Gate,
        moment: tuple[float, float],
        drivers: list[tuple[Agent, int]],
    ) -> None:
        """Go to the kerb, wait there, cross, and be a stroller again on the other side."""
        edge = self._road.edge_m(walker.along_m)
        walker.target_rad = math.copysign(math.pi / 2, -walker.side)
        if walker.errand is Errand.CROSS:
            walker.target_rad = math.copysign(math.pi / 2, walker.side)
            walker.speed_mps = min(walker.speed_mps + 0.3, walker.pace_mps * 1.25)
            if walker.lateral_m * walker.side > edge + walker.band_m:
                walker.errand, walker.gate = Errand.STROLL, None
                walker.speed_mps = 0.3
            return
        if walker.errand is Errand.TO_KERB:
            walker.speed_mps = min(walker.speed_mps + 0.2, 1.0)
            if abs(walker.lateral_m) < edge + KERB_M:
                walker.errand, walker.speed_mps = Errand.WAIT, 0.0
            return
        time_s, ego_m = moment
        if abs(gate.junction.crossing_m[0] - ego_m) > walker.patience_m:
            return
        red = gate.red_for_s(time_s)
        if gate.junction.signals and not 1.5 < red < RED_S - 4.0:
            return
        gate.claimed = gate.claimed or not gate.junction.signals
        if gate.is_free(drivers):
            walker.errand = Errand.CROSS
            walker.side = -walker.side

    def _come(self, ego_m: float) -> None:
        """People of the next metres of the road, strollers and those at crossings."""
        while self._placed_to < ego_m + AHEAD_M:
            span = (self._placed_to, self._placed_to + 10.0)
            self._placed_to = span[1]
            town = self._road.is_town(span[1])
            share = 0.75 if town else 0.75 * COUNTRY_SHARE
            for _ in range(2):
                if self._chance.flag(min(1.0, self._density * share * 5.0)):
                    self._add_stroller(span, town)
            for gate in self._crossings:
                if span[0] <= gate.junction.crossing_m[0] < span[1]:
                    self._add_waiting(gate)

    def _add_stroller(self, span: Span, town: bool) -> None:
        thing = self._pool.take()
        if thing is None:
            return
        chance = self._chance
        walker = self._build(thing, chance.uniform(*span), 1 if chance.flag(0.5) else -1)
        width = self._road.pavement_m
        inner = walker.side == walker.direction
        near, far = (0.95, width / 2 - 0.3) if inner else (width / 2 + 0.3, width - 0.4)
        walker.band_m = chance.uniform(near, far) if town else chance.uniform(0.8, 1.2)
        # where the road comes from a town they may walk on into it, beside the parked cars
        edge = self._road.town_edge_m if self._road.town_end_m > 0 else self._road.country_edge_m
        walker.lateral_m = walker.side * (edge + walker.band_m)
        walker.speed_mps = walker.pace_mps
        walker.course_rad = walker.target_rad = 0.0 if walker.direction > 0 else math.pi
        self._join(walker)

    def _add_waiting(self, gate: Gate) -> None:
        """Some at the kerb of a crossing, some of them on their way to it."""
        chance = self._chance
        if not self._density:
            return
        first, last = gate.junction.crossing_m
        spots = [first + 0.7, (first + last) / 2, last - 0.7]
        for _ in range(chance.choice((0, 1, 2, 3), (0.15, 0.4, 0.3, 0.15))):
            thing = self._pool.take()
            if thing is None:
                return
            walker = self._build(thing, spots.pop(chance.integer(len(spots))), 1)
            walker.side = 1 if chance.flag(0.5) else -1
            walker.gate, walker.at_m = gate, walker.along_m
            walker.errand = Errand.WAIT
            walker.band_m = 1.0 + chance.uniform(0.0, 1.0)
            walker.patience_m = chance.uniform(28.0, 75.0)
            edge = self._road.edge_m(walker.along_m)
            walker.lateral_m = walker.side * (edge + KERB_M - 0.02)
            walker.course_rad = walker.target_rad = math.copysign(math.pi / 2, -walker.side)
            self._join(walker)

    def _build(self, thing: Thing, along_m: float, direction: int) -> Walker:
        chance = self._chance
        return Walker(
            thing,
            along_m,
            0.0,
            phase_rad=chance.uniform(0.0, 2 * math.pi),
            side=1 if chance.flag(0.5) else -1,
            direction=direction,
            pace_mps=chance.uniform(1.0, 1.65),
        )

    def _join(self, walker: Walker) -> None:
        """Let them in where nobody is yet."""
        for other in self.walkers:
            beside = abs(other.lateral_m - walker.lateral_m)
            if abs(other.along_m - walker.along_m) < 0.9 and beside < 0.7:
                self._pool.give_back(walker.thing)
                return
        walker.remember()
        self.walkers.append(walker)

    def _leave(self, ego_m: float) -> None:
        stay = []
        for walker in self.walkers:
            if walker.along_m > ego_m - BEHIND_M:
                stay.append(walker)
            else:
                self._pool.give_back(walker.thing)
        self.walkers = stay


__all__ = ["People", "Walker"]
