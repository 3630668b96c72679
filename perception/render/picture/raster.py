"""A depth buffer: which face of which thing each pixel sees through its centre, and how far away.

Each thing is drawn by itself into a buffer of its size and then put into the picture, so that the share of it that others hide
is known. A pixel belongs to a face if its centre lies inside; 1/depth is linear over the picture (Blinn, "Hyperbolic
interpolation", 1992), so inside, edges and depth are planes of the same kind, evaluated together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perception.core.types import Bool, Float32, Float64
from perception.render.picture.view import View, compose, inverse, transform, world_from_mesh
from perception.render.records import Faces, Int32, Mesh, Raster, State, Thing

NEAR_M = 0.15  # what is nearer to the camera's plane is cut off
DETAIL_PX = (22.0, 70.0)  # height in the picture from which a thing is drawn in detail 1 and 2

Placed = tuple[Thing, State, State]  # a thing now and in the next frame


@dataclass(eq=False)
class _Buffers:
    """What grows while things are drawn."""

    face: Int32
    inverse_depth: Float32
    bounds_xyxy: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    solo_pixels: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """Faces of one thing that may be seen, ready to be drawn.

    Attributes:
        rows: ``int64[F]``: of the mesh's faces.
        planes: ``float64[F, M + 1, 3]``: M edges, positive inside, in px; then 1/depth. Each is ``a x + b y + c`` of continuous px.
        boxes: ``int64[F, 4]``: first and last column and row whose centre may be inside.
    """

    rows: np.ndarray[tuple[int], np.dtype[np.int64]]
    planes: Float64
    boxes: np.ndarray[tuple[int, int], np.dtype[np.int64]]


def draw(things: Sequence[Placed], view: View, view_next: View) -> tuple[Raster, Faces]:
    """Rasterise things.

    Args:
        things: now and in the next frame; the index in this sequence is the thing index of the result.
        view: of this frame.
        view_next: of the next frame, for the motion of faces.
    """
    width, height = view.size_wh
    buffers = _Buffers(np.zeros((height, width), np.int32), np.zeros((height, width), np.float32))
    table = _FaceTable(compose(view_next.camera_from_world, inverse(view.camera_from_world)))
    for index, (thing, now, following) in enumerate(things):
        middle_m = _depth_of(now, view)
        if middle_m < NEAR_M - max(thing.size_lwh_m):
            continue
        detail = choose_detail(thing, now, view)
        mesh = thing.mesh(now.phase_rad, detail)
        camera_from_mesh = compose(view.camera_from_world, world_from_mesh(now))
        corners = transform(camera_from_mesh, mesh.vertices_m)
        planes = _project(mesh, corners, view)
        if not len(planes.rows):
            continue
        first = table.rows
        if _draw_thing(planes, first, index, buffers):
            next_mesh = mesh
            if thing.key_points is not None:
                next_mesh = thing.mesh(following.phase_rad, detail)
            next_from_mesh = compose(view_next.camera_from_world, world_from_mesh(following))
            moved = transform(next_from_mesh, next_mesh.vertices_m)
            rigid = None
            if next_mesh is mesh:
                rigid = compose(next_from_mesh, inverse(camera_from_mesh))
            world = transform(world_from_mesh(now), mesh.vertices_m)
            table.add(index, mesh, planes.rows, (corners, moved, world), rigid, braking=now.braking)
    raster = Raster(buffers.face, buffers.inverse_depth, buffers.bounds_xyxy, buffers.solo_pixels)
    return raster, table.build()


def _depth_of(state: State, view: View) -> float:
    return float(transform(view.camera_from_world, np.array([[state.x_m, state.y_m, 0.0]]))[0, 2])


def choose_detail(thing: Thing, state: State, view: View) -> int:
    """The detail in which a thing is drawn, 0 to 2, by its height in the picture."""
    reach = max(thing.size_lwh_m[0], thing.size_lwh_m[1]) / 2
    nearest = max(_depth_of(state, view) - reach, NEAR_M)
    tall_px = view.focal_px[1] * thing.size_lwh_m[2] / nearest
    return sum(tall_px > limit for limit in DETAIL_PX)


def _project(mesh: Mesh, corners: Float64, view: View) -> _Planes:
    """The planes of the faces that look at the camera and cover the centre of a pixel of the picture, perhaps."""
    normals, offsets = _normals(corners, mesh.faces)
    facing = np.flatnonzero(offsets < -1e-9)
    polygons = corners[mesh.faces[facing]]  # [F, M, 3]
    behind = polygons[..., 2] < NEAR_M
    whole = ~behind.any(axis=1)
    parts = [(facing[whole], polygons[whole])]
    cut = np.flatnonzero(~whole & ~behind.all(axis=1))
    parts += [(facing[i : i + 1], _clip_near(polygons[i])[None]) for i in cut.tolist()]
    corners_max = max((part.shape[1] for _, part in parts), default=3)
    rows = np.concatenate([found for found, _ in parts])
    padded = np.concatenate(
        [np.pad(p, ((0, 0), (0, corners_max - p.shape[1]), (0, 0)), mode="edge") for _, p in parts]
    )
    pixels = padded[..., :2] / padded[..., 2:] * np.array(view.focal_px) + np.array(view.middle_px)
    boxes = _boxes(pixels, view.size_wh)
    seen = np.flatnonzero((boxes[:, 1] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 2]))
    rows, pixels, boxes = rows[seen], pixels[seen], boxes[seen]
    planes = np.concatenate(
        (_edges(pixels), _depth(normals[rows], offsets[rows], view)[:, None]), axis=1
    )
    return _Planes(rows, planes, boxes)


def _normals(corners: Float64, faces: Int32) -> tuple[Float64, Float64]:
    """Outward normals ``float64[F, 3]`` and distance of the plane from the origin along them ``float64[F]``."""
    a, b, c = (corners[faces[:, k]] for k in range(3))
    normals = _cross(b - a, c - a)
    length = np.sqrt(normals[:, 0] ** 2 + normals[:, 1] ** 2 + normals[:, 2] ** 2)
    normals /= np.maximum(length, 1e-12)[:, None]
    offsets = normals[:, 0] * a[:, 0] + normals[:, 1] * a[:, 1] + normals[:, 2] * a[:, 2]
    return normals, offsets


def _cross(p: Float64, q: Float64) -> Float64:
    (px, py, pz), (qx, qy, qz) = p.T, q.T
    return np.stack((py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx), axis=1)


def _clip_near(polygon: Float64) -> Float64:
    """What of a convex polygon ``float64[M, 3]`` lies beyond the near plane (Sutherland and Hodgman, 1974)."""
    kept = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if a[2] >= NEAR_M:
            kept.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            kept.append(a + (NEAR_M - a[2]) / (b[2] - a[2]) * (b - a))
    return np.array(kept)


def _boxes(
    pixels: Float64, size_wh: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    limit = np.array(size_wh, np.float64)
    low = np.ceil(np.clip(pixels.min(axis=1), 0, limit + 1) - 0.5)
    high = np.floor(np.clip(pixels.max(axis=1), -1, limit) - 0.5)
    return np.stack((low[:, 0], high[:, 0], low[:, 1], high[:, 1]), axis=1).astype(np.int64)


def _edges(pixels: Float64) -> Float64:
    """``float64[F, M, 3]``: distance from each edge in px, positive inside; 0 everywhere for an edge without length."""
    x, y = pixels[..., 0], pixels[..., 1]
    dx, dy = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    area = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
    scale = np.where(area < 0, -1.0, 1.0)[:, None] / np.maximum(np.sqrt(dx * dx + dy * dy), 1e-9)
    return np.stack((-dy * scale, dx * scale, (dy * x - dx * y) * scale), axis=2)


def _depth(normals: Float64, offsets: Float64, view: View) -> Float64:
    """``float64[F, 3]``: 1/depth over the picture: from ``n . (z ray) = d``."""
    a = normals[:, 0] / (offsets * view.focal_px[0])
    b = normals[:, 1] / (offsets * view.focal_px[1])
    return np.stack(
        (a, b, normals[:, 2] / offsets - a * view.middle_px[0] - b * view.middle_px[1]), axis=1
    )


def _draw_thing(planes: _Planes, first: int, index: int, buffers: _Buffers) -> bool:
    """Draw one thing by itself, then put it into the picture; whether any pixel of it is there."""
    x0, y0 = int(planes.boxes[:, 0].min()), int(planes.boxes[:, 2].min())
    x1, y1 = int(planes.boxes[:, 1].max()) + 1, int(planes.boxes[:, 3].max()) + 1
    inverse_depth = np.zeros((y1 - y0, x1 - x0), np.float32)
    face = np.zeros((y1 - y0, x1 - x0), np.int32)
    columns = np.arange(x1 - x0, dtype=np.float32) + np.float32(0.5)
    rows = np.arange(y1 - y0, dtype=np.float32)[:, None] + np.float32(0.5)
    slopes = planes.planes.astype(np.float32)[..., None, None]
    offsets = planes.planes[..., 2] + planes.planes[..., 0] * x0 + planes.planes[..., 1] * y0
    constants = offsets.astype(np.float32)[..., None, None]
    for k, (left, right, top, bottom) in enumerate((planes.boxes - [x0, x0, y0, y0]).tolist()):
        part = np.s_[top : bottom + 1, left : right + 1]
        values = slopes[k, :, 1] * rows[top : bottom + 1] + constants[k]
        values = values + slopes[k, :, 0] * columns[left : right + 1]
        inside: Bool = values[:-1].min(axis=0) >= 0
        inside &= values[-1] > inverse_depth[part]
        np.copyto(inverse_depth[part], values[-1], where=inside)
        np.copyto(face[part], first + k, where=inside)
    solo = int(np.count_nonzero(face))
    if not solo:
        return False
    whole = np.s_[y0:y1, x0:x1]
    nearer = inverse_depth > buffers.inverse_depth[whole]
    np.copyto(buffers.inverse_depth[whole], inverse_depth, where=nearer)
    np.copyto(buffers.face[whole], face, where=nearer)
    buffers.solo_pixels[index] = solo
    buffers.bounds_xyxy[index] = (x0, y0, x1, y1)
    return True


class _FaceTable:
    """Collects the faces of the picture; row 0 is the still world."""

    def __init__(self, next_from_now: Float64) -> None:
        self.rows = 1
        self._things = [np.full(1, -1, np.int32)]
        self._colours = [np.zeros((1, 3), np.float32)]
        self._materials = [np.zeros(1, np.uint8)]
        self._class_ids = [np.zeros(1, np.uint8)]
        self._normals = [np.zeros((1, 3), np.float32)]
        self._motions = [next_from_now[None, :3].astype(np.float32)]
        self._braking = [np.zeros(1, np.bool_)]

    def add(
        self,
        index: int,
        mesh: Mesh,
        rows: np.ndarray[tuple[int], np.dtype[np.int64]],
        corners: tuple[Float64, Float64, Float64],
        rigid: Float64 | None,
        *,
        braking: bool,
    ) -> None:
        """Faces `rows` of a mesh, with its corners in the camera now, in the next, and in the world."""
        now, following, world = corners
        count = len(rows)
        self.rows += count
        self._things.append(np.full(count, index, np.int32))
        self._colours.append(mesh.colours[rows])
        self._materials.append(mesh.materials[rows])
        self._class_ids.append(mesh.class_ids[rows])
        self._normals.append(_normals(world, mesh.faces[rows])[0].astype(np.float32))
        if rigid is None:
            motion = _motions(now, following, mesh.faces[rows])
        else:
            motion = np.repeat(rigid[None, :3], count, axis=0)
        self._motions.append(motion.astype(np.float32))
        self._braking.append(np.full(count, braking))

    def build(self) -> Faces:
        """All of them."""
        return Faces(
            things=np.concatenate(self._things),
            colours=np.concatenate(self._colours),
            materials=np.concatenate(self._materials),
            class_ids=np.concatenate(self._class_ids),
            normals=np.concatenate(self._normals),
            next_from_now=np.concatenate(self._motions),
            braking=np.concatenate(self._braking),
        )


def _motions(now: Float64, following: Float64, faces: Int32) -> Float64:
    """``float64[F, 3, 4]``: the affine motion that takes each face's plane, and what is along its normal, to the next frame."""

    def basis(corners: Float64) -> tuple[Float64, Float64]:
        a, b, c = (corners[faces[:, k]] for k in range(3))
        normal = _cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None]
        return np.stack((b - a, c - a, normal), axis=2), a

    before, start = basis(now)
    after, end = basis(following)
    turn = after @ np.linalg.inv(before)
    moved = end - (turn @ start[:, :, None])[:, :, 0]
    return np.concatenate((turn, moved[:, :, None]), axis=2)
