"""The faces of all things of a picture at once, as planes over it: which may be seen, where, and how far away."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin

import numpy as np

from perception.core.types import Float64, Int64
from perception.render.picture.view import View, transform
from perception.render.records import Int32, Mesh, State, Thing

NEAR_M = 0.15  # what is nearer to the camera's plane is cut off
DETAIL_PX = (22.0, 70.0)  # height in the picture from which a thing is drawn in detail 1 and 2

Placed = tuple[Thing, State, State]  # a thing now and in the next frame


@dataclass(frozen=True, slots=True, eq=False)
class Stock:
    """The meshes of things, end to end, in the camera's axes.

    Attributes:
        things: ``int64[T]``: thing index of each mesh.
        meshes: of each.
        details: of each.
        thing_of_face: ``int64[F]``: position in `things`.
        corners: ``float64[V, 3]``.
        faces: ``int32[F, M]``: into `corners`.
        camera_from_mesh: ``float64[T, 3, 4]``.
    """

    things: Int64
    meshes: tuple[Mesh, ...]
    details: tuple[int, ...]
    thing_of_face: Int64
    corners: Float64
    faces: Int32
    camera_from_mesh: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Faces that may be seen, thing by thing.

    Attributes:
        rows: ``int64[P]``: of `Stock.faces`.
        planes: ``float64[P, M + 1, 3]``: M edges, px, positive inside; then 1/depth. Each is ``a x + b y + c`` of continuous px.
        boxes: ``int64[P, 4]``: first and last column, first and last row whose centre may be inside.
        normals: ``float64[P, 3]``: in the camera's axes.
    """

    rows: Int64
    planes: Float64
    boxes: Int64
    normals: Float64


def choose_detail(thing: Thing, state: State, view: View) -> int:
    """The detail in which a thing is drawn, 0 to 2, by its height in the picture."""
    middle = transform(view.camera_from_world, np.array([[state.x_m, state.y_m, 0.0]]))
    return _detail(thing, float(middle[0, 2]), view)


def _detail(thing: Thing, depth_m: float, view: View) -> int:
    reach = max(thing.size_lwh_m[0], thing.size_lwh_m[1]) / 2
    tall_px = view.focal_px[1] * thing.size_lwh_m[2] / max(depth_m - reach, NEAR_M)
    return sum(tall_px > limit for limit in DETAIL_PX)


def stock_up(things: Sequence[Placed], view: View) -> Stock | None:
    """The meshes of the things that are not behind the camera; ``None`` if there are none."""
    states = [now for _, now, _ in things]
    middles = np.array([[s.x_m, s.y_m, 0.0] for s in states]).reshape(-1, 3)
    depths = transform(view.camera_from_world, middles)[:, 2].tolist()
    kept = [
        i for i, (thing, *_) in enumerate(things) if depths[i] >= NEAR_M - max(thing.size_lwh_m)
    ]
    if not kept:
        return None
    details = tuple(_detail(things[i][0], depths[i], view) for i in kept)
    meshes = tuple(
        things[i][0].mesh(states[i].phase_rad, detail)
        for i, detail in zip(kept, details, strict=True)
    )
    camera_from_mesh = poses(view.camera_from_world, [states[i] for i in kept])
    widest = max(mesh.faces.shape[1] for mesh in meshes)
    starts = np.cumsum([0] + [len(mesh.vertices_m) for mesh in meshes])
    faces = [
        _widened(mesh.faces, widest) + np.int32(start)
        for mesh, start in zip(meshes, starts.tolist(), strict=False)
    ]
    return Stock(
        things=np.array(kept, np.int64),
        meshes=meshes,
        details=details,
        thing_of_face=np.repeat(np.arange(len(kept)), [len(mesh.faces) for mesh in meshes]),
        corners=placed_vertices([mesh.vertices_m for mesh in meshes], camera_from_mesh),
        faces=np.concatenate(faces),
        camera_from_mesh=camera_from_mesh,
    )


def _widened(faces: Int32, width: int) -> Int32:
    """Faces with their last corner repeated up to `width` corners."""
    spare = width - faces.shape[1]
    return np.concatenate((faces, np.repeat(faces[:, -1:], spare, axis=1)), axis=1)


def poses(camera_from_world: Float64, states: Sequence[State]) -> Float64:
    """``float64[T, 3, 4]``: where things stand, in the camera's axes."""
    x_m, y_m = (np.array(values) for values in zip(*((s.x_m, s.y_m) for s in states), strict=True))
    c = np.array([cos(s.yaw_rad) for s in states])
    s = np.array([sin(s.yaw_rad) for s in states])
    result = np.empty((len(states), 3, 4))
    for row in range(3):
        ahead, left, up, middle = camera_from_world[row].tolist()
        result[:, row, 0] = ahead * c + left * s
        result[:, row, 1] = left * c - ahead * s
        result[:, row, 2] = up
        result[:, row, 3] = ahead * x_m + left * y_m + middle
    return result


def placed_vertices(vertices_m: Sequence[Float64], matrices: Float64) -> Float64:
    """Each mesh's vertices by its own matrix ``float64[T, 3, 4]``, end to end: ``float64[V, 3]``."""
    matrix = np.repeat(matrices, [len(v) for v in vertices_m], axis=0)
    x, y, z = np.concatenate(vertices_m).T
    moved = [m[:, 0] * x + m[:, 1] * y + m[:, 2] * z + m[:, 3] for m in matrix.transpose(1, 0, 2)]
    return np.stack(moved, axis=1)


def project(stock: Stock, view: View) -> Planes:
    """The planes of the faces that look at the camera and perhaps cover the centre of a pixel of the picture."""
    normals, offsets = _normals(stock.corners, stock.faces)
    behind = stock.corners[:, 2] < NEAR_M
    hidden = behind[stock.faces]
    facing = (offsets < -1e-9) & ~hidden.all(axis=1)
    whole = np.flatnonzero(facing & ~hidden.any(axis=1))
    parts = [(whole, stock.corners[stock.faces[whole]])]
    cut = np.flatnonzero(facing & hidden.any(axis=1)).tolist()
    parts += [(np.array([row]), _clip_near(stock.corners[stock.faces[row]])[None]) for row in cut]
    rows = np.concatenate([found for found, _ in parts])
    polygons = _joined([polygon for _, polygon in parts])
    order = np.argsort(stock.thing_of_face[rows], kind="stable")
    rows, polygons = rows[order], polygons[order]
    pixels = polygons[..., :2] / polygons[..., 2:]
    pixels = pixels * np.array(view.focal_px) + np.array(view.middle_px)
    boxes = _boxes(pixels, view.size_wh)
    seen = np.flatnonzero((boxes[:, 1] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 2]))
    rows = rows[seen]
    depth = _depth(normals[rows], offsets[rows], view)
    planes = np.concatenate((_edges(pixels[seen]), depth[:, None]), axis=1)
    return Planes(rows, planes, boxes[seen], normals[rows])


def _joined(polygons: Sequence[Float64]) -> Float64:
    """Polygons ``[F, M, 3]`` of different M in one array, last corners repeated."""
    widest = max(p.shape[1] for p in polygons)
    padded = [
        np.concatenate((p, np.repeat(p[:, -1:], widest - p.shape[1], axis=1)), axis=1)
        for p in polygons
    ]
    return np.concatenate(padded)


def _normals(corners: Float64, faces: Int32) -> tuple[Float64, Float64]:
    """Outward normals ``float64[F, 3]`` and distance of the plane from the origin along them ``float64[F]``."""
    a, b, c = (corners[faces[:, k]] for k in range(3))
    normals = cross(b - a, c - a)
    length = np.sqrt(normals[:, 0] ** 2 + normals[:, 1] ** 2 + normals[:, 2] ** 2)
    normals /= np.maximum(length, 1e-12)[:, None]
    offsets = normals[:, 0] * a[:, 0] + normals[:, 1] * a[:, 1] + normals[:, 2] * a[:, 2]
    return normals, offsets


def cross(p: Float64, q: Float64) -> Float64:
    """Cross products of ``[N, 3]``."""
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


def _boxes(pixels: Float64, size_wh: tuple[int, int]) -> Int64:
    limit = np.array(size_wh, np.float64)
    low = np.ceil(np.clip(pixels.min(axis=1), 0, limit + 1) - 0.5)
    high = np.floor(np.clip(pixels.max(axis=1), -1, limit) - 0.5)
    return np.stack((low[:, 0], high[:, 0], low[:, 1], high[:, 1]), axis=1).astype(np.int64)


def _edges(pixels: Float64) -> Float64:
    """``float64[F, M, 3]``: distance from each edge in px, positive inside; 0 everywhere for an edge without length."""
    x, y = pixels[..., 0], pixels[..., 1]
    x_next, y_next = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    dx, dy = x_next - x, y_next - y
    turn = np.where((x * y_next - x_next * y).sum(axis=1) < 0, -1.0, 1.0)
    scale = turn[:, None] / np.maximum(np.sqrt(dx * dx + dy * dy), 1e-9)
    return np.stack((-dy * scale, dx * scale, (dy * x - dx * y) * scale), axis=2)


def _depth(normals: Float64, offsets: Float64, view: View) -> Float64:
    """``float64[F, 3]``: 1/depth over the picture, from ``normal . (depth ray) = offset``."""
    a = normals[:, 0] / (offsets * view.focal_px[0])
    b = normals[:, 1] / (offsets * view.focal_px[1])
    c = normals[:, 2] / offsets - a * view.middle_px[0] - b * view.middle_px[1]
    return np.stack((a, b, c), axis=1)
