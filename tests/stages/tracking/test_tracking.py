"""Identities and speeds of boxes, and boxes moved on by them."""

import json

import numpy as np
import pytest

from perception.core.errors import ConfigError
from perception.core.types import Detections, Frame, Scene, Tracks
from perception.sinks.base import SinkContext
from perception.sinks.jsonl import JsonlSink
from perception.stages.tracking import TRACKERS, open_tracker
from perception.stages.tracking.forecast import forecast

SIZE_WH = (200, 100)
THRESHOLD = 0.4
START, SPEED = (
    np.array([20, 40, 50, 70]),
    np.array([60, 0, 90, 30]),
)  # px, px a second: it comes nearer
NEAR, FAR = 1 / 30, 1 / 10  # seconds between frames


@pytest.fixture
def follow():
    """Make a tracker; call it with seconds and rows of box and score to have the scene it makes."""
    pytest.importorskip("trackers", reason="the extra track is not installed: it needs NumPy 2")

    def start(*, live):
        tracker = open_tracker("bytetrack", THRESHOLD, live=live)
        return lambda seconds, *rows: tracker.track(make_scene(seconds, *rows, live=live))

    return start


def make_scene(seconds, *rows, live=True, tracks=None):
    boxes = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in rows], np.float32)
    # only the date that the tracker is to read is right
    when = (round(seconds * 1e9), -seconds) if live else (0, seconds)
    frame = Frame(np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8), 0, *when)
    found = Detections(boxes, scores, np.zeros(len(boxes), np.int64))
    return Scene(frame, found, np.zeros(SIZE_WH[::-1], np.uint8), (), 0, tracks)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("gaps", [[NEAR] * 30, [FAR] * 12, [NEAR, FAR, NEAR, NEAR, FAR] * 5])
def test_an_object_keeps_its_number_and_its_speed_is_found_whatever_was_dropped(follow, gaps, live):
    track = follow(live=live)
    ids = set()
    for seconds in np.cumsum(gaps):
        scene = track(seconds, (START + SPEED * seconds, 0.9), ([150, 10, 170, 30], 0.8))
        ids.add(tuple(scene.tracks.ids.tolist()))
    assert ids == {(-1, -1), (0, 1)}, "numbers from the second frame on, and no others"
    np.testing.assert_allclose(scene.tracks.velocities_xyxy, [SPEED, [0, 0, 0, 0]], atol=6)


def test_an_unsure_box_is_shown_only_where_it_carries_on_a_track(follow):
    track = follow(live=True)
    for number in range(4):
        track(number * NEAR, (START, 0.9))
    scene = track(4 * NEAR, (START, 0.3), ([150, 10, 170, 30], 0.3))
    assert scene.tracks.ids.tolist() == [0]
    np.testing.assert_array_equal(scene.detections.boxes_xyxy, [START])


def test_boxes_stay_in_their_order_beside_their_numbers(follow):
    track = follow(live=True)
    rows = [(START, 0.9), ([150, 10, 170, 30], 0.7), ([90, 60, 120, 95], 0.3)]
    for number in range(3):
        scene = track(number * NEAR, *(rows if number % 2 == 0 else rows[:2]))
    assert scene.detections.scores.tolist() == pytest.approx([0.9, 0.7])
    assert len(scene.tracks.ids) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_frames_without_boxes_are_nothing_special(follow, count):
    track = follow(live=True)
    rows = [(START, 0.9)] * count
    for seconds in (0.0, NEAR):
        track(seconds, *rows)
    scene = track(2 * NEAR)
    assert len(scene.detections) == len(scene.tracks.ids) == 0
    assert scene.tracks.velocities_xyxy.shape == (0, 4)


@pytest.mark.parametrize("live", [True, False])
def test_an_unknown_tracker_is_named(live):
    with pytest.raises(ConfigError, match="unknown tracker 'bytetrak'; did you mean 'bytetrack'"):
        open_tracker("bytetrak", THRESHOLD, live=live)
    assert open_tracker("", THRESHOLD, live=live) is None
    assert list(TRACKERS) == ["bytetrack"]


def moving(*velocities):
    return Tracks(np.arange(len(velocities)), np.array(velocities, np.float32).reshape(-1, 4))


@pytest.mark.parametrize(
    ("velocity", "ahead_s", "expected"),
    [
        pytest.param([60, 0, 90, 30], 0.5, [[50, 40, 95, 85]], id="every edge at its own speed"),
        pytest.param([60, 0, 90, 30], 0.0, [[20, 40, 50, 70]], id="nothing at once"),
        pytest.param([0, 0, 0, 0], 9.0, [[20, 40, 50, 70]], id="what has no speed stays"),
        pytest.param([-60, 0, -60, 0], 0.5, [[0, 40, 20, 70]], id="cut off at the edge"),
        pytest.param([-60, 0, -60, 0], 1.0, [], id="gone"),
    ],
)
def test_boxes_move_on(velocity, ahead_s, expected):
    scene = make_scene(0.0, (START, 0.9), tracks=moving(velocity))
    moved = forecast(scene, ahead_s)
    np.testing.assert_allclose(moved.boxes_xyxy, np.reshape(expected, (-1, 4)), atol=1e-4)
    assert len(moved.scores) == len(moved.class_ids) == len(expected)


def test_what_cannot_be_forecast_is_told():
    with pytest.raises(ValueError, match="without; open the stream with a tracker"):
        forecast(make_scene(0.0), 0.1)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        forecast(make_scene(0.0, tracks=moving()), -1)


def test_results_carry_number_and_speed(tmp_path):
    context = SinkContext(("vehicle",), ("road",), None)
    sink = JsonlSink(tmp_path / "r.jsonl", context)
    sink.write(make_scene(0.0, (START, 0.9), tracks=moving([60.04, 0, 90, 30])))
    sink.write(make_scene(0.0, (START, 0.9)))
    sink.close()
    with_track, without = map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
    assert with_track["boxes"][0]["track"] == 0
    assert with_track["boxes"][0]["velocity_xyxy_px_s"] == [60.0, 0.0, 90.0, 30.0]
    assert "track" not in without["boxes"][0]
