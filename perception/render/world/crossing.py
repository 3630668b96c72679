"""Vehicles of side roads: they come to the stop line, and cross when nobody is in the way."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perception.render.config import DriveConfig
from perception.render.world.agents import DECISION_S, TICK_S, Agent, Pool
from perception.render.world.chance import Chance
from perception.render.world.gates import CLEARING_S, RED_S, Gate, Gates
from perception.render.world.markings import CORNER_M, Junction
from perception.render.world.road import Road

AHEAD_M = 190.0  # of the ego: where they come into being with their junction
BEHIND_M = 30.0
GONE_M = 130.0  # along the side road
SPEED_MPS = 7.5
PUSH_MPS2 = 2.0
BRAKE_MPS2 = 3.0
GAP_M = 1.6
ARRIVAL_S = 5.0  # vehicles of the road are farther away than this when one starts


@dataclass(slots=True)
class Crosser(Agent):
    """A vehicle of a side road.

    Attributes:
        side: where it comes from: 1 is the left.
        gate: the junction.
        goes: it has started to cross.
        acceleration_mps2: now.
        waited_s: at the line.
        cosine: of the road's heading at the junction.
    """

    side: int = 1
    gate: Gate | None = None
    goes: bool = False
    acceleration_mps2: float = 0.0
    waited_s: float = 0.0
    cosine: float = 1.0

    @property
    def way_m(self) -> float:
        """How far its middle still is from the centre line of the road; negative on the other side."""
        return self.lateral_m * self.side

    def tick(self) -> None:
        """Move for one tick."""
        self.remember()
        speed = max(0.0, self.speed_mps + self.acceleration_mps2 * TICK_S)
        moved = (speed + self.speed_mps) / 2 * TICK_S
        self.speed_mps = speed
        self.lateral_m -= self.side * moved * self.cosine


class CrossTraffic:
    """All vehicles of side roads.

    Args:
        config: of the drive.
        road: of the drive.
        gates: of the road.
        pool: who there is.
    """

    def __init__(self, config: DriveConfig, road: Road, gates: Gates, pool: Pool) -> None:
        self._road, self._pool = road, pool
        self._chance = Chance(config.seed, "cross traffic")
        self._share = min(1.0, config.vehicles / 9.0)
        self._waiting = [gate for gate in gates.all if gate.junction.half_width_m > 0]
        self.crossers: list[Crosser] = []

    def tick(self) -> None:
        """Move everybody."""
        for crosser in self.crossers:
            crosser.tick()

    def think(
        self,
        time_s: float,
        ego_m: float,
        vehicles: Sequence[tuple[Agent, int]],
        people_block: Callable[[Junction], bool],
    ) -> None:
        """Everybody decides how to go on; some leave, others come.

        Args:
            time_s: of the drive.
            ego_m: where the ego is, along the road.
            vehicles: on the road, with their directions.
            people_block: tells whether somebody walks on a side road.
        """
        while self._waiting and self._waiting[0].junction.along_m < ego_m + AHEAD_M:
            self._add_arms(self._waiting.pop(0))
        self._leave(ego_m)
        for crosser in self.crossers:
            if crosser.gate is not None:
                if not crosser.goes and self._may_go(crosser, crosser.gate, time_s, vehicles):
                    crosser.goes = not people_block(crosser.gate.junction)
                    crosser.gate.crossed = crosser.gate.crossed or crosser.goes
                self._push(crosser)
        self._open()

    def _line_m(self, crosser: Crosser) -> float:
        """From its front to the stop line, m."""
        line = self._road.edge_m(crosser.along_m) + CORNER_M + 0.9
        return (crosser.way_m - line) / crosser.cosine - crosser.length_m / 2

    def _may_go(
        self,
        crosser: Crosser,
        gate: Gate,
        time_s: float,
        vehicles: Sequence[tuple[Agent, int]],
    ) -> bool:
        """Whether it is first at the line and the road is free."""
        junction = gate.junction
        if self._line_m(crosser) > 9.0 or not (junction.left and junction.right):
            return False
        if any(self._leads(other, crosser) and not other.goes for other in self.crossers):
            return False
        if junction.signals:
            red = gate.red_for_s(time_s)
            return CLEARING_S < red < RED_S - 3.0 and not gate.people and gate.is_free(vehicles)
        crosser.waited_s += DECISION_S
        calm = not gate.people and not gate.claimed
        return crosser.waited_s > 1.2 and calm and gate.is_free(vehicles, ARRIVAL_S)

    @staticmethod
    def _leads(other: Crosser, crosser: Crosser) -> bool:
        """Whether another is ahead of it, from the same side."""
        same = other.gate is crosser.gate and other.side == crosser.side
        return other is not crosser and same and other.way_m < crosser.way_m

    def _push(self, crosser: Crosser) -> None:
        """Set the acceleration: up to the speed that still allows to stop where it has to."""
        gaps = [] if crosser.goes else [self._line_m(crosser)]
        for other in self.crossers:
            if self._leads(other, crosser):
                apart = (crosser.way_m - other.way_m) / crosser.cosine
                gaps.append(apart - (other.length_m + crosser.length_m) / 2 - GAP_M)
        wish = SPEED_MPS
        for gap in gaps:
            wish = min(wish, math.sqrt(2 * 0.7 * BRAKE_MPS2 * max(gap, 0.0)))
        change = (wish - crosser.speed_mps) / DECISION_S
        crosser.acceleration_mps2 = min(max(change, -2 * BRAKE_MPS2), PUSH_MPS2)
        stands = crosser.speed_mps < 0.2 and wish < 0.3
        crosser.braking = stands or crosser.acceleration_mps2 < -0.9

    def _open(self) -> None:
        """A junction is crossed as long as one that goes has not left the road."""
        busy = set()
        for crosser in self.crossers:
            rear = crosser.way_m + crosser.length_m / 2
            far = -self._road.edge_m(crosser.along_m) - self._road.pavement_m - 0.5
            if crosser.goes and rear > far and crosser.gate is not None:
                busy.add(id(crosser.gate))
        for crosser in self.crossers:
            if crosser.gate is not None:
                crosser.gate.crossed = id(crosser.gate) in busy

    def _add_arms(self, gate: Gate) -> None:
        """Vehicles that wait, and some that come."""
        junction, chance = gate.junction, self._chance
        for side, there in ((1, junction.left), (-1, junction.right)):
            if not there or not chance.flag(0.75 * self._share):
                continue
            edge = self._road.edge_m(junction.along_m) + CORNER_M + 0.9
            starts = [edge + chance.uniform(0.0, 14.0)]
            while chance.flag(0.5) and len(starts) < 3:
                starts.append(starts[-1] + chance.uniform(9.0, 30.0))
            for front in starts:
                self._add(gate, side, front)

    def _add(self, gate: Gate, side: int, front_m: float) -> None:
        junction = gate.junction
        thing = self._pool.take(lambda member: member.kind == "car")
        if thing is None:
            return
        cosine = math.cos(self._road.heading(junction.along_m))
        lateral = side * (front_m + thing.size_lwh_m[0] / 2 * cosine)
        along = junction.along_m - side * junction.half_width_m / 2
        crosser = Crosser(thing, along, lateral, -side * math.pi / 2, side=side, gate=gate)
        crosser.cosine = cosine
        self.crossers.append(crosser)

    def _leave(self, ego_m: float) -> None:
        stay = []
        for crosser in self.crossers:
            if crosser.along_m > ego_m - BEHIND_M and crosser.way_m > -GONE_M:
                stay.append(crosser)
            else:
                self._pool.give_back(crosser.thing)
                if crosser.gate is not None and crosser.along_m <= ego_m - BEHIND_M:
                    crosser.gate.crossed = False
        self.crossers = stay


__all__ = ["CrossTraffic", "Crosser"]
