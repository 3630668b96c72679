"""Mounting from the road: points of a known camera on a known way, outliers, and what is refused."""

import numpy as np
import pytest

from perception.calibration.mounting.calibrate import read_speed
from perception.calibration.mounting.combine import Estimate, estimate, join, student_95
from perception.calibration.mounting.cues.height import height_per_metre, heights_from_boxes
from perception.calibration.mounting.cues.lines import vanishing_point
from perception.calibration.mounting.cues.motion import ahead_of, angles_of, find_motion
from perception.calibration.mounting.estimate import estimate_mounting
from perception.calibration.mounting.observe import Seen
from perception.core.camera import Camera
from perception.core.camera.rotation import rotation_matrix
from perception.core.errors import ConfigError, InputError

CAMERA = Camera(width_px=832, height_px=256, fx_px=600, fy_px=600, cx_px=415.5, cy_px=127.5)
PITCH, YAW, HEIGHT, WAY = -2.0, 1.5, 1.4, 1.2


@pytest.fixture
def random():
    return np.random.default_rng(5)


def road_rays(points):
    """Rays of points in road axes whose origin is on the road below the camera."""
    seen = (points - [0, -HEIGHT, 0]) @ rotation_matrix(YAW, PITCH, 0)
    return seen / seen[:, 2:]


def test_pitch_and_yaw_come_back_from_points_with_a_tenth_of_outliers(random):
    points = random.uniform([-15, -6, 8], [15, 0, 40], (300, 3))
    before, after = road_rays(points), road_rays(points - [0, 0, WAY])
    after[:30, :2] += random.normal(0, 0.02, (30, 2))
    after[:, :2] += random.normal(0, 0.05 / CAMERA.fx_px, (300, 2))
    motion = find_motion(before, after, CAMERA.fx_px)
    assert angles_of(motion.direction, 0) == pytest.approx((PITCH, YAW), abs=0.25)


def test_angles_and_direction_are_inverse_with_roll():
    assert angles_of(ahead_of(PITCH, YAW, 3.0), 3.0) == pytest.approx((PITCH, YAW))


def test_road_points_and_the_way_give_the_height(random):
    points = np.column_stack([random.uniform(-4, 4, 60), np.zeros(60), random.uniform(6, 20, 60)])
    before, after = road_rays(points), road_rays(points - [0, 0, WAY])
    after[:10, 1] += 0.05
    ratio = height_per_metre(
        before, after, np.eye(3), ahead_of(PITCH, YAW, 0), rotation_matrix(YAW, PITCH, 0)[1]
    )
    assert ratio * WAY == pytest.approx(HEIGHT, rel=0.01)


def test_a_car_ahead_gives_the_height_and_a_side_view_does_not():
    edges = road_rays(np.array([[-0.9, 0, 20.0], [0.9, 0, 20], [0, 0, 20]]))[None].repeat(2, 0)
    boxes = np.array([[380.0, 100, 440, 150], [300, 120, 500, 150]])
    heights = heights_from_boxes(boxes, edges, rotation_matrix(YAW, PITCH, 0)[1], (832, 256))
    assert heights == pytest.approx([HEIGHT], rel=0.01)


def test_lane_lines_meet_straight_ahead_whatever_lies_across(random):
    lateral = np.array([-5.0, -1.8, 1.8, 5, -3])
    near, far = (np.column_stack([lateral, 0 * lateral, 0 * lateral + z]) for z in (6.0, 25.0))
    near[-1], far[-1] = (-3, 0, 8), (2, 0, 12)
    point, count = vanishing_point(road_rays(near), road_rays(far), random)
    assert count == 4
    assert angles_of(point, 0) == pytest.approx((PITCH, YAW), abs=0.01)


def test_cues_that_differ_are_told_and_widen_the_interval():
    joined = join({"a": Estimate(0, 0.1, 9), "b": Estimate(2, 0.1, 9)}, "pitch", "deg")
    assert joined.estimate.value == pytest.approx(1)
    assert joined.estimate.sigma > 0.5
    assert "a says 0.00 deg" in joined.disagree[0]


def test_outliers_do_not_move_the_estimate(random):
    values = np.concatenate([random.normal(1, 0.1, 95), np.full(5, 40.0)])
    one = estimate(values, random.uniform(0, 10, 100), random)
    assert one.value == pytest.approx(1, abs=0.05)


def test_a_standing_car_is_refused_with_the_way_out():
    seen = Seen(frames=50)
    seen.refused["standing"] = 49
    with pytest.raises(InputError, match="stands most of the time: give a stretch where it drives"):
        estimate_mounting(seen, CAMERA, None)


def test_a_short_recording_is_not_blamed_on_the_few_pairs_without_use():
    seen = Seen(frames=30, motions=[(0.1 * i, 0.0, 0.0) for i in range(11)])
    seen.refused["standing"] = 2
    with pytest.raises(InputError, match="give a longer recording"):
        estimate_mounting(seen, CAMERA, None)


@pytest.mark.parametrize("text", ["-3", "0", "nan", "900"])
def test_a_speed_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigError, match="km/h"):
        read_speed(text)


def test_a_table_of_speeds_is_interpolated(tmp_path):
    table = tmp_path / "speed.csv"
    table.write_text("time_s,speed_mps\n0,10\n2,12\n")
    assert read_speed(str(table))(1.0) == pytest.approx(11)
    table.write_bytes(
        b"\xef\xbb\xbftime_s,speed_mps\r\n0,10\r\n2,12\r\n"
    )  # as spreadsheets write it
    assert read_speed(str(table))(1.0) == pytest.approx(11)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("t,v\n0,10\n", "got t,v: time_s is missing", id="other columns"),
        pytest.param("", "got nothing: time_s is missing", id="empty"),
        pytest.param("time_s,speed_mps\n0,10\n1\n", "row 2: .* got 1, nothing", id="short row"),
        pytest.param("time_s,speed_mps\n0,ten\n", "row 1: .* got 0, ten", id="word"),
        pytest.param("time_s,speed_mps\n0,nan\n1,3\n", "2 rows or more, finite", id="nan"),
        pytest.param("time_s,speed_mps\n1,3\n0,3\n", "time_s rising", id="backwards"),
        pytest.param("time_s,speed_mps\n" + 200_000 * "1", "which this is not", id="no csv"),
    ],
)
def test_a_wrong_table_of_speeds_is_one_line(text, line, tmp_path):
    table = tmp_path / "speed.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=line) as raised:
        read_speed(str(table))
    assert "\n" not in str(raised.value)


# exact quantiles of Student's t at 97.5 %, from tables
@pytest.mark.parametrize(
    ("freedom", "exact", "off"), [(2, 4.3027, 0.04), (3, 3.1824, 0.01), (5, 2.5706, 0.003)]
)
def test_few_stretches_widen_the_interval_as_students_t_does(freedom, exact, off):
    assert student_95(freedom) == pytest.approx(exact, rel=off)
