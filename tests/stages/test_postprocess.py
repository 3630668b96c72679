"""Outputs of the graph become a scene in the frame's own pixels, whatever its size."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.geometry import boxes_to_model, choose_model_size, fit_letterbox, map_to_frame
from perception.core.labels import MAP_CLASSES, ROAD
from perception.core.types import Frame
from perception.stages.drivable import road_outline
from perception.stages.postprocess import Reading, postprocess
from perception.stages.preprocess import preprocess

SIZES = st.tuples(st.integers(1, 2000), st.integers(1, 1500))
READING = Reading(0.5, ROAD)


def graph_outputs(model_wh, boxes, scores, class_map=None):
    count = len(scores)
    if class_map is None:
        class_map = np.full((model_wh[1], model_wh[0]), ROAD, np.uint8)
    return {
        "boxes_xyxy": np.array(boxes, np.float32).reshape(1, count, 4),
        "scores": np.array(scores, np.float32)[None],
        "class_ids": np.arange(count, dtype=np.int32)[None] % 3,
        "class_map": class_map[None],
    }


def frame_of_size(size_wh):
    return Frame(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), 7, time.monotonic_ns())


@given(frame_wh=SIZES, max_pixels=st.integers(1_000, 500_000), data=st.data())
def test_any_frame_gets_its_boxes_and_map_back_in_its_own_pixels(frame_wh, max_pixels, data):
    frame = frame_of_size(frame_wh)
    model_wh = choose_model_size(frame_wh, max_pixels)
    box = preprocess(frame, model_wh).box
    share = data.draw(
        st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4).filter(
            lambda s: abs(s[0] - s[2]) > 0.01 and abs(s[1] - s[3]) > 0.01
        )
    )
    x1, x2 = sorted((share[0] * frame_wh[0], share[2] * frame_wh[0]))
    y1, y2 = sorted((share[1] * frame_wh[1], share[3] * frame_wh[1]))
    there = np.array([[x1, y1, x2, y2]], np.float32)
    outputs = graph_outputs(model_wh, boxes_to_model(there, box), [0.9])
    scene = postprocess(frame, outputs, box, READING)
    np.testing.assert_allclose(scene.detections.boxes_xyxy, there, rtol=1e-4, atol=0.5)
    assert scene.class_map.shape == (frame_wh[1], frame_wh[0])
    assert (scene.class_map == ROAD).all()
    for polygon in scene.road_outline:
        assert (polygon >= 0).all()
        assert (polygon <= np.array(frame_wh)).all()


def test_boxes_below_the_threshold_are_not_shown_and_one_at_it_is():
    box = fit_letterbox((64, 32), (64, 32))
    boxes = [[0, 0, 9, 9], [1, 1, 9, 9], [2, 2, 9, 9]]
    outputs = graph_outputs((64, 32), boxes, [0.75, 0.5, 0.25])
    found = postprocess(frame_of_size((64, 32)), outputs, box, READING).detections
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.class_ids.tolist() == [0, 1]
    assert found.class_ids.dtype == np.int64


@pytest.mark.parametrize(
    ("raw", "clipped"),
    [
        pytest.param([-9, -9, 20, 20], [[0, 0, 20, 20]], id="over-the-corner"),
        pytest.param([50, 20, 70, 40], [[50, 20, 60, 30]], id="into-the-padding"),
        pytest.param([61, 5, 64, 9], [], id="in-the-padding-alone"),
        pytest.param([20, 31, 30, 32], [], id="below-the-frame"),
    ],
)
def test_boxes_are_clipped_to_the_frame_and_go_where_nothing_is_left(raw, clipped):
    box = fit_letterbox((60, 30), (64, 32))
    outputs = graph_outputs((64, 32), [raw], [0.9])
    found = postprocess(frame_of_size((60, 30)), outputs, box, READING).detections
    assert found.boxes_xyxy.tolist() == clipped


def test_no_box_at_all_is_a_scene_too():
    box = fit_letterbox((64, 32), (64, 32))
    scene = postprocess(
        frame_of_size((64, 32)), graph_outputs((64, 32), [[0] * 4], [0.0]), box, READING
    )
    assert len(scene.detections) == 0


def test_each_pixel_of_the_frame_takes_the_class_at_its_centre():
    content = np.arange(15, dtype=np.uint8).reshape(3, 5)
    centre = np.arange(8) + 0.5
    rows, columns = (centre * 3 / 8).astype(int), (centre * 5 / 8).astype(int)
    np.testing.assert_array_equal(map_to_frame(content, (8, 8)), content[np.ix_(rows, columns)])


def test_an_engine_that_knows_no_road_gives_no_outline():
    box = fit_letterbox((64, 32), (64, 32))
    outputs = graph_outputs((64, 32), [[0] * 4], [0.0])
    scene = postprocess(frame_of_size((64, 32)), outputs, box, Reading(0.5, None))
    assert scene.road_outline == ()


def test_how_outputs_are_read_comes_from_the_manifest(tiny_engine):
    reading = Reading.of(tiny_engine.manifest)
    assert reading == Reading(0.5, MAP_CLASSES.index("road"))


# --- the outline ---------------------------------------------------------------------------------------------------------


def map_with(*rectangles, size_wh=(100, 60)):
    class_map = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    for x1, y1, x2, y2 in rectangles:
        class_map[y1:y2, x1:x2] = ROAD
    return class_map


def test_the_outline_goes_through_the_centres_of_the_border_pixels():
    (polygon,) = road_outline(map_with((10, 20, 50, 40)), ROAD)
    assert sorted(map(tuple, polygon.tolist())) == [
        (10.5, 20.5), (10.5, 39.5), (49.5, 20.5), (49.5, 39.5),
    ]  # fmt: skip


def test_outlines_come_largest_first_and_specks_are_left_out():
    class_map = map_with((0, 0, 10, 10), (20, 0, 90, 50), (95, 55, 97, 57))
    widths = [np.ptp(p[:, 0]) for p in road_outline(class_map, ROAD)]
    assert widths == [69.0, 9.0]


def test_an_outline_of_a_smaller_map_is_scaled_to_the_frame():
    plain = road_outline(map_with((10, 20, 50, 40)), ROAD)[0]
    scaled = road_outline(map_with((10, 20, 50, 40)), ROAD, (0.5, 0.25))[0]
    np.testing.assert_allclose(scaled, plain * (2, 4))


@pytest.mark.parametrize(
    "class_map",
    [
        pytest.param(np.zeros((20, 30), np.uint8), id="no-road"),
        pytest.param(np.zeros((0, 0), np.uint8), id="empty"),
        pytest.param(np.full((1, 1), ROAD, np.uint8), id="one-pixel"),
        pytest.param(np.full((1, 40), ROAD, np.uint8), id="one-row"),
    ],
)
def test_where_there_is_no_area_there_is_no_outline(class_map):
    assert road_outline(class_map, ROAD) == ()
