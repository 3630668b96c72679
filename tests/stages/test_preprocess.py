"""A frame of any size becomes the engine's input, without a copy where none is needed."""

import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.errors import InputError
from perception.core.geometry import PADDING_VALUE, choose_model_size, fit_letterbox
from perception.core.types import Frame
from perception.stages.preprocess import fit_image, preprocess, shrink

FRAME_SIZES = st.tuples(st.integers(1, 2000), st.integers(1, 1500))
MODEL_SIZES = st.tuples(st.integers(1, 10), st.integers(1, 10)).map(
    lambda n: (32 * n[0], 32 * n[1])
)


def frame_of(image):
    return Frame(image, 0, time.monotonic_ns())


@given(frame_wh=FRAME_SIZES, model_wh=MODEL_SIZES)
def test_any_frame_fills_its_content_and_the_rest_is_padding(frame_wh, model_wh):
    fed = preprocess(frame_of(np.full((frame_wh[1], frame_wh[0], 3), 7, np.uint8)), model_wh)
    assert fed.feed.shape == (1, model_wh[1], model_wh[0], 3)
    assert fed.feed.dtype == np.uint8
    assert fed.feed.flags.c_contiguous
    width, height = fed.box.content_wh
    assert (fed.feed[0, :height, :width] == 7).all()
    assert (fed.feed[0, height:] == PADDING_VALUE).all()
    assert (fed.feed[0, :, width:] == PADDING_VALUE).all()


def test_a_frame_of_the_engine_size_is_not_copied():
    image = np.zeros((64, 96, 3), np.uint8)
    assert np.shares_memory(preprocess(frame_of(image), (96, 64)).feed, image)


def test_a_frame_that_is_only_padded_keeps_its_pixels():
    image = np.random.default_rng(0).integers(0, 256, (47, 93, 3), np.uint8)
    before = image.copy()
    fed = preprocess(frame_of(image), (96, 64))
    np.testing.assert_array_equal(fed.feed[0, :47, :93], before)
    np.testing.assert_array_equal(image, before)


def test_a_padded_feed_is_fresh_each_time_so_that_two_can_be_on_their_way():
    image = np.zeros((47, 93, 3), np.uint8)
    feeds = [preprocess(frame_of(image), (96, 64)).feed for _ in range(2)]
    assert not np.shares_memory(*feeds)


def test_a_frame_that_the_device_fits_is_not_touched():
    image = np.zeros((480, 640, 3), np.uint8)
    box = fit_letterbox((640, 480), (96, 64))
    fed = preprocess(frame_of(image), (96, 64), box)
    assert fed.feed.shape == (1, 480, 640, 3)
    assert np.shares_memory(fed.feed, image)
    assert fed.box is box


@pytest.mark.parametrize(
    ("size_wh", "to_wh"),
    [
        pytest.param((640, 480), (320, 240), id="half"),
        pytest.param((1280, 720), (256, 144), id="fifth"),
        pytest.param((641, 479), (250, 187), id="odd"),
    ],
)
def test_shrinking_is_as_free_of_aliasing_as_the_area_filter(size_wh, to_wh):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    area = cv2.resize(noise, to_wh, interpolation=cv2.INTER_AREA).astype(float)
    got = shrink(noise, to_wh).astype(float)
    # the noise that is left: plain linear interpolation keeps three times that of the area filter at a fifth
    assert got.std() < 1.5 * area.std()
    assert abs(got.mean() - area.mean()) < 1.0


def test_a_class_of_one_channel_keeps_its_axis():
    box = fit_letterbox((200, 100), (96, 64))
    assert fit_image(np.zeros((100, 200, 1), np.uint8), box).shape == (64, 96, 1)


@given(frame_wh=FRAME_SIZES)
def test_the_chosen_engine_size_takes_a_small_frame_without_resizing(frame_wh):
    model_wh = choose_model_size(frame_wh, 10**9)
    assert fit_letterbox(frame_wh, model_wh).content_wh == frame_wh


def test_a_fit_on_the_device_is_for_frames_of_one_size():
    box = fit_letterbox((200, 100), (96, 64))
    with pytest.raises(InputError, match=r"expected 200x100, for .* got 201x100"):
        preprocess(frame_of(np.zeros((100, 201, 3), np.uint8)), (96, 64), box)
