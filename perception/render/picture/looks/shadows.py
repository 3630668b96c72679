"""Shadows that things throw on the ground, and the dark under what stands on it."""

from math import cos, pi, sin

import cv2
import numpy as np

from perception.core.types import Bool, Float32, Float64, UInt8
from perception.render.picture.looks.inputs import PictureInputs
from perception.render.picture.polygons import NEAR_M, Placed
from perception.render.picture.view import View, transform, world_from_mesh
from perception.render.records import Int32, Material

REACH_M = 160.0  # things farther away throw no shadow that could be seen
LOWEST = 0.05  # sine of the sun's elevation; a lower sun's shadows are as long as this one's
SHIFT = 4  # bits of sub-pixel places of polygons
CUT_M = 0.4  # polygons are cut off nearer than this to the camera's plane
LEAVES = 0.72  # of the sun that a crown of leaves takes away
# (grown by m, share of the sky that is hidden), from outside to inside
CONTACT = ((0.35, 0.14), (0.15, 0.30), (0.0, 0.48), (-0.15, 0.66))
STANDS = frozenset(("car", "truck", "bus", "person", "cyclist"))


def sun_share(inputs: PictureInputs, top: int) -> Float32:
    """How much of the sun reaches the ground, ``float32[h, W]`` in [0, 1], of the rows from `top` on."""
    view = inputs.view
    width, height = view.size_wh
    solid = np.zeros((height - top, width), np.uint8)
    leaves = np.zeros_like(solid)
    sun = inputs.light.sun_direction
    if float(inputs.light.sun.max()) > 0.01:
        _throw([p for p in inputs.things if _is_near(p, inputs)], view, sun, (solid, leaves), top)
    solid, leaves = (cv2.GaussianBlur(m, (5, 5), 1.1) if m.any() else m for m in (solid, leaves))  # type: ignore[assignment]
    kept = cv2.LUT(solid, _falling(1.0)) * cv2.LUT(leaves, _falling(LEAVES))
    return np.asarray(kept, np.float32)


def contact(inputs: PictureInputs, top: int) -> Float32:
    """How much of the sky's light reaches the ground beneath vehicles and people, ``float32[h, W]``."""
    view = inputs.view
    width, height = view.size_wh
    mask = np.zeros((height - top, width), np.uint8)
    near = [p for p in inputs.things if p[0].kind in STANDS and _is_near(p, inputs)]
    for grown, share in CONTACT:
        for thing, now, _ in near:
            outline = _footprint(thing.size_lwh_m, grown, thing.kind in {"person", "cyclist"})
            ground = transform(world_from_mesh(now), outline)
            _fill(mask, _to_pixels(ground, view, top), round(255 * share))
    blurred = cv2.GaussianBlur(mask, (7, 5), 2.0)
    return np.asarray(cv2.LUT(blurred, _falling(1.0)), np.float32)


def _falling(strength: float) -> Float32:
    return (1 - np.arange(256, dtype=np.float32) * np.float32(strength / 255)).astype(np.float32)


def _is_near(placed: Placed, inputs: PictureInputs) -> bool:
    _, now, _ = placed
    ego = inputs.snapshot.ego
    dx, dy = now.x_m - ego.x_m, now.y_m - ego.y_m
    ahead = dx * cos(ego.yaw_rad) + dy * sin(ego.yaw_rad)
    return -45 < ahead < REACH_M and abs(dx) + abs(dy) < 1.4 * REACH_M


def _throw(
    things: list[Placed], view: View, sun: Float64, masks: tuple[UInt8, UInt8], top: int
) -> None:
    """Draw shadows: the faces on the sun's side, projected to the ground."""
    if not things:
        return
    world, faces, is_leaf = _gather(things)
    slope = sun[:2] / max(float(sun[2]), LOWEST)
    height = np.maximum(world[:, 2:], 0)
    flat = np.concatenate((world[:, :2] - height * slope, np.zeros_like(height)), axis=1)
    camera = view.to_camera(flat)
    a, b, c = (world[faces[:, k]] for k in range(3))
    lit = np.cross(b - a, c - a) @ sun > 0
    depth = camera[:, 2][faces]
    seen = lit & (depth.max(axis=1) > CUT_M)
    faces, is_leaf, whole = faces[seen], is_leaf[seen], depth[seen].min(axis=1) > CUT_M
    pixels = camera[:, :2] / np.maximum(camera[:, 2:], NEAR_M) * view.focal_px
    corners = (pixels + np.array(view.middle_px) - [0, top])[faces]
    rows, columns = masks[0].shape
    low, high = corners.min(axis=1), corners.max(axis=1)
    outside = (high < 0).any(axis=1) | (low[:, 0] > columns) | (low[:, 1] > rows)
    tiny = ((high - low) < 0.3).any(axis=1)
    for k in np.flatnonzero(~whole | ~(outside | tiny)).tolist():
        points = corners[k] if whole[k] else _project(_cut(camera[faces[k]]), view, top)
        _fill(masks[int(is_leaf[k])], points, 255)


def _gather(things: list[Placed]) -> tuple[Float64, Int32, Bool]:
    """Coarse meshes of things in the world: ``float64[V, 3]``, ``int32[F, M]``, and whether faces are leaves ``bool[F]``."""
    meshes = [thing.mesh(now.phase_rad, 0) for thing, now, _ in things]
    counts = [len(mesh.vertices_m) for mesh in meshes]
    x, y, z = np.concatenate([mesh.vertices_m for mesh in meshes]).T
    poses = np.array([(cos(n.yaw_rad), sin(n.yaw_rad), n.x_m, n.y_m) for _, n, _ in things])
    c, s, dx, dy = np.repeat(poses, counts, axis=0).T
    world = np.stack((c * x - s * y + dx, s * x + c * y + dy, z), axis=1)
    widest = max(mesh.faces.shape[1] for mesh in meshes)
    firsts = np.cumsum([0, *counts[:-1]])
    faces = [
        np.pad(mesh.faces, ((0, 0), (0, widest - mesh.faces.shape[1])), mode="edge") + first
        for mesh, first in zip(meshes, firsts, strict=True)
    ]
    is_leaf = np.concatenate([mesh.materials for mesh in meshes]) == Material.FOLIAGE
    return world, np.concatenate(faces).astype(np.int32), is_leaf


def _footprint(size_lwh_m: tuple[float, float, float], grown: float, round_one: bool) -> Float64:
    """Outline of what stands on the ground, ``float64[N, 3]``, mesh axes."""
    half = [max(size / 2 + grown, 0.05) for size in size_lwh_m[:2]]
    if round_one:
        half = [max(min(h, 0.9) * 0.6, 0.05) for h in half]
        turns = [2 * pi * k / 10 for k in range(10)]
        return np.array([(half[0] * cos(a), half[1] * sin(a), 0.0) for a in turns])
    (x, y), bevel = half, min(0.3, half[1] * 0.4)
    corners = ((x, y - bevel), (x - bevel, y), (bevel - x, y), (-x, y - bevel))
    both = [*corners, *((-a, -b) for a, b in corners)]
    return np.array([(a, b, 0.0) for a, b in both])


def _to_pixels(points: Float64, view: View, top: int) -> Float64:
    camera = view.to_camera(points)
    if camera[:, 2].min() < CUT_M:
        camera = _cut(camera)
    return _project(camera, view, top)


def _project(camera: Float64, view: View, top: int) -> Float64:
    if not len(camera):
        return np.zeros((0, 2))
    pixels: Float64 = view.project(camera) - np.array([0, top])
    return pixels


def _cut(polygon: Float64) -> Float64:
    """The part of ``float64[M, 3]`` in front of the camera (Sutherland and Hodgman, 1974)."""
    kept = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if a[2] >= CUT_M:
            kept.append(a)
        if (a[2] >= CUT_M) != (b[2] >= CUT_M):
            kept.append(a + (CUT_M - a[2]) / (b[2] - a[2]) * (b - a))
    return np.array(kept).reshape(-1, 3)


def _fill(mask: UInt8, points: Float64, value: int) -> None:
    if len(points) < 3:
        return
    fixed = np.clip((points - 0.5) * (1 << SHIFT), -2e6, 2e6).round().astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, value, cv2.LINE_8, SHIFT)
