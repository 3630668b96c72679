"""Fitting a frame into the engine's input and back, for any frame size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.errors import ConfigError
from perception.core.geometry import (
    SIZE_MULTIPLE,
    Letterbox,
    box_iou,
    boxes_to_frame,
    boxes_to_model,
    choose_model_size,
    fit_letterbox,
    parse_size,
)

SIDES = st.integers(1, 4000)
SIZES = st.tuples(SIDES, SIDES)
MODEL_SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60)).map(
    lambda size: (SIZE_MULTIPLE * size[0], SIZE_MULTIPLE * size[1])
)
COORDINATES = st.floats(0, 100, width=32)
BOXES = st.lists(
    st.tuples(COORDINATES, COORDINATES, COORDINATES, COORDINATES), min_size=1, max_size=6
).map(
    lambda rows: np.array(
        [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in rows], np.float32
    )
)


def _area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def slow_iou(a, b):
    """Intersection over union of two boxes, as the words say it."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    union = _area(a) + _area(b) - overlap
    return overlap / union if union > 0 else 0.0


@given(frame_wh=SIZES, model_wh=MODEL_SIZES)
def test_the_content_lies_inside_the_model_input_and_is_never_enlarged(frame_wh, model_wh):
    box = fit_letterbox(frame_wh, model_wh)
    for content, frame, model in zip(box.content_wh, frame_wh, model_wh, strict=True):
        assert 1 <= content <= min(model, max(frame, 1))


@given(frame_wh=SIZES, model_wh=MODEL_SIZES)
def test_the_fit_keeps_the_aspect_to_the_pixel(frame_wh, model_wh):
    box = fit_letterbox(frame_wh, model_wh)
    scale = min(model_wh[0] / frame_wh[0], model_wh[1] / frame_wh[1], 1.0)
    for content, frame in zip(box.content_wh, frame_wh, strict=True):
        assert abs(content - frame * scale) <= 0.5 + 1e-9 or content == 1


@given(frame_wh=SIZES, model_wh=MODEL_SIZES)
def test_letterbox_round_trip_returns_the_same_box(frame_wh, model_wh):
    box = fit_letterbox(frame_wh, model_wh)
    width, height = frame_wh
    corners = np.array(
        [[0, 0, width, height], [width / 4, height / 4, width / 2, height / 2]], np.float32
    )
    there_and_back = boxes_to_frame(boxes_to_model(corners, box), box)
    np.testing.assert_allclose(there_and_back, corners, rtol=1e-5, atol=1e-3)


@given(frame_wh=SIZES, model_wh=MODEL_SIZES)
def test_the_whole_frame_maps_onto_the_whole_content(frame_wh, model_wh):
    box = fit_letterbox(frame_wh, model_wh)
    whole = boxes_to_model(np.array([[0, 0, *frame_wh]], np.float32), box)
    np.testing.assert_allclose(whole, [[0, 0, *box.content_wh]], rtol=1e-5)


@given(frame_wh=SIZES, model_wh=MODEL_SIZES)
def test_boxes_from_the_padding_are_clipped_to_the_frame(frame_wh, model_wh):
    box = fit_letterbox(frame_wh, model_wh)
    outside = np.array([[-50, -50, model_wh[0] + 50, model_wh[1] + 50]], np.float32)
    mapped = boxes_to_frame(outside, box)
    np.testing.assert_array_equal(mapped[:, :2], 0)
    assert (mapped[:, 2:] <= np.array(frame_wh, np.float32)).all()


@given(frame_wh=SIZES, max_pixels=st.integers(SIZE_MULTIPLE**2, 4_000_000))
def test_the_chosen_engine_size_is_the_scaled_frame_rounded_up(frame_wh, max_pixels):
    model_wh = choose_model_size(frame_wh, max_pixels)
    scale = min(1.0, (max_pixels / (frame_wh[0] * frame_wh[1])) ** 0.5)
    for model, frame in zip(model_wh, frame_wh, strict=True):
        assert model % SIZE_MULTIPLE == 0
        assert model >= SIZE_MULTIPLE
        assert -0.5 - 1e-6 <= model - frame * scale < SIZE_MULTIPLE + 0.5


@pytest.mark.parametrize(
    ("frame_wh", "model_wh"),
    [
        pytest.param((1242, 375), (1248, 384), id="kitti"),
        pytest.param((480, 360), (480, 384), id="camvid"),
        pytest.param((1248, 384), (1248, 384), id="fits exactly"),
        pytest.param((1920, 1080), (928, 544), id="scaled down to 1248 x 384 pixels"),
        pytest.param((1, 1), (32, 32), id="one pixel"),
    ],
)
def test_engine_sizes_of_known_cameras(frame_wh, model_wh):
    assert choose_model_size(frame_wh, 1248 * 384) == model_wh


def test_no_boxes_map_to_no_boxes():
    box = Letterbox((100, 50), (50, 25), (64, 32))
    empty = np.zeros((0, 4), np.float32)
    assert boxes_to_model(empty, box).shape == (0, 4)
    assert boxes_to_frame(empty, box).shape == (0, 4)
    assert boxes_to_frame(empty, box).dtype == np.float32


@pytest.mark.parametrize("text", ["1248x384", "1248X384"])
def test_a_size_is_read_as_width_and_height(text):
    assert parse_size(text) == (1248, 384)


def test_a_frame_may_have_any_size():
    assert parse_size("1241x1", 1) == (1241, 1)
    with pytest.raises(ConfigError, match="multiples of 1; try 5x1"):
        parse_size("5x0", 1)


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        pytest.param("1242x375", "try 1248x384", id="no multiples of 32"),
        pytest.param("0x0", "try 32x32", id="zero"),
        pytest.param("1248", "expected WIDTHxHEIGHT", id="one number"),
        pytest.param("-32x32", "expected WIDTHxHEIGHT", id="negative"),
        pytest.param("axb", "expected WIDTHxHEIGHT", id="words"),
        pytest.param("3\u00b2x32", "expected WIDTHxHEIGHT", id="superscript digit"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_the_way_out(text, way_out):
    with pytest.raises(ConfigError, match=way_out):
        parse_size(text)


@given(a=BOXES, b=BOXES)
def test_iou_of_every_pair_equals_the_slow_reference(a, b):
    want = [[slow_iou(one, other) for other in b.tolist()] for one in a.tolist()]
    got = box_iou(a, b)
    assert got.dtype == np.float32
    # what is thinner than float32 resolves is left out: there both are rounding noise
    solid = (np.array([[_area(x) > 1e-2 for _ in b] for x in a])) & np.array(
        [[_area(x) > 1e-2 for x in b] for _ in a]
    )
    np.testing.assert_allclose(got[solid], np.array(want, np.float32)[solid], atol=2e-3)


@given(boxes=BOXES)
def test_iou_is_symmetric_and_between_zero_and_one(boxes):
    iou = box_iou(boxes, boxes)
    np.testing.assert_array_equal(iou, iou.T)
    assert ((iou >= 0) & (iou <= 1 + 1e-6)).all()


def test_iou_with_an_empty_box_or_no_boxes_is_zero_or_empty():
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert box_iou(point, point).tolist() == [[0.0]]
    assert box_iou(np.zeros((0, 4), np.float32), point).shape == (0, 1)
