"""The bench of the loop's watch: vehicles of a known place, seen by a camera that turned."""

import numpy as np
import pytest

from perception.calibration.mounting.watched import least_turn_deg, turned_watch, watch_summary
from perception.core.camera import Camera
from perception.stages.ground.mounting import VEHICLE_M, WARN_DEG

CAMERA = Camera(width_px=832, height_px=256, fx_px=600, fy_px=600, cx_px=415.5, cy_px=127.5, height_m=1.4, pitch_deg=-1.5)  # fmt: skip


def vehicles(height_m=VEHICLE_M, count=80):
    """Boxes of each frame, of vehicles that are all as high."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        places = rng.uniform((-3, 20), (3, 60), (3, 2))
        x, y = CAMERA.image_points(places).T
        high = height_m * CAMERA.fy_px / places[:, 1]
        yield np.stack([x - 9, y - high, x + 9, y], axis=-1)


def test_the_watch_warns_from_its_limit_on_up_and_down(caplog):
    boxes = list(vehicles())
    assert turned_watch(boxes, CAMERA, 0.0).warnings == 0
    assert turned_watch(boxes, CAMERA, 1.0).offset_deg == pytest.approx(1.0, abs=0.1)
    for sign in (1, -1):
        assert least_turn_deg(boxes, CAMERA, sign) == pytest.approx(WARN_DEG, abs=0.3)
    assert not caplog.records  # nobody turned a camera: the log stays quiet


def test_higher_vehicles_look_like_a_camera_that_turned_down_and_shift_both_limits():
    boxes = list(vehicles(1.3 * VEHICLE_M))
    assert turned_watch(boxes, CAMERA, 0.0).offset_deg < -0.2
    assert least_turn_deg(boxes, CAMERA, -1) < WARN_DEG < least_turn_deg(boxes, CAMERA, 1)


def test_too_few_vehicles_count_for_nothing():
    boxes = list(vehicles(count=20))
    assert turned_watch(boxes, CAMERA, 0.0).offset_deg is None
    assert least_turn_deg(boxes, CAMERA, 1) is None
    silent = {"offset_deg": None, "vehicles": 60, "false": False, "up_deg": None, "down_deg": None}
    told = {"offset_deg": -0.3, "vehicles": 240, "false": True, "up_deg": 1.75, "down_deg": None}
    assert watch_summary([silent, told]) == {
        "n": 1,
        "false_warnings": 1,
        "largest_offset_deg": 0.3,
        "warns_from_deg": [1.75, 1.75],
        "never_warned": 1,
    }
