"""Labels from the depth buffer: all of one picture come from the same rays, so that they agree with each other."""

from collections.abc import Sequence

import numpy as np

from perception.core.types import Bool, Float32, Float64, UInt8
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.polygons import NEAR_M, Placed, choose_detail
from perception.render.picture.view import View, kitti_yaw, transform, world_from_mesh
from perception.render.records import (
    CityId,
    Faces,
    FrameLabels,
    Ground,
    Marking,
    ObjectLabel,
    Raster,
)
from perception.render.world.road import Road

KEY_POINT_DEPTH_M = (
    0.35  # a joint is seen if the surface before it is its own body, at most this far off
)


def build_labels(seen: PictureInputs, view_next: View) -> FrameLabels:
    """The labels of one picture.

    Args:
        seen: what its rays meet, one a pixel.
        view_next: of the next frame.
    """
    snapshot, things, view = seen.snapshot, seen.things, seen.view
    raster, faces, ground = seen.raster, seen.faces, seen.ground
    identities = np.array([thing.identity for thing, *_ in things] + [0], np.uint16)
    instances = identities[faces.things][raster.face]
    depth = np.where(ground.seen, ground.depth_m, 0).astype(np.float32)
    solid = raster.face > 0
    np.divide(1, raster.inverse_depth, out=depth, where=solid)
    return FrameLabels(
        class_ids=seen.class_ids,
        instances=instances,
        depth_m=depth,
        lanes=seen.lanes,
        flow_px=flow(depth, solid, raster, faces, (view, view_next)),
        objects=_objects(things, view, raster, instances, depth),
        camera_from_world=view.camera_from_world,
        ego=snapshot.ego,
        time_s=snapshot.time_s,
    )


def surfaces(road: Road, raster: Raster, faces: Faces, ground: Ground) -> tuple[UInt8, UInt8]:
    """Cityscapes ids and markings of the pixels, ``uint8[H, W]`` each."""
    table = faces.class_ids.copy()
    table[0] = CityId.SKY
    class_ids = table[raster.face]
    lanes = np.full(class_ids.shape, Marking.NONE, np.uint8)
    along, lateral = ground.along_m[ground.seen], ground.lateral_m[ground.seen]
    surface = road.surface(along, lateral)
    class_ids[ground.seen] = surface
    painted = road.marking(along, lateral)
    painted[surface != CityId.ROAD] = Marking.NONE
    lanes[ground.seen] = painted
    return class_ids, lanes


def flow(
    depth_m: Float32, solid: Bool, raster: Raster, faces: Faces, views: tuple[View, View]
) -> Float32:
    """``float32[H, W, 2]``: how far each pixel's point moves until the next frame; NaN where it ends up behind the camera.

    Args:
        depth_m: ``float32[H, W]``, 0 for the sky, which only turns.
        solid: ``bool[H, W]``: where a thing is seen, which may move by itself.
        raster: which face each pixel sees.
        faces: of the raster.
        views: of this frame and of the next.
    """
    view, view_next = views
    columns = view.columns.astype(np.float32)[None, :]
    rows = view.rows.astype(np.float32)[:, None]
    ray = (np.broadcast_to(columns, depth_m.shape), np.broadcast_to(rows, depth_m.shape))
    nowhere = depth_m == 0
    reach = np.where(nowhere, np.float32(1), depth_m)
    moved = np.empty((3, *depth_m.shape), np.float32)
    for axis, (a, b, c, d) in enumerate(faces.next_from_now[0].tolist()):
        here = moved[axis]
        np.add(np.float32(a) * columns, np.float32(b) * rows + np.float32(c), out=here)
        here *= reach
        here += np.float32(d)
        here[nowhere] -= np.float32(d)  # the sky only turns
    which = raster.face[solid]
    depth = depth_m[solid]
    points = (ray[0][solid] * depth, ray[1][solid] * depth, depth)
    for axis in range(3):
        rows_of = faces.next_from_now[:, axis][which]
        moved[axis][solid] = (
            rows_of[:, 0] * points[0] + rows_of[:, 1] * points[1] + rows_of[:, 2] * points[2]
        ) + rows_of[:, 3]
    moved[2][moved[2] <= NEAR_M] = np.nan
    result = np.empty((*depth_m.shape, 2), np.float32)
    for axis in range(2):
        focal, middle = np.float32(view_next.focal_px[axis]), np.float32(view_next.middle_px[axis])
        start = np.arange(depth_m.shape[1 - axis], dtype=np.float32) + np.float32(0.5) - middle
        here = np.divide(moved[axis], moved[2], out=moved[axis])
        here *= focal
        np.subtract(here, start[None, :] if axis == 0 else start[:, None], out=result[..., axis])
    return result


def _objects(
    things: Sequence[Placed],
    view: View,
    raster: Raster,
    instances: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    depth_m: Float32,
) -> tuple[ObjectLabel, ...]:
    found = []
    for index, solo in raster.solo_pixels.items():
        thing, now, _ = things[index]
        if not thing.identity:
            continue
        x0, y0, x1, y1 = raster.bounds_xyxy[index]
        mask = instances[y0:y1, x0:x1] == thing.identity
        pixels = int(np.count_nonzero(mask))
        if not pixels:
            continue
        hull = tight_hull(mask)
        pose = world_from_mesh(now)
        mesh = thing.mesh(now.phase_rad, choose_detail(thing, now, view))
        corners = view.to_camera(transform(pose, mesh.vertices_m))
        amodal, outside = _amodal(corners, view)
        middle = view.to_camera(np.array([[now.x_m, now.y_m, 0.0]]))[0]
        points = None
        if thing.key_points is not None:
            joints = view.to_camera(transform(pose, thing.key_points(now.phase_rad)))
            points = _key_points(joints, view, instances == thing.identity, depth_m)
        found.append(
            ObjectLabel(
                identity=thing.identity,
                kind=thing.kind,
                box_xyxy=(hull[0] + x0, hull[1] + y0, hull[2] + x0, hull[3] + y0),
                amodal_xyxy=amodal,
                pixels=pixels,
                occluded=1 - pixels / solo,
                truncated=outside,
                size_lwh_m=thing.size_lwh_m,
                centre_m=(float(middle[0]), float(middle[1]), float(middle[2])),
                yaw_rad=kitti_yaw(view.camera_from_world, now.yaw_rad),
                speed_mps=now.speed_mps,
                key_points=points,
                attributes=thing.attributes,
            )
        )
    return tuple(sorted(found, key=lambda o: o.centre_m[2]))


def tight_hull(mask: Bool) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around the true pixels of ``bool[H, W]``, of which there is at least one; the ends are exclusive."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _amodal(corners: Float64, view: View) -> tuple[tuple[float, float, float, float] | None, float]:
    """The hull of the whole thing, and the share of it that lies outside of the picture."""
    if (corners[:, 2] < NEAR_M).any():
        return None, 1.0
    pixels = view.project(corners)
    (x1, y1), (x2, y2) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
    return (x1, y1, x2, y2), share_outside((x1, y1, x2, y2), view.size_wh)


def share_outside(box_xyxy: tuple[float, float, float, float], size_wh: tuple[int, int]) -> float:
    """The share of a box, px, that lies outside of a picture; 0 for a box without area."""
    x1, y1, x2, y2 = box_xyxy
    width, height = size_wh
    inside = max(0.0, min(x2, width) - max(x1, 0)) * max(0.0, min(y2, height) - max(y1, 0))
    area = (x2 - x1) * (y2 - y1)
    return 1 - inside / area if area else 0.0


def _key_points(joints: Float64, view: View, own: Bool, depth_m: Float32) -> Float32:
    """``float32[14, 3]``: px and whether seen; (0, 0, 0) behind the camera."""
    points = np.zeros((len(joints), 3), np.float32)
    ahead = joints[:, 2] > NEAR_M
    points[ahead, :2] = view.project(joints[ahead])
    width, height = view.size_wh
    for k in np.flatnonzero(ahead).tolist():
        column, row = int(np.floor(points[k, 0])), int(np.floor(points[k, 1]))
        if 0 <= column < width and 0 <= row < height and own[row, column]:
            points[k, 2] = abs(depth_m[row, column] - joints[k, 2]) < KEY_POINT_DEPTH_M
    return points
