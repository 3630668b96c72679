"""The lens undone on the way in and done again on the way out: places, boxes, outlines and maps in the pixels of the frame."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perception.core.camera import UNSEEN, Camera, Undistorter, build_undistorter, lens
from perception.core.errors import InputError
from perception.core.geometry import PADDING_VALUE, fit_letterbox
from perception.stages.preprocess import fit_image

BARREL = Camera(
    width_px=320, height_px=180, fx_px=290.0, fy_px=288.0, cx_px=166.0, cy_px=92.0,
    distortion=(-0.25, 0.06, 0.001, -0.001, 0.0),
)  # fmt: skip
PINCUSHION = replace(BARREL, distortion=(0.2, 0.0, 0.0, 0.0, 0.0))
FISHEYE = replace(BARREL, lens="fisheye", fx_px=200.0, fy_px=200.0, distortion=(0.05, -0.02, 0.003, -0.001))  # fmt: skip
RATIONAL = replace(BARREL, distortion=(0.3, 0.05, 0.0, 0.0, 0.01, 0.6, 0.1, 0.02))
LENSES = {"barrel": BARREL, "pincushion": PINCUSHION, "fisheye": FISHEYE, "rational": RATIONAL}
EACH_LENS = pytest.mark.parametrize("camera", LENSES.values(), ids=LENSES)
MODEL_WH = (160, 96)
SHARE = st.floats(0, 1)


def cameras():
    """Cameras whose lens can be undone all over the frame."""
    small = st.floats(-0.01, 0.01)
    pinhole = st.tuples(st.floats(-0.25, 0.25), st.floats(-0.05, 0.05), small, small, small)
    fisheye = st.tuples(st.floats(-0.1, 0.1), small, small, small)
    return st.builds(
        lambda lens_, cx, cy, focal: replace(
            BARREL, lens=lens_[0], distortion=lens_[1], cx_px=cx, cy_px=cy, fx_px=focal, fy_px=focal
        ),
        st.one_of(st.tuples(st.just("pinhole"), pinhole), st.tuples(st.just("fisheye"), fisheye)),
        st.floats(130, 190),
        st.floats(70, 110),
        st.floats(250, 400),
    )


@given(camera=cameras(), x=SHARE, y=SHARE)
def test_what_is_undistorted_and_distorted_is_where_it_was(camera, x, y):
    there = np.array([[x * 320, y * 180]])
    back = camera.distorted(camera.undistorted(there))
    assume(np.isfinite(back).all())
    np.testing.assert_allclose(back, there, atol=1e-3)


@given(camera=cameras(), x=SHARE, y=SHARE, factor=st.sampled_from([0.25, 0.5, 2.0, 3.0]))
def test_a_scaled_camera_bends_to_the_scaled_place(camera, x, y, factor):
    there = np.array([[x * 320, y * 180]])
    scaled = camera.scaled((round(320 * factor), round(180 * factor)))
    want = camera.distorted(there) * factor
    np.testing.assert_allclose(scaled.distorted(there * factor), want, rtol=1e-9, atol=1e-9)


@given(camera=cameras(), box=st.tuples(SHARE, SHARE, SHARE, SHARE))
def test_a_bent_box_just_holds_what_was_in_it(camera, box):
    x1, x2 = sorted((box[0] * 320, box[2] * 320))
    y1, y2 = sorted((box[1] * 180, box[3] * 180))
    fit = Undistorter(camera).fit((320, 180), MODEL_WH)
    [hull] = fit.bend_boxes(np.array([[x1, y1, x2, y2]], np.float32))
    grid = np.stack(np.meshgrid(np.linspace(x1, x2, 41), np.linspace(y1, y2, 41)), -1)
    inside = np.clip(camera.distorted(grid.reshape(-1, 2)), 0, (320, 180))
    want = (*inside.min(axis=0), *inside.max(axis=0))
    np.testing.assert_allclose(hull, want, atol=0.05)


@given(camera=cameras(), corner=st.tuples(SHARE, SHARE), side=st.floats(2, 60))
def test_an_outline_comes_back_and_is_bent_between_its_points(camera, corner, side):
    x, y = corner[0] * (320 - side), corner[1] * (180 - side)
    square = np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], np.float32)
    fit = Undistorter(camera).fit((320, 180), MODEL_WH)
    bent = fit.bend_outline(square)
    inner = ((bent > 0) & (bent < (320, 180))).all(axis=1)
    straight = camera.undistorted(bent[inner].astype(float))
    off = np.abs(straight - (x + side / 2, y + side / 2)).max(axis=1) - side / 2
    np.testing.assert_allclose(off, 0, atol=0.02)
    lengths = np.linalg.norm(np.roll(bent, -1, axis=0) - bent, axis=1)
    assert lengths.max() < 40


@EACH_LENS
def test_the_map_of_a_bent_picture_comes_back_to_the_pixels_of_the_frame(camera):
    # the frame is striped; the view is labelled by what it shows; back in the frame each pixel has its own stripe again
    fit = Undistorter(camera).fit((320, 180), (320, 192))
    stripes = (np.add.outer(np.arange(180) // 30, np.arange(320) // 30) % 7).astype(np.uint8)
    frame = np.repeat(stripes[..., None] * 10, 3, axis=2)
    content = np.rint(fit_image(frame, fit)[:180, :320, 0] / 10).astype(np.uint8)
    bent = fit.bend_map(fit.seen(content))
    seen = bent != UNSEEN
    whole = cv2.erode((cv2.Laplacian(stripes, cv2.CV_16S) == 0).astype(np.uint8), np.ones((5, 5)))
    judged = seen & (whole > 0)
    assert (bent == stripes)[judged].mean() > 0.999
    assert seen[90, 160]
    assert fit.unseen_share == pytest.approx((~seen).mean(), abs=0.02)


@EACH_LENS
def test_the_map_and_the_boxes_agree(camera):
    fit = Undistorter(camera).fit((320, 180), (320, 192))
    content = np.zeros((180, 320), np.uint8)
    content[60:120, 100:220] = 1
    ys, xs = np.nonzero(fit.bend_map(content) == 1)
    [hull] = fit.bend_boxes(np.array([[100, 60, 220, 120]], np.float32))
    np.testing.assert_allclose(hull, [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], atol=1.1)


@EACH_LENS
def test_one_remap_gives_the_undistorted_shrunk_and_placed_picture(camera):
    camera = camera.scaled((1280, 720))
    rng = np.random.default_rng(0)
    frame = cv2.resize(rng.integers(0, 256, (45, 80, 3), np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)  # fmt: skip
    fit = Undistorter(camera).fit((1280, 720), (640, 384))
    got = fit_image(frame, fit)
    assert got.shape == (384, 640, 3)
    centres = np.stack(np.meshgrid(np.arange(1280) + 0.5, np.arange(720) + 0.5), -1)
    place = (camera.distorted(centres.reshape(-1, 2)) - 0.5).reshape(720, 1280, 2)
    whole = cv2.remap(frame, place.astype(np.float32), None, cv2.INTER_LINEAR)
    want = fit_image(whole, fit_letterbox((1280, 720), (640, 384)))
    inside = np.ones((360, 640), bool) if fit.hollow is None else ~fit.hollow
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0
    error = np.abs(got[:360].astype(float) - want[:360])[inside]
    assert error.mean() < 0.5
    assert np.percentile(error, 99.9) < 4
    assert (got[360:] == PADDING_VALUE).all()
    hollow = cv2.erode(1 - inside.astype(np.uint8), np.ones((9, 9))) > 0
    assert (got[:360][hollow] == PADDING_VALUE).all()


def test_a_much_larger_frame_is_halved_before_and_does_not_alias():
    camera = BARREL.scaled((1280, 720))
    fit = Undistorter(camera).fit((1280, 720), (320, 192))
    assert fit.source_wh == (640, 360)
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    # the mean of four and more pixels of noise; a picture of single ones would keep its spread of 74
    assert fit_image(noise, fit)[:180].std() < 32
    assert Undistorter(camera).fit((1280, 720), (640, 384)).source_wh == (1280, 720)


def test_barrel_leaves_corners_out_and_pincushion_leaves_padding():
    barrel, pincushion = (Undistorter(c).fit((320, 180), MODEL_WH) for c in (BARREL, PINCUSHION))
    assert barrel.hollow is None
    assert 0 < barrel.unseen_share < 0.3
    assert (barrel.back[0, 0] == -1).all()
    assert pincushion.hollow is not None
    assert pincushion.hollow[0, 0]
    assert not pincushion.hollow[45, 80]
    content = np.full((90, 160), 3, np.uint8)
    assert pincushion.seen(content)[0, 0] == UNSEEN
    assert content[0, 0] == 3


def test_where_the_formula_turns_back_the_view_is_padding():
    wide = replace(BARREL, fx_px=120.0, fy_px=120.0, distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))
    # r (1 - 0.3 r^2) turns back at r = 1.054, inside the corners' 1.6
    assert lens.reach("pinhole", wide.distortion, 1.6) == pytest.approx(1.054, abs=0.003)
    assert lens.reach("pinhole", wide.distortion, 1.0) == float("inf")
    fit = Undistorter(wide).fit((320, 180), (320, 192))
    assert fit.hollow is not None
    assert fit.hollow[5, 5]
    assert not fit.hollow[90, 160]


def test_the_tables_are_made_once_for_a_size():
    undistorter = Undistorter(BARREL)
    first = undistorter.fit((320, 180), MODEL_WH)
    assert undistorter.fit((320, 180), MODEL_WH) is first
    assert undistorter.fit((640, 360), MODEL_WH) is not first


def test_frames_of_another_shape_are_refused_and_a_straight_lens_needs_nothing():
    with pytest.raises(InputError, match="another shape"):
        Undistorter(BARREL).fit((320, 200), MODEL_WH)
    assert build_undistorter(replace(BARREL, distortion=(0.0,) * 5)) is None
    assert build_undistorter(BARREL) is not None
