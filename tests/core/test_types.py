"""The records that cross folder borders check themselves; empty is valid."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from perception.core.types import Detections, Frame, Scene, Truth


def _frame(width=6, height=4):
    return Frame(np.zeros((height, width, 3), np.uint8), frame_id=7, captured_ns=1)


def _detections(count=0):
    return Detections(
        np.zeros((count, 4), np.float32), np.zeros(count, np.float32), np.zeros(count, np.int64)
    )


def test_a_frame_tells_width_before_height():
    assert _frame(width=6, height=4).size_wh == (6, 4)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((4, 6), np.uint8), id="grey"),
        pytest.param(np.zeros((4, 6, 4), np.uint8), id="with alpha"),
        pytest.param(np.zeros((4, 6, 3), np.float32), id="float"),
    ],
)
def test_a_frame_refuses_what_is_not_a_colour_picture(image):
    with pytest.raises(ValueError, match=r"Frame\.image: expected uint8"):
        Frame(image, frame_id=0, captured_ns=0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_detections_know_how_many_they_are(count):
    assert len(_detections(count)) == count


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("boxes_xyxy", np.zeros((2, 5), np.float32), id="five numbers a box"),
        pytest.param("scores", np.zeros(1, np.float32), id="one score for two boxes"),
        pytest.param("class_ids", np.zeros(3, np.int64), id="three classes for two boxes"),
        pytest.param("class_ids", np.zeros(2, np.int32), id="class ids of the graph's type"),
    ],
)
def test_detections_refuse_parts_that_do_not_belong_together(field, value):
    parts = {
        "boxes_xyxy": np.zeros((2, 4), np.float32),
        "scores": np.zeros(2, np.float32),
        "class_ids": np.zeros(2, np.int64),
    }
    with pytest.raises(ValueError, match=rf"Detections\.{field}"):
        Detections(**(parts | {field: value}))


def test_a_truth_refuses_classes_that_are_not_one_a_box():
    assert _frame().truth is None
    with pytest.raises(ValueError, match=r"Truth\.class_ids: expected int64\[2\]"):
        Truth(np.zeros((2, 4), np.float32), np.zeros(1, np.int64))


def test_a_scene_without_boxes_and_road_is_valid():
    frame = _frame()
    scene = Scene(frame, _detections(), np.zeros((4, 6), np.uint8), (), finished_ns=2)
    assert scene.road_outline == ()


def test_a_scene_refuses_a_class_map_of_another_size_than_its_frame():
    with pytest.raises(ValueError, match=r"Scene\.class_map: expected uint8\[4, 6\]"):
        Scene(_frame(), _detections(), np.zeros((6, 4), np.uint8), (), finished_ns=2)


def test_a_scene_refuses_an_outline_that_is_no_list_of_points():
    outline = (np.zeros((5, 3), np.float32),)
    with pytest.raises(ValueError, match=r"Scene\.road_outline"):
        Scene(_frame(), _detections(), np.zeros((4, 6), np.uint8), outline, finished_ns=2)


def test_records_cannot_be_changed():
    frame = _frame()
    with pytest.raises(FrozenInstanceError):
        frame.frame_id = 8
