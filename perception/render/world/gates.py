"""Junctions and crossings as gates of the road: closed by traffic lights, by people on the zebra crossing, or by vehicles that cross."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from perception.render.world.agents import Agent
from perception.render.world.chance import Chance
from perception.render.world.markings import Junction
from perception.render.world.road import Road

CYCLE_S = 24.0  # of traffic lights
RED_S = 8.0  # of it, for the road
CLEARING_S = 1.6  # nobody has green
HARD_MPS2 = 4.0  # who would have to brake harder than this does not stop
OVER_M = 0.8  # past the line, and still waiting
EASY_MPS2 = 2.6  # who can stop with this is expected to


@dataclass(slots=True)
class Gate:
    """A junction as the traffic of the road sees it.

    Attributes:
        junction: where it is.
        offset_s: of its traffic lights.
        people: (lateral, direction) of those who are on the zebra crossing: direction 1 walks to the left.
        claimed: somebody waits to step on it.
        crossed: a vehicle from a side road is on the road, or is about to be.
    """

    junction: Junction
    offset_s: float
    people: list[tuple[float, int]] = field(default_factory=list)
    claimed: bool = False
    crossed: bool = False

    def red_for_s(self, time_s: float) -> float:
        """How long the road has had red; negative while it has green, or where there are no traffic lights."""
        if not self.junction.signals:
            return -1.0
        since = (time_s + self.offset_s) % CYCLE_S
        return since - (CYCLE_S - RED_S)

    def light(self, time_s: float, *, main: bool) -> str:
        """Which traffic light is on, for the road or for its side roads: red, amber or green."""
        red = self.red_for_s(time_s)
        if main:
            return "red" if red >= 0 else "amber" if red > -2.0 else "green"
        if CLEARING_S < red < RED_S - 3.0:
            return "green"
        return "amber" if RED_S - 3.0 <= red < RED_S - 1.5 else "red"

    def closed(self, direction: int, time_s: float) -> bool:
        """Whether vehicles of a direction (1 is the ego's) have to wait before it."""
        if self.crossed or self.claimed or self.red_for_s(time_s) >= 0:
            return True
        # people matter who are on our half, or walk towards it; our half is on the right
        return any(-side * direction > -0.5 or way == -direction for side, way in self.people)

    def ahead_m(self, agent: Agent, direction: int) -> float:
        """From an agent's front to where it would wait; negative once it is past that."""
        ours, theirs = self.junction.stop_m
        front = agent.along_m + direction * agent.length_m / 2
        return ours - front if direction > 0 else front - theirs

    def _inside(self, agent: Agent, direction: int) -> bool:
        """Whether any of it is between the stop lines."""
        ours, theirs = self.junction.stop_m
        rear = agent.along_m - direction * agent.length_m / 2
        left_it = rear > theirs if direction > 0 else rear < ours
        return self.ahead_m(agent, direction) < -OVER_M and not left_it

    def is_free(self, vehicles: Iterable[tuple[Agent, int]], arrival_s: float = 0.0) -> bool:
        """Whether one may step on the road: nobody is there who could not stop easily.

        Args:
            vehicles: of the road, and their directions.
            arrival_s: those that move are farther away than this.
        """
        for agent, direction in vehicles:
            ahead = self.ahead_m(agent, direction)
            if ahead < -OVER_M:
                if self._inside(agent, direction):
                    return False
                continue
            speed = agent.speed_mps
            if speed > 0.5 and ahead < max(speed * arrival_s, speed * speed / (2 * EASY_MPS2)):
                return False
        return True


class Gates:
    """All gates of a road.

    Args:
        road: of the drive.
        chance: for the traffic lights.
    """

    def __init__(self, road: Road, chance: Chance) -> None:
        self.all = [Gate(j, chance.uniform(0.0, CYCLE_S)) for j in road.junctions]
        self._stops = {
            1: [gate.junction.stop_m[0] for gate in self.all],
            -1: [gate.junction.stop_m[1] for gate in self.all],
        }

    def next(self, agent: Agent, direction: int) -> Gate | None:
        """The gate that an agent reaches next."""
        front = agent.along_m + direction * (agent.length_m / 2 - OVER_M)
        index = bisect_right(self._stops[direction], front)
        if direction < 0:
            index -= 1
        return self.all[index] if 0 <= index < len(self.all) else None

    def at(self, along_m: float, reach_m: float) -> Gate | None:
        """A gate between whose stop lines something of this half length would stand."""
        for gate in self.all:
            ours, theirs = gate.junction.stop_m
            if ours - reach_m < along_m < theirs + reach_m:
                return gate
        return None

    def wait_m(self, agent: Agent, direction: int, time_s: float) -> float | None:
        """From its front to where it has to stop; ``None`` if it may go on, or cannot stop any more."""
        gate = self.next(agent, direction)
        if gate is None or not gate.closed(direction, time_s):
            return None
        ahead = gate.ahead_m(agent, direction)
        if agent.speed_mps**2 > 2 * HARD_MPS2 * max(ahead, 0.01) and agent.speed_mps > 0.5:
            return None
        return ahead


__all__ = ["CLEARING_S", "RED_S", "Gate", "Gates"]
