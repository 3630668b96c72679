"""Real boards: a dashcam and a stereo pair."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.calibration.boards.board import Board
from perception.calibration.boards.choose import choose
from perception.calibration.boards.fit import Model
from perception.calibration.boards.gather import from_pictures, picture_paths
from perception.calibration.boards.stereo import disagreements, fit_stereo, pair_up
from perception.calibration.boards.uncertainty import calibrate_views
from perception.core.camera import load_camera

pytestmark = pytest.mark.data
BOARDS = Path(os.environ["PERCEPTION_DATA"]) / "calibration"
SHIPPED = Path(__file__).parents[3] / "calib" / "cameras"
BOARD = Board(columns=9, rows=6, square_mm=24.23)


def gathered(pattern):
    return from_pictures(picture_paths([str(BOARDS / pattern)]), BOARD)


@pytest.fixture(scope="module")
def dashcam():
    return gathered("udacity_dashcam/camera_cal")


@pytest.fixture(scope="module")
def pair():
    return [gathered(f"stereo_640x360/{side}*.jpg") for side in ("left", "right")]


def test_the_dashcam_fits_to_0_9_px_and_says_why_pictures_are_left_out(dashcam):
    reasons = {s.name: s.reason for s in dashcam.skipped}
    assert set(reasons) == {f"calibration{i}.jpg" for i in (1, 4, 5, 7)}
    assert "9x5 corners are seen: cut off" in reasons["calibration1.jpg"]
    assert "board cut off: a corner lies" in reasons["calibration4.jpg"]
    assert reasons["calibration7.jpg"] == "is 1281x721, the others 1280x720"
    done = calibrate_views(dashcam, BOARD, Model())
    assert done.fit.rms_px <= 0.9
    # no value moves by more than three of its stated deviations when any one view is left out
    assert len(done.left_out.values) == 10
    assert (np.abs(done.left_out.values - done.fit.values) < 3 * done.sigmas).all()
    assert any("bent" in line for line in done.warnings)


@pytest.mark.parametrize("which", ["dashcam", "left", "right"])
def test_where_nothing_is_rejected_the_result_is_that_of_a_plain_call(which, dashcam, pair):
    found = dashcam if which == "dashcam" else pair[which == "right"]
    fit = choose(found.views, found.size_wh, Model(), keep_all=True).fit
    views = found.views
    rms, matrix, coefficients, *_ = cv2.calibrateCamera(
        [v.points for v in views], [v.corners_px for v in views], found.size_wh, None, None
    )
    want = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], *coefficients.ravel()]
    np.testing.assert_allclose(fit.values, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fit.rms_px, rms, rtol=1e-5)


def test_both_stereo_cameras_fit_and_agree(pair):
    left, right = (calibrate_views(found, BOARD, Model()) for found in pair)
    assert left.fit.rms_px <= 0.2
    assert right.fit.rms_px <= 0.2
    names = pair_up(*(picture_paths([str(BOARDS / f"stereo_640x360/{s}*.jpg")]) for s in ("left", "right")))  # fmt: skip
    stereo = fit_stereo(left.choice, right.choice, names, BOARD)
    sigmas = left.sigmas[0], right.sigmas[0]
    assert disagreements(stereo, left.fit, right.fit, sigmas, BOARD) == []
    assert stereo.baseline_sigma_m < 0.01 * stereo.baseline_m
    assert stereo.epipolar_rms_px < 0.4
    shipped = load_camera(SHIPPED / "stereo_right.toml")
    np.testing.assert_allclose(shipped.lateral_m, stereo.position_m[0], atol=1e-4)
    np.testing.assert_allclose(shipped.fx_px, right.fit.values[0], rtol=1e-4)
