"""Vehicles and cyclists on the road: they keep their distance, wait at gates and pass cyclists with room. The ego is one of them."""

import math

from perception.render.config import DriveConfig
from perception.render.meshes.cast import Member
from perception.render.records import Mesh, Thing
from perception.render.world.agents import Agent, Pool, Rider
from perception.render.world.chance import Chance
from perception.render.world.gates import Gates
from perception.render.world.road import TOP_SPEED_MPS, Road

AHEAD_M = 235.0  # where vehicles come into being
GONE_AHEAD_M = 300.0
GONE_BEHIND_M = 70.0
CYCLIST_AHEAD_M = 180.0
TOWN_MPS = 12.2
COUNTRY_MPS = 21.0
GAP_M = 2.0  # between bumpers when standing
HEADWAY_S = 1.25
BRAKE_MPS2 = 2.2
CYCLIST_EDGE_M = 0.15  # from the edge of the lanes
ROOM_M = 0.35  # between a cyclist and who passes
SIDEWAYS_MPS = 0.9


class Traffic:
    """All that drives along the road.

    Args:
        config: of the drive.
        road: of the drive.
        gates: of the road.
        vehicles, cyclists: who there is.
    """

    def __init__(
        self, config: DriveConfig, road: Road, gates: Gates, vehicles: Pool, cyclists: Pool
    ) -> None:
        self._config, self._road, self._gates = config, road, gates
        self._vehicles, self._cyclists = vehicles, cyclists
        self._chance = Chance(config.seed, "traffic")
        self.ego = self._build_ego(-45.0)
        self.riders: list[Rider] = [self.ego]
        self._cyclists_to = self.ego.along_m + 20.0
        self._spacing = {1: 40.0, -1: 40.0}
        self._fill()

    def tick(self) -> None:
        """Move everybody."""
        for rider in self.riders:
            rider.tick()

    def think(self, time_s: float) -> None:
        """Everybody decides how to go on; some leave, others come."""
        self._leave()
        self._come()
        for direction in (1, -1):
            queue = [r for r in self.riders if r.direction == direction]
            queue.sort(key=lambda r: r.along_m * r.direction)
            for index, rider in enumerate(queue):
                self._steer(rider, queue, index)
                self._push(rider, queue[index + 1 :], time_s)

    def directed(self) -> list[tuple[Agent, int]]:
        """Everybody and the directions they go."""
        return [(rider, rider.direction) for rider in self.riders]

    def _push(self, rider: Rider, ahead: list[Rider], time_s: float) -> None:
        """Set the acceleration, behind the nearest of a vehicle, a cyclist that cannot be passed yet, and a closed gate.

        Source:
            Treiber et al., Congested traffic states, 2000, https://arxiv.org/abs/cond-mat/0002177, the intelligent driver model.
        """
        wish = self._wish_mps(rider)
        push, speed = rider.push_mps2, rider.speed_mps
        free = max(push * (1 - (speed / wish) ** 4), -1.8)
        follow = 0.0
        for other in ahead:
            gap = (other.along_m - rider.along_m) * rider.direction
            if gap > 90.0:
                break
            if abs(other.right_m - rider.right_m) < (other.width_m + rider.width_m) / 2 + 0.25:
                gap -= (other.length_m + rider.length_m) / 2
                follow = _follow(rider, gap, other.speed_mps)
                break
        wait = self._gates.wait_m(rider, rider.direction, time_s)
        if wait is not None and wait < 90.0:
            follow = max(follow, _follow(rider, wait + GAP_M - 0.6, 0.0))
        rider.acceleration_mps2 = max(free - push * follow, -7.5)
        stands = speed < 0.2 and rider.acceleration_mps2 < 0.3
        rider.braking = rider.lane >= 0 and (rider.acceleration_mps2 < -0.9 or stands)

    def _steer(self, rider: Rider, queue: list[Rider], index: int) -> None:
        """Keep to the middle of the lane, or aside of cyclists where that leaves room."""
        rider.cosine = math.cos(self._road.heading(rider.along_m))
        if rider.lane < 0:
            return
        target = (rider.lane + 0.5) * self._road.lane_width_m
        for other in queue[max(0, index - 3) : index + 5]:
            gap = (other.along_m - rider.along_m) * rider.direction
            if other.lane < 0 and -10.0 < gap < 12.0 + 2.2 * rider.speed_mps:
                beside = other.right_m - (other.width_m + rider.width_m) / 2 - ROOM_M
                if beside - rider.width_m / 2 > rider.lane * self._road.lane_width_m + 0.1:
                    target = min(target, beside)
        most = min(SIDEWAYS_MPS, 0.22 * rider.speed_mps)
        move = min(max((target - rider.right_m) / 0.7, -most), most)
        rider.sideways_mps = -rider.direction * move

    def _wish_mps(self, rider: Rider) -> float:
        """How fast it would go on an empty road."""
        if rider.lane < 0:
            return rider.drive
        ahead = rider.along_m + rider.direction * 15.0
        limit = TOWN_MPS if self._road.is_town(ahead) else COUNTRY_MPS
        return min(limit * rider.drive, TOP_SPEED_MPS)

    def _leave(self) -> None:
        ego = self.ego.along_m
        stay = []
        for rider in self.riders:
            if -GONE_BEHIND_M < rider.along_m - ego < GONE_AHEAD_M:
                stay.append(rider)
            else:
                pool = self._cyclists if rider.lane < 0 else self._vehicles
                pool.give_back(rider.thing)
        self.riders = stay

    def _come(self) -> None:
        """Vehicles far ahead, in the fast lane also from behind; cyclists as the ego gets on."""
        ego = self.ego.along_m
        moving = [r for r in self.riders if r.lane >= 0]
        for direction, share in ((1, 0.45), (-1, 0.55)):
            near = [r for r in moving if r.direction == direction]
            if len(near) - (direction > 0) >= round(self._config.vehicles * share):
                continue
            lane = self._chance.integer(self._road.lanes)
            farthest = max((r.along_m for r in near if r.lane == lane), default=ego)
            if ego + AHEAD_M - farthest > self._spacing[direction]:
                self._add(direction, lane, ego + AHEAD_M + self._chance.uniform(0.0, 20.0))
                self._spacing[direction] = self._chance.uniform(22.0, 80.0)
            elif direction > 0 and lane < self._road.lanes - 1 and self._chance.flag(0.05):
                rear = min((r.along_m for r in near if r.lane == lane), default=ego)
                if rear > ego - 20.0:
                    self._add(direction, lane, ego - 55.0)
        while self._cyclists_to < ego + CYCLIST_AHEAD_M:
            self._cyclists_to += 15.0
            town = self._road.is_town(self._cyclists_to)
            if self._chance.flag(self._config.people * (0.032 if town else 0.012)):
                direction = 1 if self._chance.flag(0.6 if town else 0.35) else -1
                direction = -direction if self._meets(direction, cyclists=False) else direction
                if not self._meets(direction, cyclists=False):
                    self._add_cyclist(direction, self._cyclists_to)

    def _fill(self) -> None:
        """The vehicles of the start, one of them often just ahead of the ego."""
        ego, chance = self.ego, self._chance
        lanes = self._road.lanes
        share = self._config.vehicles / 9.0
        if not share:
            return
        spots = [(1, ego.lane, chance.uniform(22.0, 45.0))] if chance.flag(0.8) else []
        for direction, lane in [(1, k) for k in range(lanes)] + [(-1, k) for k in range(lanes)]:
            offset = chance.uniform(60.0, 90.0) if direction > 0 else chance.uniform(-30.0, 50.0)
            while offset < AHEAD_M:
                spots.append((direction, lane, offset))
                offset += (
                    chance.uniform(25.0, 75.0) * (lanes if direction < 0 else lanes * 1.3) / share
                )
        if lanes > 1:
            spots.append((1, 0, -chance.uniform(12.0, 40.0)))
        for direction, lane, offset in spots:
            self._add(direction, lane, ego.along_m + offset)

    def _add(self, direction: int, lane: int, along_m: float) -> None:
        """A vehicle, unless that is too close to another, or at a gate, or there is none left."""
        chance = self._chance
        slow = direction > 0 and lane == self._road.lanes - 1
        outer = lane == self._road.lanes - 1
        heavy = outer and chance.flag(0.5) and not self._meets(direction, cyclists=True)

        def fits(member: Member) -> bool:
            return member.kind == "car" or heavy

        thing = self._vehicles.take(fits)
        if thing is None:
            return
        lateral = self._road.lane_lateral_m(lane, direction < 0)
        drive = chance.uniform(0.8, 0.96) if slow else chance.uniform(0.88, 1.15)
        rider = Rider(
            thing,
            along_m,
            lateral,
            0.0 if direction > 0 else math.pi,
            direction=direction,
            lane=lane,
            drive=drive,
            push_mps2=chance.uniform(1.2, 2.0),
        )
        rider.speed_mps = 0.9 * self._wish_mps(rider)
        self._join(rider, self._vehicles)

    def _meets(self, direction: int, *, cyclists: bool) -> bool:
        """Whether there are cyclists, or vehicles that are too wide to pass one, that way: a few of either would hold up everybody."""
        way = [rider for rider in self.riders if rider.direction == direction]
        return any(r.lane < 0 if cyclists else r.thing.kind in {"truck", "bus"} for r in way)

    def _add_cyclist(self, direction: int, along_m: float) -> None:
        thing = self._cyclists.take()
        if thing is None:
            return
        right = self._road.lanes * self._road.lane_width_m - CYCLIST_EDGE_M
        chance = self._chance
        speed = chance.uniform(3.8, 6.4)
        rider = Rider(
            thing,
            along_m,
            -direction * right,
            0.0 if direction > 0 else math.pi,
            speed,
            chance.uniform(0.0, 2 * math.pi),
            direction=direction,
            lane=-1,
            drive=speed,
            push_mps2=1.0,
        )
        self._join(rider, self._cyclists)

    def _join(self, rider: Rider, pool: Pool) -> None:
        """Let it in where there is room for its speed."""
        for other in self.riders:
            beside = abs(other.lateral_m - rider.lateral_m)
            if beside < (other.width_m + rider.width_m) / 2 + 0.2:
                apart = abs(other.along_m - rider.along_m)
                if apart < (other.length_m + rider.length_m) / 2 + 9.0:
                    pool.give_back(rider.thing)
                    return
        gate = self._gates.at(rider.along_m, rider.length_m / 2 + 3.0)
        if gate is None:
            self.riders.append(rider)
        else:
            pool.give_back(rider.thing)

    def _build_ego(self, along_m: float) -> Rider:
        thing = Thing(0, "car", 0, {}, (4.5, 1.82, 1.5), _no_mesh)
        lane = self._road.lanes - 1
        ego = Rider(thing, along_m, self._road.lane_lateral_m(lane, oncoming=False), lane=lane)
        ego.drive = self._chance.uniform(0.98, 1.12)
        ego.speed_mps = 0.9 * self._wish_mps(ego)
        return ego


def _follow(rider: Rider, gap_m: float, leader_mps: float) -> float:
    """The interaction term of the intelligent driver model, 0 for none."""
    speed = rider.speed_mps
    closing = speed * (speed - leader_mps) / (2 * math.sqrt(rider.push_mps2 * BRAKE_MPS2))
    wanted = GAP_M + max(0.0, speed * HEADWAY_S + closing)
    return (wanted / max(gap_m, 0.1)) ** 2


def _no_mesh(_phase_rad: float, _detail: int) -> Mesh:
    raise AssertionError("the ego is not drawn")


__all__ = ["Traffic"]
