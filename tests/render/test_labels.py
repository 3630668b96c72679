"""Labels of a frame agree with each other and with the world that was drawn, on random drives."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from perception.core.camera import lens
from perception.core.errors import ConfigError
from perception.render.config import CameraConfig, DriveConfig, OpticsConfig
from perception.render.drive import Drive
from perception.render.labels import tight_hull
from perception.render.picture.polygons import NEAR_M, choose_detail
from perception.render.picture.view import build_camera, inverse, transform, world_from_mesh
from perception.render.records import CityId, Marking
from perception.render.warp import lens_warp

SIZE_WH = (416, 128)
CASES = [(seed, place) for seed in (1, 2, 3, 4) for place in ("town", "country")]
CAMERA = build_camera(CameraConfig(size_wh=SIZE_WH))
MIDDLE = np.array([CAMERA.cx_px + 0.5, CAMERA.cy_px + 0.5])
FOCAL = np.array([CAMERA.fx_px, CAMERA.fy_px])


@pytest.fixture(scope="module", params=CASES, ids=lambda c: f"{c[1]}-{c[0]}")
def drive(request):
    seed, place = request.param
    return Drive(
        DriveConfig(seed=seed, place=place, duration_s=12, camera=CameraConfig(size_wh=SIZE_WH))
    )


@pytest.fixture(scope="module")
def frames(drive):
    """Labels of two frames in a row, somewhere in the drive."""
    return drive.labels(57), drive.labels(58)


def lift(labels, rows, columns):
    """Pixels to points in the camera's axes, by their depth."""
    ray = (np.stack((columns, rows), 1) + 0.5 - MIDDLE) / FOCAL
    depth = labels.depth_m[rows, columns].astype(np.float64)[:, None]
    return np.concatenate((ray, np.ones_like(depth)), 1) * depth


def some_pixels(mask, seed, count=200):
    rows, columns = np.nonzero(mask)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows[chosen], columns[chosen]


def test_a_box_is_the_tight_hull_of_its_pixels(frames):
    for label in frames[0].objects:
        mask = frames[0].instances == label.identity
        assert tight_hull(mask) == label.box_xyxy
        assert int(mask.sum()) == label.pixels


def test_each_object_pixel_has_a_label_and_the_class_of_its_kind(frames):
    labels = frames[0]
    kinds = {o.identity: o.kind for o in labels.objects}
    assert set(np.unique(labels.instances)) - {0} == set(kinds)
    allowed = {
        "car": {CityId.CAR}, "truck": {CityId.TRUCK}, "bus": {CityId.BUS}, "person": {CityId.PERSON},
        "cyclist": {CityId.RIDER, CityId.BICYCLE},
    }  # fmt: skip
    for identity, kind in kinds.items():
        assert set(labels.class_ids[labels.instances == identity].tolist()) <= allowed[kind]


def test_the_visible_box_lies_in_the_amodal_one(frames):
    for label in frames[0].objects:
        if label.amodal_xyxy is not None:
            x1, y1, x2, y2 = label.amodal_xyxy
            a, b, c, d = label.box_xyxy
            assert x1 - 0.51 <= a
            assert y1 - 0.51 <= b
            assert c <= x2 + 0.51
            assert d <= y2 + 0.51


def test_the_3d_box_stands_around_the_object(drive, frames):
    """Upright on the road, of the size and at the place of the label: its hull holds the hull of the whole object."""
    labels = frames[0]
    yaws = {thing.identity: state.yaw_rad for thing, state in drive._snapshot(57).things}
    for label in labels.objects:
        if label.amodal_xyxy is None or label.kind in {"person", "cyclist"}:
            continue  # limbs that swing reach beyond the box of the standing figure
        length, width, height = label.size_lwh_m
        middle = transform(inverse(labels.camera_from_world), np.array([label.centre_m]))[0]
        c, s = np.cos(yaws[label.identity]), np.sin(yaws[label.identity])
        corners = np.array(
            [
                [c * x - s * y + middle[0], s * x + c * y + middle[1], z + middle[2]]
                for x in (-length / 2, length / 2)
                for y in (-width / 2, width / 2)
                for z in (0, height)
            ]
        )
        seen = transform(labels.camera_from_world, corners)
        if (seen[:, 2] < NEAR_M).any():
            continue
        pixels = seen[:, :2] / seen[:, 2:] * FOCAL + MIDDLE
        slack = (
            0.02 * FOCAL[0] / seen[:, 2].min()
        )  # coarse meshes may stand out by a centimetre or two
        assert (pixels.min(0) - slack <= label.amodal_xyxy[:2]).all()
        assert (pixels.max(0) + slack >= label.amodal_xyxy[2:]).all()


def test_road_pixels_lift_onto_the_road(frames):
    labels = frames[0]
    flat = np.isin(labels.class_ids, (CityId.ROAD, CityId.SIDEWALK, CityId.TERRAIN)) & (
        labels.instances == 0
    )
    points = transform(
        inverse(labels.camera_from_world),
        lift(labels, *some_pixels(flat & (labels.depth_m < 80), 0)),
    )
    assert np.abs(points[:, 2]).max() < 0.01


def test_sky_has_no_depth_and_everything_else_has(frames):
    labels = frames[0]
    np.testing.assert_array_equal(labels.depth_m == 0, labels.class_ids == CityId.SKY)


def test_markings_are_on_the_road_only(frames):
    labels = frames[0]
    painted = labels.lanes != Marking.NONE
    assert painted.any()
    assert set(labels.class_ids[painted].tolist()) == {CityId.ROAD}


def every_face(snapshot, view):
    """Corners of all faces, ``[F, M, 3]`` in the camera's axes, of the meshes that are drawn."""
    polygons = []
    for thing, state in snapshot.things:
        mesh = thing.mesh(state.phase_rad, choose_detail(thing, state, view))
        placed = transform(world_from_mesh(state), mesh.vertices_m)
        polygons.append(transform(view.camera_from_world, placed)[mesh.faces])
    most = max(p.shape[1] for p in polygons)
    return np.concatenate(
        [np.pad(p, ((0, 0), (0, most - p.shape[1]), (0, 0)), mode="edge") for p in polygons]
    )


def nearest(polygons, ray):
    """Depth of the first face that a ray from the camera meets, by asking every face; inf for none."""
    start, end = polygons, np.roll(polygons, -1, axis=1)
    normal = np.cross(start[:, 1] - start[:, 0], start[:, 2] - start[:, 0])
    towards = normal @ ray
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (normal * start[:, 0]).sum(1) / towards
    met = np.flatnonzero((towards < 0) & (depth >= NEAR_M))
    hits = depth[met, None, None] * ray
    inward = np.cross(end[met] - start[met], hits - start[met])
    inside = ((inward * normal[met, None]).sum(2) >= 0).all(1)
    return float(depth[met[inside]].min(initial=inf))


def test_depth_is_where_the_ray_meets_the_world(drive, frames):
    labels = frames[0]
    snapshot = drive._snapshot(57)
    polygons = every_face(snapshot, drive._view(snapshot))
    solid = ~np.isin(labels.class_ids, (CityId.SKY, CityId.TERRAIN, CityId.ROAD, CityId.SIDEWALK))
    missed = 0
    for row, column in zip(*some_pixels(solid, 1, 60), strict=True):
        ray = np.append((np.array([column, row]) + 0.5 - MIDDLE) / FOCAL, 1.0)
        depth = nearest(polygons, ray)
        missed += abs(depth - labels.depth_m[row, column]) > 1e-3 * depth
    assert missed <= 1  # a ray through an edge


def test_seen_key_points_lie_on_their_person(frames):
    for labels in frames:
        for label in labels.objects:
            if label.key_points is None:
                continue
            for x, y, seen in label.key_points.tolist():
                if seen:
                    assert labels.instances[int(y), int(x)] == label.identity


def test_flow_depth_and_pose_agree_where_the_world_stands_still(frames):
    now, then = frames
    still = (now.instances == 0) & (now.depth_m > 0)
    rows, columns = some_pixels(still, 2, 500)
    world = transform(inverse(now.camera_from_world), lift(now, rows, columns))
    moved = transform(then.camera_from_world, world)
    there = moved[:, :2] / moved[:, 2:] * FOCAL + MIDDLE
    here = np.stack((columns, rows), 1) + 0.5
    ahead = moved[:, 2] > 1
    np.testing.assert_allclose((here + now.flow_px[rows, columns])[ahead], there[ahead], atol=0.02)


def test_flow_of_moving_things_leads_to_the_same_thing(frames):
    now, then = frames
    rows, columns = some_pixels(now.instances > 0, 3, 500)
    there = np.stack((columns, rows), 1) + 0.5 + now.flow_px[rows, columns]
    inside = (there >= 1).all(1) & (there < np.array(SIZE_WH) - 1).all(1)
    column, row = there[inside].astype(int).T
    same = then.instances[row, column] == now.instances[rows[inside], columns[inside]]
    if len(same) > 50:
        assert same.mean() > 0.8  # the rest is at edges, or hidden by then


def test_moving_things_move_by_their_speed(drive, frames):
    now, then = frames
    later = {o.identity: o for o in then.objects}
    for label in now.objects:
        if label.kind in {"car", "truck", "bus"} and label.identity in later:
            ends = [
                transform(inverse(labels.camera_from_world), np.array([o.centre_m]))[0]
                for labels, o in ((now, label), (then, later[label.identity]))
            ]
            travelled = float(np.linalg.norm(ends[1] - ends[0])) * drive.config.fps
            assert travelled == pytest.approx(abs(label.speed_mps), abs=0.5)


def test_a_distorted_camera_bends_picture_and_labels_alike(tmp_path):
    file = tmp_path / "bent.toml"
    file.write_text(
        "width_px = 416\nheight_px = 256\nfx_px = 230.0\nfy_px = 230.0\ncx_px = 205.0\ncy_px = 124.0\n"
        "distortion = [-0.28, 0.07, 0.001, -0.0005, 0.0]\nheight_m = 1.4\npitch_deg = -2.0\n"
    )
    camera = CameraConfig(file=str(file), size_wh=(416, 256))
    frame = Drive(DriveConfig(seed=3, duration_s=4, camera=camera)).render(20)
    assert frame.image.shape == (256, 416, 3)
    for label in frame.labels.objects:
        mask = frame.labels.instances == label.identity
        assert tight_hull(mask) == label.box_xyxy
        for x, y, seen in [] if label.key_points is None else label.key_points.tolist():
            assert not seen or mask[int(y), int(x)]


def test_undistort_is_the_inverse_of_distort():
    strong = (-0.37, 0.20, 0.0014, 0.0005, -0.07)  # of KITTI's raw camera
    grid = np.stack(np.meshgrid(np.linspace(-0.75, 0.75, 31), np.linspace(-0.3, 0.3, 13)), -1)
    np.testing.assert_allclose(
        lens.straighten("pinhole", strong, lens.bend("pinhole", strong, grid)), grid, atol=1e-5
    )


def test_what_is_far_outside_of_a_lens_is_nowhere():
    camera = replace(
        CAMERA, fx_px=290.0, fy_px=290.0, distortion=(-0.37, 0.20, 0.0014, 0.0005, -0.07)
    )
    inner, warp = lens_warp(camera)
    middle = np.array([[inner.cx_px, inner.cy_px]])
    assert np.isfinite(warp.forward(middle, None)).all()
    assert np.isnan(warp.forward(middle + np.array([[4.0 * inner.width_px, 0.0]]), None)).all()


def test_a_lens_that_cannot_see_its_own_corners_is_refused():
    with pytest.raises(ConfigError, match="does not reach the corners"):
        lens_warp(replace(CAMERA, distortion=(-0.9, 0.0, 0.0, 0.0, 0.0)))


def test_a_rolling_shutter_leans_what_passes_by():
    base = DriveConfig(seed=3, duration_s=4, camera=CameraConfig(size_wh=SIZE_WH))
    rolling = DriveConfig(
        seed=3,
        duration_s=4,
        camera=CameraConfig(size_wh=SIZE_WH),
        optics=OpticsConfig(readout_ms=30),
    )
    whole, leaning = Drive(base).render(20).labels, Drive(rolling).render(20).labels
    middle = SIZE_WH[1] // 2
    np.testing.assert_array_equal(whole.class_ids[middle], leaning.class_ids[middle])
    assert (whole.class_ids[-8:] != leaning.class_ids[-8:]).any()
