"""A depth buffer: which face of which thing each pixel sees through its centre, and how far away.

Each thing is drawn by itself into a buffer of its size and then put into the picture, so that the share of it that others hide
is known. A pixel belongs to a face if its centre lies inside; 1/depth is linear over the picture (Blinn, "Hyperbolic
interpolation", 1992), so inside, edges and depth are planes of the same kind, evaluated together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from perception.core.types import Bool, Float32, Int64
from perception.render.picture.faces import tabulate
from perception.render.picture.polygons import Placed, Planes, project, stock_up
from perception.render.picture.view import View, compose, inverse
from perception.render.records import Faces, Int32, Raster

TILES_PX = (8, 16)  # faces that fit such squares are drawn together


@dataclass(eq=False)
class _Buffers:
    """What grows while things are drawn."""

    face: Int32
    inverse_depth: Float32
    bounds_xyxy: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    solo_pixels: dict[int, int] = field(default_factory=dict)


def draw(things: Sequence[Placed], view: View, view_next: View) -> tuple[Raster, Faces]:
    """Rasterise things.

    Args:
        things: now and in the next frame; the index in this sequence is the thing index of the result.
        view: of this frame.
        view_next: of the next frame, for the motion of faces.
    """
    width, height = view.size_wh
    buffers = _Buffers(np.zeros((height, width), np.int32), np.zeros((height, width), np.float32))
    stock = stock_up(things, view)
    if stock is None:
        faces = _no_faces(view, view_next)
    else:
        planes = project(stock, view)
        owners = stock.thing_of_face[planes.rows]
        small = (planes.boxes[:, 1::2] - planes.boxes[:, ::2]).max(axis=1) < TILES_PX[-1]
        fragments = _fragments(planes, owners, width)
        starts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(owners)]):
            owner = int(owners[start])
            mine = slice(*np.searchsorted(fragments.owners, (owner, owner + 1)).tolist())
            large = start + np.flatnonzero(~small[start:end])
            part = _Part(int(stock.things[owner]), slice(start, end), large, mine)
            _draw_thing(planes, fragments, part, buffers)
        faces = tabulate(things, stock, planes, (view, view_next))
    raster = Raster(buffers.face, buffers.inverse_depth, buffers.bounds_xyxy, buffers.solo_pixels)
    return raster, faces


def _no_faces(view: View, view_next: View) -> Faces:
    still = compose(view_next.camera_from_world, inverse(view.camera_from_world))[None, :3]
    return Faces(
        things=np.full(1, -1, np.int32),
        colours=np.zeros((1, 3), np.float32),
        materials=np.zeros(1, np.uint8),
        class_ids=np.zeros(1, np.uint8),
        normals=np.zeros((1, 3), np.float32),
        next_from_now=still.astype(np.float32),
        braking=np.zeros(1, np.bool_),
        parked=np.zeros(1, np.bool_),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fragments:
    """What the small faces of each thing put into pixels: the nearest of the thing's own in each, thing by thing.

    Attributes:
        owners: ``int64[N]``: position of the thing in the stock, ascending.
        columns, rows: ``int64[N]``: of the pixel.
        faces: ``int64[N]``: in the planes.
        inverse_depth: ``float32[N]``.
    """

    owners: Int64
    columns: Int64
    rows: Int64
    faces: Int64
    inverse_depth: Float32


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What of planes and fragments is one thing's.

    Attributes:
        index: thing index.
        faces: its planes.
        large: those that are drawn one by one.
        fragments: of the others.
    """

    index: int
    faces: slice
    large: Int64
    fragments: slice


def _fragments(planes: Planes, owners: Int64, width: int) -> _Fragments:
    """All small faces at once: most faces are a few pixels wide, and one at a time the calls would cost more than the pixels."""
    side = (planes.boxes[:, 1::2] - planes.boxes[:, ::2]).max(axis=1) + 1
    parts = [
        _tiles(planes, np.flatnonzero((side > below) & (side <= tile)), tile)
        for below, tile in pairwise((0, *TILES_PX))
    ]
    faces, columns, rows = (np.concatenate([part[k] for part in parts]) for k in range(3))
    inverse_depth = np.concatenate([part[3] for part in parts])
    places = (owners[faces] << 40) + rows * width + columns
    # the last of each place is the nearest there, of equally near ones the first face
    order = np.lexsort((-faces, inverse_depth, places))
    last = order[np.flatnonzero(np.diff(places[order], append=-1))]
    return _Fragments(
        owners[faces[last]], columns[last], rows[last], faces[last], inverse_depth[last]
    )


def _tiles(planes: Planes, chosen: Int64, side: int) -> tuple[Int64, Int64, Int64, Float32]:
    """Faces that fit a square of `side` px: face, column, row and 1/depth of each pixel that they cover."""
    boxes, here = planes.boxes[chosen], planes.planes[chosen]
    corner = here[..., 2] + here[..., 0] * boxes[:, 0:1] + here[..., 1] * boxes[:, 2:3]
    steps = np.arange(side, dtype=np.float32) + np.float32(0.5)
    across = here[..., 0].astype(np.float32)[..., None] * steps
    down = here[..., 1].astype(np.float32)[..., None] * steps
    down += corner.astype(np.float32)[..., None]
    edges = across[:, :-1, None, :] + down[:, :-1, :, None]
    inside: Bool = edges.min(axis=1) >= 0
    count = np.arange(side)
    inside &= (count <= (boxes[:, 1] - boxes[:, 0])[:, None])[:, None, :]  # not beyond the picture
    inside &= (count <= (boxes[:, 3] - boxes[:, 2])[:, None])[:, :, None]
    face, row, column = np.nonzero(inside)
    inverse_depth = across[face, -1, column] + down[face, -1, row]
    return chosen[face], boxes[face, 0] + column, boxes[face, 2] + row, inverse_depth


def _draw_thing(planes: Planes, fragments: _Fragments, part: _Part, buffers: _Buffers) -> None:
    """Draw the faces of one thing by itself, then put it into the picture."""
    boxes = planes.boxes[part.faces]
    x0, y0 = int(boxes[:, 0].min()), int(boxes[:, 2].min())
    x1, y1 = int(boxes[:, 1].max()) + 1, int(boxes[:, 3].max()) + 1
    inverse_depth = np.zeros((y1 - y0, x1 - x0), np.float32)
    face = np.zeros((y1 - y0, x1 - x0), np.int32)
    place = fragments.rows[part.fragments] - y0, fragments.columns[part.fragments] - x0
    inverse_depth[place] = fragments.inverse_depth[part.fragments]
    face[place] = fragments.faces[part.fragments] + 1
    _draw_large(planes, part.large, (x0, y0), inverse_depth, face)
    solo = int(np.count_nonzero(face))
    if solo:
        whole = np.s_[y0:y1, x0:x1]
        nearer = inverse_depth > buffers.inverse_depth[whole]
        np.copyto(buffers.inverse_depth[whole], inverse_depth, where=nearer)
        np.copyto(buffers.face[whole], face, where=nearer)
        buffers.solo_pixels[part.index] = solo
        buffers.bounds_xyxy[part.index] = (x0, y0, x1, y1)


def _draw_large(
    planes: Planes, rows: Int64, start: tuple[int, int], inverse_depth: Float32, face: Int32
) -> None:
    """Faces one by one into the buffers of their thing, whose first pixel is `start`."""
    x0, y0 = start
    height, width = face.shape
    columns = np.arange(width, dtype=np.float32) + np.float32(0.5)
    lines = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    here, boxes = planes.planes[rows], planes.boxes[rows] - [x0, x0, y0, y0]
    constants = here[..., 2] + here[..., 0] * x0 + here[..., 1] * y0
    slope_x, slope_y = (here[..., k].astype(np.float32)[..., None, None] for k in (0, 1))
    constant = constants.astype(np.float32)[..., None, None]
    for k, (left, right, top, bottom) in enumerate(boxes.tolist()):
        part = np.s_[top : bottom + 1, left : right + 1]
        values = slope_y[k] * lines[top : bottom + 1] + constant[k]
        values = values + slope_x[k] * columns[left : right + 1]
        inside: Bool = values[:-1].min(axis=0) >= 0
        inside &= values[-1] > inverse_depth[part]
        np.copyto(inverse_depth[part], values[-1], where=inside)
        np.copyto(face[part], rows[k] + 1, where=inside)
