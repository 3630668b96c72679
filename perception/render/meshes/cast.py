"""Who drives and walks in every drive: the same vehicles, people and cyclists wherever the cast seed is the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from perception.core.types import Float64
from perception.render.meshes.cyclists import draw_cyclist
from perception.render.meshes.people import draw_person
from perception.render.meshes.solids import bounds_lwh
from perception.render.meshes.vehicles import VEHICLE_KINDS, draw_vehicle
from perception.render.records import Mesh
from perception.render.world.chance import Chance

VEHICLES, PEOPLE, CYCLISTS = 120, 120, 40


@dataclass(frozen=True, eq=False)
class Member:
    """One vehicle, person or cyclist; see `perception.render.records.Thing` for what the attributes mean.

    Nothing is built before it is asked for. The phase of people and cyclists goes up by 2 pi while both feet step once, or the
    pedals go round once: 1.35 m of walking, 4.5 m of riding. A phase below 0 is standing still: the feet are side by
    side, the pedals level.
    """

    identity: int
    kind: str
    attributes: Mapping[str, str]
    mesh: Callable[[float, int], Mesh]
    key_points: Callable[[float], Float64] | None = None

    @cached_property
    def size_lwh_m(self) -> tuple[float, float, float]:
        """Length, width, height of the box around the mesh of detail 2 at phase 0; its middle is the origin."""
        return bounds_lwh(self.mesh(0.0, 2))


@dataclass(frozen=True, eq=False)
class Cast:
    """Everybody there is. Identities are unique over all of them, from 1 on."""

    vehicles: tuple[Member, ...]
    people: tuple[Member, ...]
    cyclists: tuple[Member, ...]


def _vehicle(cast_seed: int, identity: int) -> Member:
    chance = Chance(cast_seed, "vehicle", identity)
    kind = chance.choice(tuple(VEHICLE_KINDS), tuple(VEHICLE_KINDS.values()))
    attributes, mesh = draw_vehicle(chance, kind)
    return Member(identity, kind if kind in {"truck", "bus"} else "car", attributes, mesh)


def build_cast(cast_seed: int) -> Cast:
    """The cast of a seed; its meshes are built when they are asked for."""
    vehicles = [_vehicle(cast_seed, 1 + index) for index in range(VEHICLES)]
    people, cyclists = [], []
    for index in range(PEOPLE):
        identity = 1 + VEHICLES + index
        attributes, mesh, points = draw_person(Chance(cast_seed, "person", identity))
        people.append(Member(identity, "person", attributes, mesh, points))
    for index in range(CYCLISTS):
        identity = 1 + VEHICLES + PEOPLE + index
        attributes, mesh, points = draw_cyclist(Chance(cast_seed, "cyclist", identity))
        cyclists.append(Member(identity, "cyclist", attributes, mesh, points))
    return Cast(tuple(vehicles), tuple(people), tuple(cyclists))


__all__ = ["Cast", "Member", "build_cast"]
