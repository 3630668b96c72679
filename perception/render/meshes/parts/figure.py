"""A person whose joints are somewhere: parts on bones. Where the joints are is said by who walks or rides."""

import numpy as np

from perception.core.types import Float64
from perception.render.meshes.parts.body import BONES, HEAD, TORSO, Dress, Joints, assemble
from perception.render.meshes.solids import Point, cross, difference, unit
from perception.render.records import Mesh


class Figure:
    """The parts of one person; each is built once a detail in the axes of its bone: z along it, x forward."""

    def __init__(self, dress: Dress) -> None:
        self.dress = dress
        self._built: dict[int, tuple[Mesh, Float64]] = {}

    def middle(self, joints: Joints) -> Point:
        """Of the bounds on the ground."""
        places = self.mesh(joints, 2).vertices_m
        low, high = places.min(axis=0), places.max(axis=0)
        return (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2, 0.0)

    def mesh(self, joints: Joints, detail: int) -> Mesh:
        """The figure with its joints at the given places."""
        if detail not in self._built:
            self._built[detail] = assemble(self.dress, detail)
        rest, bones = self._built[detail]
        sides = [1.0 if index in {TORSO, HEAD} else -1.0 for index in range(len(BONES))]
        ends = [(joints[a], joints[b]) for a, b in BONES]
        frames = np.array(
            [_frame(a, b, side) for (a, b), side in zip(ends, sides, strict=True)], np.float64
        )
        own = frames[
            bones.astype(np.int64)
        ]  # [V, 4, 3]: three axes and the start of the bone of each vertex
        x, y, z = (rest.vertices_m[:, k : k + 1] for k in range(3))
        places = x * own[:, 0] + y * own[:, 1] + z * own[:, 2] + own[:, 3]
        return Mesh(places, rest.faces, rest.colours, rest.materials, rest.class_ids)


def _frame(start: Point, end: Point, side: float) -> tuple[Point, Point, Point, Point]:
    """Axes of a bone in the mesh, and its start. x is forward for bones that stand up (side 1) or hang down (-1)."""
    along = unit(difference(end, start))
    lean = along[1] * side
    y = unit((-lean * along[0], side - lean * along[1], -lean * along[2]))
    return (cross(y, along), y, along, start)
