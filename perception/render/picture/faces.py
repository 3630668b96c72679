"""What is known of each face of a picture: thing, looks, and its motion to the next frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.core.types import Float64
from perception.render.picture.polygons import (
    Placed,
    Planes,
    Stock,
    cross,
    placed_vertices,
    poses,
)
from perception.render.picture.view import View, compose, inverse
from perception.render.records import Faces, Int32


def tabulate(
    things: Sequence[Placed], stock: Stock, planes: Planes, views: tuple[View, View]
) -> Faces:
    """The faces of `planes` with what is known of them, behind a row for what is no face."""
    view, view_next = views
    used = stock.thing_of_face[planes.rows]
    still = compose(view_next.camera_from_world, inverse(view.camera_from_world))[:3]
    turn = view.camera_from_world[:3, :3]
    states = [things[i][1] for i in stock.things]
    normals = planes.normals @ turn  # from the camera's axes to the world's: the transpose
    return Faces(
        things=_behind(np.int32(-1), stock.things[used].astype(np.int32)),
        colours=_behind(
            np.float32(0), np.concatenate([m.colours for m in stock.meshes])[planes.rows]
        ),
        materials=_behind(
            np.uint8(0), np.concatenate([m.materials for m in stock.meshes])[planes.rows]
        ),
        class_ids=_behind(
            np.uint8(0), np.concatenate([m.class_ids for m in stock.meshes])[planes.rows]
        ),
        normals=_behind(np.float32(0), normals.astype(np.float32)),
        next_from_now=np.concatenate(
            (still[None], _motions(things, stock, planes, view_next))
        ).astype(np.float32),
        braking=_behind(np.False_, np.array([state.braking for state in states])[used]),
        parked=_behind(np.False_, np.array([state.parked for state in states])[used]),
    )


def _behind(first: np.generic, rows: NDArray) -> NDArray:  # type: ignore[type-arg]  # of any dtype
    return np.concatenate((np.full((1, *rows.shape[1:]), first, rows.dtype), rows))


def _motions(things: Sequence[Placed], stock: Stock, planes: Planes, view_next: View) -> Float64:
    """``float64[P, 3, 4]``: the affine motion of each face to the camera's axes of the next frame.

    Rigid things have one for all of their faces; a limb that bends takes each face's plane, and what is along its normal, with it.
    """
    chosen = [things[i] for i in stock.things.tolist()]
    next_from_mesh = poses(view_next.camera_from_world, [then for *_, then in chosen])
    used = stock.thing_of_face[planes.rows]
    motions = _rigid(stock.camera_from_mesh, next_from_mesh)[used]
    for position, (thing, _, then) in enumerate(chosen):
        mine = np.flatnonzero(used == position) if thing.key_points is not None else ()
        if len(mine):
            mesh = stock.meshes[position]
            following = thing.mesh(then.phase_rad, stock.details[position])
            first = int(np.searchsorted(stock.thing_of_face, position))
            one = slice(position, position + 1)
            motions[mine] = _bending(
                placed_vertices([mesh.vertices_m], stock.camera_from_mesh[one]),
                placed_vertices([following.vertices_m], next_from_mesh[one]),
                mesh.faces[planes.rows[mine] - first],
            )
    return motions


def _bending(now: Float64, then: Float64, faces: Int32) -> Float64:
    """``float64[F, 3, 4]``: what takes each face, and what is along its normal, from corners `now` to corners `then`."""

    def basis(corners: Float64) -> tuple[Float64, Float64]:
        a, b, c = (corners[faces[:, k]] for k in range(3))
        normal = cross(b - a, c - a)
        x, y, z = normal.T
        normal /= np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)[:, None]
        return np.stack((b - a, c - a, normal), axis=2), a

    (before, start), (after, end) = basis(now), basis(then)
    first, second, third = (before[:, :, k] for k in range(3))
    back = np.stack((cross(second, third), cross(third, first), cross(first, second)), axis=1)
    volume = first * back[:, 0]
    back /= (volume[:, 0] + volume[:, 1] + volume[:, 2])[:, None, None]
    return _moved(_product(after, back), start, end)


def _rigid(now: Float64, then: Float64) -> Float64:
    """``then`` after the inverse of ``now``, each ``float64[T, 3, 4]``."""
    turn = _product(then[:, :, :3], now[:, :, :3].transpose(0, 2, 1))
    return _moved(turn, now[:, :, 3], then[:, :, 3])


def _product(left: Float64, right: Float64) -> Float64:
    """Products of ``[N, 3, 3]``, summed in one order: labels depend on them."""
    parts = [left[:, :, k, None] * right[:, None, k] for k in range(3)]
    product: Float64 = parts[0] + parts[1] + parts[2]
    return product


def _moved(turn: Float64, start: Float64, end: Float64) -> Float64:
    """``[N, 3, 4]``: turn ``[N, 3, 3]``, and take the points `start` to `end`, ``[N, 3]`` each."""
    there = _product(turn, np.repeat(start[:, :, None], 3, axis=2))[:, :, 0]
    return np.concatenate((turn, (end - there)[:, :, None]), axis=2)
