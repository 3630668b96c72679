"""Scenes on the road: geometry, intervals, the free distance, the watch of the mounting, and how sinks tell of them."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.camera import Camera, find_camera
from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.types import Detections, Scene
from perception.sinks.jsonl import scene_record
from perception.sinks.overlay import build_style, distance_texts, draw_scene
from perception.stages.ground.locate import (
    BORDER,
    HORIZON,
    Corridor,
    locate,
    locate_boxes,
    road_polygon,
)
from perception.stages.ground.locator import Locator
from perception.stages.ground.mounting import VEHICLE_M, MountingWatch
from perception.stages.ground.plane import RoadPlane, Sigmas, stated_sigmas

ROAD = MAP_CLASSES.index("road")
CAMERA = Camera(width_px=640, height_px=384, fx_px=500, fy_px=500, cx_px=319.5, cy_px=150, height_m=1.5, pitch_deg=-1.0)  # fmt: skip
BENT = replace(CAMERA, distortion=(-0.2, 0.05, 0.0, 0.0, 0.0))


def boxes_at(camera, places_m, width_px=30.0, height_px=25.0):
    """Boxes whose feet are at (x, z) on the road."""
    feet = camera.distorted(camera.image_points(np.array(places_m, float)))
    half = width_px / 2
    return np.stack([feet[:, 0] - half, feet[:, 1] - height_px, feet[:, 0] + half, feet[:, 1]], -1)


def scene_of(make_frame, boxes_xyxy=(), road_to_y=None):
    """A scene whose map is road below a row, with an outline around it."""
    frame = make_frame(0, CAMERA.size_wh)
    class_map = np.zeros(CAMERA.size_wh[::-1], np.uint8)
    outline = ()
    if road_to_y is not None:
        class_map[road_to_y:] = ROAD
        corners = [[0, road_to_y], [640, road_to_y], [640, 384], [0, 384]]
        outline = (np.array(corners, np.float32),)
    found = np.array(boxes_xyxy, np.float32).reshape(-1, 4)
    count = len(found)
    detections = Detections(found, np.full(count, 0.9, np.float32), np.zeros(count, np.int64))
    return Scene(frame, detections, class_map, outline, frame.captured_ns)


@given(x_m=st.floats(-2, 2), z_m=st.floats(8, 60), forward_m=st.floats(-2, 2), bent=st.booleans())
def test_the_foot_of_a_box_is_where_the_object_stands(x_m, z_m, forward_m, bent):
    camera = replace(BENT if bent else CAMERA, forward_m=forward_m)
    feet, intervals, _, unknown = locate_boxes(boxes_at(camera, [(x_m, z_m)]), RoadPlane(camera))
    assert unknown == ("",)
    np.testing.assert_allclose(feet, [[x_m, z_m]], rtol=1e-6, atol=1e-6)
    assert intervals[0, 0] < z_m < intervals[0, 1]


def test_the_interval_grows_with_distance_until_it_has_no_end():
    places = [(0, z_m) for z_m in (8, 15, 30, 60, 400)]
    _, intervals, _, _ = locate_boxes(boxes_at(CAMERA, places), RoadPlane(CAMERA))
    widths = (intervals[:, 1] - intervals[:, 0]) / [8, 15, 30, 60, 400]
    assert (np.diff(widths) > 0).all()
    assert np.isinf(intervals[-1, 1])
    assert np.isfinite(intervals[:3]).all()


@pytest.mark.parametrize("z_m", [8.0, 20.0, 40.0])
def test_the_interval_holds_95_in_100_times_with_the_stated_sigmas(z_m):
    rng = np.random.default_rng(0)
    sigmas = Sigmas()
    pitch_deg, height_m, focal = stated_sigmas(CAMERA, sigmas)
    plane, held = RoadPlane(CAMERA, sigmas), 0
    for _ in range(2000):
        true = replace(
            CAMERA,
            pitch_deg=CAMERA.pitch_deg + rng.normal(0, pitch_deg),
            height_m=CAMERA.height_m + rng.normal(0, height_m),
            fy_px=CAMERA.fy_px * (1 + rng.normal(0, focal)),
        )
        box = boxes_at(true, [(0, z_m)])
        box[0, 3] += rng.normal(0, sigmas.foot_sigma_px(np.array([25.0]))[0])
        _, ((low_m, high_m),), _, _ = locate_boxes(box, plane)
        held += bool(low_m <= z_m <= high_m) or bool(np.isnan(low_m))
    assert 0.93 < held / 2000 < 0.97


def test_what_the_file_states_is_part_of_the_interval():
    unsure = RoadPlane(replace(CAMERA, pitch_sigma_deg=2.0))
    wide, narrow = (
        locate_boxes(boxes_at(CAMERA, [(0, 15)]), plane)[1][0]
        for plane in (unsure, RoadPlane(CAMERA))
    )
    assert wide[0] < narrow[0]
    assert wide[1] > narrow[1]
    assert unsure.farthest_m < RoadPlane(CAMERA).farthest_m


def test_a_box_whose_foot_is_not_seen_on_the_road_has_no_distance_and_says_why():
    boxes = np.array([[100, 300, 200, 384], [100, 50, 130, 80], [100, 200, 130, 250]], float)
    feet, intervals, widths, unknown = locate_boxes(boxes, RoadPlane(CAMERA))
    assert unknown == (BORDER, HORIZON, "")
    for values in (feet[:, 1], intervals[:, 0], widths):
        assert np.isnan(values).tolist() == [True, True, False]


def test_the_road_ends_at_the_farthest_distance():
    plane = RoadPlane(CAMERA)
    outline = np.array([[300, 60], [340, 60], [640, 380], [0, 380]], np.float32)
    road = road_polygon(outline, plane)
    assert road[:, 1].max() == pytest.approx(plane.farthest_m, rel=1e-4)
    above = np.array([[300, 60], [340, 60], [340, 90]], np.float32)
    assert len(road_polygon(above, plane)) == 0


def test_an_outline_of_a_bent_lens_comes_back_to_its_pixels():
    plane = RoadPlane(BENT)
    corners = BENT.distorted(BENT.image_points(np.array([[-3.0, 7], [3, 7], [3, 15], [-3, 15]])))
    road = road_polygon(corners.astype(np.float32), plane)
    assert len(road) > 20  # sides are bent
    assert road[:, 0].min() == pytest.approx(-3, abs=0.15)
    assert road[:, 1].max() == pytest.approx(15, abs=0.5)


def test_the_road_is_free_up_to_where_it_ends_or_a_box_stands(make_frame):
    plane = RoadPlane(CAMERA)
    corridor = Corridor(plane)
    row = int(CAMERA.image_points(np.array([[0.0, 12.0]]))[0, 1])

    def free(boxes, road_to_y):
        scene = scene_of(make_frame, boxes, road_to_y)
        return locate(scene, plane, corridor, ROAD).free

    ends = free((), row)
    assert (ends.ended_by, ends.free_m) == ("not road", pytest.approx(12, abs=0.6))
    assert ends.interval_m[0] < ends.free_m < ends.interval_m[1]
    box = free(boxes_at(CAMERA, [(0, 9)]), row)
    assert (box.ended_by, box.free_m) == ("box", pytest.approx(9, abs=0.01))
    beside = free(boxes_at(CAMERA, [(4, 9)]), row)
    assert beside == ends
    nothing = free((), 0)
    assert (nothing.ended_by, nothing.interval_m[1]) == ("view", np.inf)
    assert nothing.free_m == pytest.approx(plane.farthest_m, abs=1.0)


def test_a_camera_that_looks_aside_tells_no_free_distance_ahead(make_frame):
    plane = RoadPlane(replace(CAMERA, yaw_deg=100.0))
    ground = locate(scene_of(make_frame, (), 0), plane, Corridor(plane), ROAD)
    assert ground.free is None


def test_specks_of_the_class_map_do_not_end_the_free_distance(make_frame):
    plane = RoadPlane(CAMERA)
    scene = scene_of(make_frame, (), 0)
    x_px, y_px = CAMERA.image_points(np.array([[0.3, 8.0]]))[0].astype(int)
    scene.class_map[y_px - 2 : y_px + 2, x_px - 2 : x_px + 2] = 0
    assert locate(scene, plane, Corridor(plane), ROAD).free.ended_by == "view"


def test_frames_of_another_size_scale_the_camera_and_of_another_shape_are_refused(make_scene):
    locator = Locator("mine", CAMERA, ROAD, 0)
    half = locator.locate(make_scene(size_wh=(320, 192))).ground
    whole = locator.locate(make_scene(size_wh=(640, 384))).ground
    np.testing.assert_allclose(half.feet_xz_m, whole.feet_xz_m, rtol=1e-6)
    with pytest.raises(ConfigError, match="another shape"):
        locator.locate(make_scene(size_wh=(640, 480)))
    with pytest.raises(ConfigError, match="another shape"):
        Locator("mine", CAMERA, ROAD, 0, size_wh=(300, 300))


def test_a_camera_that_nobody_mounted_or_knows_is_refused():
    with pytest.raises(ConfigError, match="height_m is missing"):
        Locator("mine", replace(CAMERA, height_m=None), ROAD, 0)
    with pytest.raises(ConfigError, match=r"'nobody'.*known: .*kitti_2011_09_26"):
        find_camera("nobody")
    assert find_camera("kitti_2011_09_26").width_px == 1242


def test_a_camera_that_was_turned_is_told_of_once_and_may_come_back(caplog):
    watch, plane = MountingWatch("mine"), RoadPlane(CAMERA)
    rng = np.random.default_rng(0)

    def drive(frames, turned_deg):
        true = replace(CAMERA, pitch_deg=CAMERA.pitch_deg + turned_deg)
        for _ in range(frames):
            places = rng.uniform((-4, 18), (4, 45), (4, 2))
            feet = true.image_points(places)
            high = rng.normal(VEHICLE_M, 0.15, 4) * true.fy_px / places[:, 1]
            watch.look(
                np.stack([feet[:, 0] - 9, feet[:, 1] - high, feet[:, 0] + 9, feet[:, 1]], -1), plane
            )

    with caplog.at_level(logging.WARNING):
        drive(200, 0.0)
        assert (watch.warnings, watch.fits) == (0, True)
        assert abs(watch.offset_deg) < 0.5
        drive(300, 3.0)
        assert (watch.warnings, watch.fits) == (1, False)
        assert watch.offset_deg == pytest.approx(3.0, abs=0.5)
        assert sum("camera file" in record.message for record in caplog.records) == 1
        drive(200, 0.0)
        assert (watch.warnings, watch.fits) == (1, True)


def test_json_lines_and_overlay_tell_metres(make_frame):
    boxes = [*boxes_at(CAMERA, [(0, 20), (0, 900)]), (100, 300, 200, 384)]
    plain = scene_of(make_frame, boxes, 0)
    scene = Locator("mine", CAMERA, ROAD, 0).locate(plain)
    record = json.loads(json.dumps(scene_record(scene, BOX_CLASSES), allow_nan=False))
    near, far, cut = record["boxes"]
    assert near["ahead_m"] == pytest.approx(20, abs=0.02)
    assert near["ahead_95_m"][0] < 20 < near["ahead_95_m"][1]
    assert far["ahead_95_m"][1] is None
    assert cut["no_distance"] == BORDER
    assert "ahead_m" not in cut
    assert (record["free_distance_ended_by"], record["free_distance_corridor_m"]) == ("box", 2.5)
    assert record["free_distance_m"] == pytest.approx(20, abs=0.02)
    assert max(z for _, z in record["road_ground_m"][0]) <= record["farthest_m"] + 0.1
    assert not {"road_ground_m", "free_distance_m"} & set(scene_record(plain, BOX_CLASSES))
    assert distance_texts(scene)[::2] == [" 20 m", ""]
    style = build_style(BOX_CLASSES, MAP_CLASSES)
    changed = (draw_scene(scene, style) != draw_scene(plain, style)).any(axis=2)
    assert changed[:230, -115:].mean() > 0.9  # the panel from above
