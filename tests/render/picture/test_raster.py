"""The depth buffer against rays cast one by one, and what it says of hiding and of motion."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.render.config import CameraConfig
from perception.render.picture.polygons import NEAR_M
from perception.render.picture.raster import draw
from perception.render.picture.view import build_camera, build_view, transform, world_from_mesh
from perception.render.records import Mesh, State, Thing

CAMERA = build_camera(CameraConfig(size_wh=(96, 64), horizontal_fov_deg=70.0))
BOX_FACES = [
    [0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3],
]  # fmt: skip


def box_mesh(length: float, width: float, height: float) -> Mesh:
    vertices = np.array(
        [
            [x * length / 2, y * width / 2, z * height]
            for x in (-1, 1)
            for y in (-1, 1)
            for z in (0, 1)
        ]
    )
    return Mesh(
        vertices_m=vertices.astype(np.float64),
        faces=np.array(BOX_FACES, np.int32),
        colours=np.full((6, 3), 0.5, np.float32),
        materials=np.zeros(6, np.uint8),
        class_ids=np.full(6, 26, np.uint8),
    )


def box_thing(key: int, size: tuple[float, float, float]) -> Thing:
    mesh = box_mesh(*size)
    return Thing(key, "car", key, {}, size, lambda phase, detail: mesh)


def cast(things, view, column: int, row: int) -> tuple[float, int]:
    """Depth and thing index of what the pixel's centre sees: the slow way, one plane and one polygon after the other."""
    ray = np.array([view.columns[column], view.rows[row], 1.0])
    best = (inf, -1)
    for index, (thing, now, _) in enumerate(things):
        mesh = thing.mesh(0.0, 2)
        corners = view.to_camera(transform(world_from_mesh(now), mesh.vertices_m))
        for face in mesh.faces:
            polygon = corners[face]
            normal = np.cross(polygon[1] - polygon[0], polygon[2] - polygon[0])
            facing = normal @ ray
            if facing >= 0:  # seen from inside
                continue
            depth = normal @ polygon[0] / facing
            hit = depth * ray
            ends = np.roll(polygon, -1, axis=0)
            sides = [normal @ np.cross(b - a, hit - a) for a, b in zip(polygon, ends, strict=True)]
            if min(sides) >= 0 and NEAR_M <= depth < best[0]:
                best = (depth, index)
    return best


boxes = st.tuples(
    st.tuples(st.floats(0.5, 6), st.floats(0.5, 3), st.floats(0.5, 4)),
    st.floats(-2, 40), st.floats(-8, 8), st.floats(-3.1, 3.1),
)  # fmt: skip


@settings(max_examples=40)
@given(found=st.lists(boxes, min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_each_pixel_sees_what_its_ray_hits_first(found, seed):
    things = []
    for key, (size, x, y, yaw) in enumerate(found, start=1):
        state = State(x, y, yaw)
        things.append((box_thing(key, size), state, state))
    view = build_view(CAMERA, State(0.0, 0.0, 0.0))
    raster, faces = draw(things, view, view)
    rng = np.random.default_rng(seed)
    wrong = 0
    for column, row in zip(rng.integers(0, 96, 60), rng.integers(0, 64, 60), strict=True):
        depth, index = cast(things, view, int(column), int(row))
        seen = int(faces.things[raster.face[row, column]])
        if seen != index:
            # one of two faces that lie in each other is as right as the other
            same = seen >= 0 and np.isclose(
                cast([things[seen]], view, int(column), int(row))[0], depth
            )
            wrong += not same  # a ray through an edge, where two pixels are equally right
            continue
        if index >= 0:
            assert 1 / raster.inverse_depth[row, column] == pytest.approx(depth, rel=1e-4)
    assert wrong <= 1


def test_solo_pixels_count_what_others_hide():
    behind, before = box_thing(1, (1, 2, 2)), box_thing(2, (1, 2, 2))
    here, nearer = State(20.0, 0.0, 0.0), State(10.0, 0.0, 0.0)
    view = build_view(CAMERA, State(0.0, 0.0, 0.0))
    alone, _ = draw([(behind, here, here)], view, view)
    both, faces = draw([(behind, here, here), (before, nearer, nearer)], view, view)
    assert both.solo_pixels[0] == alone.solo_pixels[0] > 0
    assert not (faces.things[both.face] == 0).any()


def test_a_thing_across_the_image_plane_is_cut_there_not_turned_inside_out():
    thing, state = box_thing(1, (8, 1, 1)), State(2.0, 2.0, 0.0)
    view = build_view(CAMERA, State(0.0, 0.0, 0.0))
    raster, _ = draw([(thing, state, state)], view, view)
    assert (raster.face[:, : CAMERA.width_px // 2] > 0).any()
    assert not (raster.face[:, CAMERA.width_px // 2 :] > 0).any()


def test_faces_know_how_they_move_to_the_next_frame():
    thing, now, then = box_thing(1, (4, 2, 1.5)), State(12.0, 1.0, 0.3), State(13.0, 0.6, 0.4)
    view = build_view(CAMERA, State(0.0, 0.0, 0.0))
    view_next = build_view(CAMERA, State(0.8, 0.1, 0.02))
    _, faces = draw([(thing, now, then)], view, view_next)
    corners = thing.mesh(0.0, 2).vertices_m
    before = view.to_camera(transform(world_from_mesh(now), corners))
    after = view_next.to_camera(transform(world_from_mesh(then), corners))
    for motion in faces.next_from_now[1:]:
        np.testing.assert_allclose(before @ motion[:, :3].T + motion[:, 3], after, atol=1e-4)


def test_the_far_thing_is_drawn_with_less_detail():
    asked = []

    def mesh(phase: float, detail: int) -> Mesh:
        asked.append(detail)
        return box_mesh(4, 2, 1.5)

    thing = Thing(1, "car", 1, {}, (4.0, 2.0, 1.5), mesh)
    view = build_view(build_camera(CameraConfig()), State(0.0, 0.0, 0.0))
    for distance in (8.0, 30.0, 90.0):
        state = State(distance, 0.0, 0.0)
        draw([(thing, state, state)], view, view)
    assert asked == [2, 1, 0]
