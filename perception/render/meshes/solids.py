"""Builders of solids made of plane convex faces, counter-clockwise seen from outside, and how faces look.

Plain Python floats throughout: the numbers are few, and the same on every machine.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from perception.render.records import CityId, Material, Mesh

Point = tuple[float, float, float]
Colour = tuple[float, float, float]
MeshOf = Callable[[float, int], Mesh]
Shape = tuple[tuple[float, float, float], MeshOf]

PLANE_M = 1e-7  # how far a corner may be off the plane of a face before the face is split
SAME_M = 1e-9  # corners nearer than this are one


class Look(NamedTuple):
    """Of one face.

    Attributes:
        colour: BGR, share of the light that is given back.
        material: how it takes light.
        class_id: what it is labelled as.
    """

    colour: Colour
    material: Material
    class_id: CityId


def linear(rgb: int) -> Colour:
    """The BGR share of light of a colour as screens write it, ``0xRRGGBB``."""
    shares = [((rgb >> shift) & 255) / 255.0 for shift in (0, 8, 16)]
    blue, green, red = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return (blue, green, red)


def tinted(colour: Colour, factor: float) -> Colour:
    """The colour with its light multiplied, no channel above 0.95."""
    blue, green, red = (min(0.95, channel * factor) for channel in colour)
    return (blue, green, red)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """The colour ``share`` of the way from one to the other."""
    blue, green, red = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return (blue, green, red)


def difference(a: Point, b: Point) -> Point:
    """From b to a."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def cross(a: Point, b: Point) -> Point:
    """The vector product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def dot(a: Point, b: Point) -> float:
    """The scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a: Point) -> Point:
    """The vector of length 1 along a vector that is not 0."""
    length = math.sqrt(dot(a, a))
    return (a[0] / length, a[1] / length, a[2] / length)


def between(a: Point, b: Point, share: float) -> Point:
    """The point ``share`` of the way from a to b."""
    x, y, z = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return (x, y, z)


def moved(points: Sequence[Point], shift: Point) -> list[Point]:
    """The points, all shifted."""
    return [(x + shift[0], y + shift[1], z + shift[2]) for x, y, z in points]


def mirrored(points: Sequence[Point]) -> list[Point]:
    """The face on the other side of the plane y = 0, turned so that it still looks outwards."""
    return [(x, -y, z) for x, y, z in reversed(points)]


def area_vector(points: Sequence[Point]) -> Point:
    """Along the outward normal, twice the area long (Newell's formula)."""
    x = y = z = 0.0
    for a, b in zip(points, (*points[1:], points[0]), strict=True):
        x += (a[1] - b[1]) * (a[2] + b[2])
        y += (a[2] - b[2]) * (a[0] + b[0])
        z += (a[0] - b[0]) * (a[1] + b[1])
    return (x, y, z)


class Solid:
    """A mesh in the making; faces are added one by one or as whole solids."""

    def __init__(self) -> None:
        self._places: dict[Point, int] = {}
        self._faces: list[list[int]] = []
        self._looks: list[Look] = []

    def __len__(self) -> int:
        return len(self._faces)

    def face(self, points: Sequence[Point], look: Look) -> None:
        """Add a convex face; corners that coincide become one, and what is not plane is split into triangles."""
        corners = [
            point
            for point, before in zip(points, (points[-1], *points[:-1]), strict=True)
            if max(abs(a - b) for a, b in zip(point, before, strict=True)) > SAME_M
        ]
        if len(corners) < 3:
            return
        vector = area_vector(corners)
        if dot(vector, vector) < 1e-16:
            return
        normal = unit(vector)
        heights = [dot(normal, difference(corner, corners[0])) for corner in corners]
        if max(heights) - min(heights) < PLANE_M:
            self._keep(_from_sharpest(corners) if len(corners) > 4 else corners, look)
            return
        if len(corners) == 4 and heights[1] + heights[3] > heights[0] + heights[2]:
            corners = [*corners[1:], corners[0]]
        for second, third in pairwise(corners[1:]):
            self._keep([corners[0], second, third], look)

    def disc(self, points: Sequence[Point], look: Look) -> None:
        """Add a convex face of any number of corners, in two halves where they are more than 8."""
        if len(points) <= 8:
            self.face(points, look)
            return
        half = len(points) // 2
        self.face(points[: half + 1], look)
        self.face([*points[half:], points[0]], look)

    def decal(self, points: Sequence[Point], look: Look, lift_m: float = 0.012) -> None:
        """Add a face lifted off the one that it lies on."""
        normal = unit(area_vector(points))
        self.face(moved(points, (normal[0] * lift_m, normal[1] * lift_m, normal[2] * lift_m)), look)

    def decal_pair(self, points: Sequence[Point], look: Look, lift_m: float = 0.012) -> None:
        """Add a decal and its mirror image on the other side of y = 0."""
        self.decal(points, look, lift_m)
        self.decal(mirrored(points), look, lift_m)

    def pair(self, points: Sequence[Point], look: Look) -> None:
        """Add a face and its mirror image on the other side of y = 0."""
        self.face(points, look)
        self.face(mirrored(points), look)

    def loft(
        self, rings: Sequence[Sequence[Point]], look: Look, ends: tuple[bool, bool] = (True, True)
    ) -> None:
        """Add the skin between rings of as many points each.

        Args:
            rings: each counter-clockwise as seen from the last one's side.
            look: of all faces.
            ends: whether the first and the last ring are closed by a face.
        """
        for low, high in pairwise(rings):
            for index, last in zip(range(len(low)), (-1, *range(len(low))), strict=False):
                self.face([low[last], low[index], high[index], high[last]], look)
        if ends[0]:
            self.disc(list(reversed(rings[0])), look)
        if ends[1]:
            self.disc(rings[-1], look)

    def box(
        self, low: Point, high: Point, look: Look, others: Mapping[str, Look | None] | None = None
    ) -> None:
        """Add a box along the axes.

        Args:
            low: its corner of least x, y and z.
            high: the opposite corner.
            look: of its faces.
            others: of single faces, named ``+x``, ``-x``, ``+y``, ``-y``, ``+z``, ``-z``; ``None`` leaves one out.
        """
        (x0, y0, z0), (x1, y1, z1) = low, high
        sides: dict[str, list[Point]] = {
            "+x": [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
            "-x": [(x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)],
            "+y": [(x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)],
            "-y": [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
            "+z": [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)],
            "-z": [(x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)],
        }
        for name, points in sides.items():
            own = (others or {}).get(name, look)
            if own is not None:
                self.face(points, own)

    def tube(
        self, ends: tuple[Point, Point], radii: tuple[float, float], sides: int, look: Look,
        closed: bool = True,
    ) -> None:  # fmt: skip
        """Add a prism, or part of a pyramid, between two points."""
        axis = unit(difference(ends[1], ends[0]))
        helper = (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0)
        u = unit(cross(helper, axis))
        v = cross(axis, u)
        rings = []
        for end, radius in zip(ends, radii, strict=True):
            ring = []
            for cosine, sine in turns(sides):
                x, y, z = (end[i] + radius * (cosine * u[i] + sine * v[i]) for i in range(3))
                ring.append((x, y, z))
            rings.append(ring)
        self.loft(rings, look, (closed, closed))

    def build(self) -> Mesh:
        """The mesh."""
        widest = max((len(face) for face in self._faces), default=3)
        faces = [face + face[-1:] * (widest - len(face)) for face in self._faces]
        return Mesh(
            np.array(list(self._places), np.float64).reshape(-1, 3),
            np.array(faces, np.int32).reshape(-1, widest),
            np.array([look.colour for look in self._looks], np.float32).reshape(-1, 3),
            np.array([look.material for look in self._looks], np.uint8),
            np.array([look.class_id for look in self._looks], np.uint8),
        )

    def _keep(self, corners: Sequence[Point], look: Look) -> None:
        places = self._places
        self._faces.append([places.setdefault(corner, len(places)) for corner in corners])
        self._looks.append(look)


def _from_sharpest(corners: list[Point]) -> list[Point]:
    """Turned so that the first three corners make the largest triangle of neighbours."""
    following = [*corners[1:], corners[0]]
    before = [corners[-1], *corners[:-1]]
    crosses = [
        cross(difference(b, a), difference(c, b))
        for a, b, c in zip(before, corners, following, strict=True)
    ]
    sizes = [dot(vector, vector) for vector in crosses]
    start = sizes.index(max(sizes)) - 1
    return [*corners[start:], *corners[:start]]


def turns(count: int, start: float = 0.0) -> list[tuple[float, float]]:
    """Cosine and sine of ``count`` even steps of one turn, the first at ``start`` steps."""
    angles = [2.0 * math.pi * (index + start) / count for index in range(count)]
    return [(math.cos(angle), math.sin(angle)) for angle in angles]


def bounds_lwh(mesh: Mesh) -> tuple[float, float, float]:
    """Length, width and height of the box around a mesh."""
    low, high = mesh.vertices_m.min(axis=0), mesh.vertices_m.max(axis=0)
    return (float(high[0] - low[0]), float(high[1] - low[1]), float(high[2] - low[2]))


def rigid(build: Callable[[int], Mesh]) -> MeshOf:
    """A mesh that knows no phase; each detail is built once, when it is first asked for."""
    built: dict[int, Mesh] = {}

    def mesh(phase_rad: float, detail: int) -> Mesh:  # noqa: ARG001 - what is rigid has no phase
        if detail not in built:
            built[detail] = build(detail)
        return built[detail]

    return mesh


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """All in one."""
    widest = max(mesh.faces.shape[1] for mesh in meshes)
    starts = np.cumsum([0] + [len(mesh.vertices_m) for mesh in meshes[:-1]])
    faces = [
        np.pad(mesh.faces, ((0, 0), (0, widest - mesh.faces.shape[1])), mode="edge") + start
        for mesh, start in zip(meshes, starts, strict=True)
    ]
    return Mesh(
        np.concatenate([mesh.vertices_m for mesh in meshes]),
        np.concatenate(faces).astype(np.int32),
        np.concatenate([mesh.colours for mesh in meshes]),
        np.concatenate([mesh.materials for mesh in meshes]),
        np.concatenate([mesh.class_ids for mesh in meshes]),
    )
