"""What moves: a place on the road that is remembered from one tick to the next, and the stock of vehicles and people it is drawn from."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from perception.render.meshes.cast import Member
from perception.render.records import State, Thing
from perception.render.world.chance import Chance
from perception.render.world.road import Road

TICK_S = 0.02
DECISION_TICKS = 5  # agents think ten times a second and move at every tick
PEDAL_M = 4.5  # that a cyclist rides in one turn of the pedals, see `Member`
DECISION_S = TICK_S * DECISION_TICKS


@dataclass(slots=True)
class Agent:
    """Somebody on the road.

    Attributes:
        thing: what is drawn.
        along_m, lateral_m: place on the road.
        course_rad: where its front points, from the road's direction to the left; never wrapped.
        speed_mps: along its course.
        phase_rad: of its gait, from 0 on.
        stands: with its feet side by side, or one on the ground; its phase is then given as -1, see `Member`.
        braking: whether its brake lamps shine.
        before: place, course and phase one tick earlier.
    """

    thing: Thing
    along_m: float
    lateral_m: float
    course_rad: float = 0.0
    speed_mps: float = 0.0
    phase_rad: float = 0.0
    stands: bool = False
    braking: bool = False
    before: tuple[float, float, float, float] = field(default=(0.0, 0.0, 0.0, 0.0), init=False)

    def __post_init__(self) -> None:
        self.remember()

    @property
    def length_m(self) -> float:
        """From end to end."""
        return self.thing.size_lwh_m[0]

    @property
    def width_m(self) -> float:
        """From side to side."""
        return self.thing.size_lwh_m[1]

    def remember(self) -> None:
        """Keep where it is as where it was; before each tick."""
        self.before = (self.along_m, self.lateral_m, self.course_rad, self.phase_rad)

    def state(self, road: Road, share: float) -> State:
        """Its state between the last tick and this one; share 0 is the last."""
        was = self.before
        along = was[0] + share * (self.along_m - was[0])
        lateral = was[1] + share * (self.lateral_m - was[1])
        course = was[2] + share * (self.course_rad - was[2])
        x_m, y_m = road.place(along, lateral)
        # side roads run along the world's y axis, whatever the heading of the road
        yaw = course + road.heading(along) * abs(math.cos(course))
        return State(
            x_m=x_m,
            y_m=y_m,
            yaw_rad=yaw,
            speed_mps=self.speed_mps,
            phase_rad=-1.0 if self.stands else was[3] + share * (self.phase_rad - was[3]),
            braking=self.braking,
        )


@dataclass(slots=True)
class Rider(Agent):
    """Somebody who drives or rides along the road.

    Attributes:
        direction: 1 is the ego's.
        lane: 0 is next to the centre line; -1 for cyclists, who keep to the edge.
        drive: of the usual speed, how much it likes; m/s for cyclists.
        push_mps2: how it accelerates, at most.
        acceleration_mps2: now.
        sideways_mps: to the left.
        cosine: of the road's heading, where it was when it last thought.
    """

    direction: int = 1
    lane: int = 0
    drive: float = 1.0
    push_mps2: float = 1.6
    acceleration_mps2: float = 0.0
    sideways_mps: float = 0.0
    cosine: float = 1.0

    @property
    def right_m(self) -> float:
        """Distance from the centre line to its own right."""
        return -self.lateral_m * self.direction

    def tick(self) -> None:
        """Move for one tick."""
        self.remember()
        speed = max(0.0, self.speed_mps + self.acceleration_mps2 * TICK_S)
        moved = (speed + self.speed_mps) / 2 * TICK_S
        self.speed_mps = speed
        self.along_m += self.direction * moved * self.cosine
        self.lateral_m += self.sideways_mps * TICK_S
        straight = 0.0 if self.direction > 0 else math.pi
        lean = self.direction * math.atan(self.sideways_mps / max(speed, 3.0))
        self.course_rad += (straight + lean - self.course_rad) * 0.08
        if self.lane < 0:
            self.phase_rad += 2 * math.pi * moved / PEDAL_M
            self.stands = speed < 0.15


class Pool:
    """Members of the cast that are not in the scene; each is there once at most.

    Args:
        members: of the cast.
        chance: for their order.
        keys: next key of a thing, shared by everything in the drive.
    """

    def __init__(self, members: Iterable[Member], chance: Chance, keys: "count[int]") -> None:
        rest = list(members)
        mixed: deque[Member] = deque()
        while rest:
            mixed.append(rest.pop(chance.integer(len(rest))))
        self._free = mixed
        self._out: dict[int, Member] = {}
        self._keys = keys

    def take(self, fits: Callable[[Member], bool] | None = None) -> Thing | None:
        """The one that has been away longest, of those that fit; ``None`` where there is none."""
        for member in self._free:
            if fits is None or fits(member):
                self._free.remove(member)
                self._out[member.identity] = member
                return Thing(
                    key=next(self._keys),
                    kind=member.kind,
                    identity=member.identity,
                    attributes=member.attributes,
                    size_lwh_m=member.size_lwh_m,
                    mesh=member.mesh,
                    key_points=member.key_points,
                )
        return None

    def give_back(self, thing: Thing) -> None:
        """It has left the scene."""
        self._free.append(self._out.pop(thing.identity))


__all__ = ["DECISION_S", "DECISION_TICKS", "TICK_S", "Agent", "Pool", "Rider"]
