"""A depth buffer: which face of which thing each pixel sees through its centre, and how far away.

Each thing is drawn by itself into a buffer of its size and then put into the picture, so that the share of it that others hide
is known. A pixel belongs to a face if its centre lies inside; 1/depth is linear over the picture (Blinn, "Hyperbolic
interpolation", 1992), so inside, edges and depth are planes of the same kind, evaluated together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from perception.core.types import Bool, Float32
from perception.render.picture.polygons import Placed, Planes, project, stock_up, tabulate
from perception.render.picture.view import View, compose, inverse
from perception.render.records import Faces, Int32, Raster


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
        starts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(owners)]):
            _draw_thing(planes, start, end, int(stock.things[owners[start]]), buffers)
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
    )


def _draw_thing(planes: Planes, start: int, end: int, index: int, buffers: _Buffers) -> None:
    """Draw the faces of one thing by itself, then put it into the picture.

    Args:
        planes: of all things.
        start: first of the thing's.
        end: behind its last.
        index: of the thing.
        buffers: of the picture.
    """
    boxes = planes.boxes[start:end]
    x0, y0 = int(boxes[:, 0].min()), int(boxes[:, 2].min())
    x1, y1 = int(boxes[:, 1].max()) + 1, int(boxes[:, 3].max()) + 1
    inverse_depth = np.zeros((y1 - y0, x1 - x0), np.float32)
    face = np.zeros((y1 - y0, x1 - x0), np.int32)
    columns = np.arange(x1 - x0, dtype=np.float32) + np.float32(0.5)
    rows = np.arange(y1 - y0, dtype=np.float32)[:, None] + np.float32(0.5)
    here = planes.planes[start:end]
    constants = here[..., 2] + here[..., 0] * x0 + here[..., 1] * y0
    slope_x, slope_y = (here[..., k].astype(np.float32)[..., None, None] for k in (0, 1))
    constant = constants.astype(np.float32)[..., None, None]
    for k, (left, right, top, bottom) in enumerate((boxes - [x0, x0, y0, y0]).tolist()):
        part = np.s_[top : bottom + 1, left : right + 1]
        values = slope_y[k] * rows[top : bottom + 1] + constant[k]
        values = values + slope_x[k] * columns[left : right + 1]
        inside: Bool = values[:-1].min(axis=0) >= 0
        inside &= values[-1] > inverse_depth[part]
        np.copyto(inverse_depth[part], values[-1], where=inside)
        np.copyto(face[part], start + k + 1, where=inside)
    solo = int(np.count_nonzero(face))
    if solo:
        whole = np.s_[y0:y1, x0:x1]
        nearer = inverse_depth > buffers.inverse_depth[whole]
        np.copyto(buffers.inverse_depth[whole], inverse_depth, where=nearer)
        np.copyto(buffers.face[whole], face, where=nearer)
        buffers.solo_pixels[index] = solo
        buffers.bounds_xyxy[index] = (x0, y0, x1, y1)
