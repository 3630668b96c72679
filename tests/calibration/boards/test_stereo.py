"""Two cameras with a known pose between them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.calibration.boards.board import Board
from perception.calibration.boards.choose import choose
from perception.calibration.boards.fit import Model
from perception.calibration.boards.stereo import (
    check_stereo,
    disagreements,
    fit_stereo,
    pair_up,
)
from perception.core.camera.rotation import rotation_matrix
from perception.core.errors import ConfigError, InputError
from tests.calibration.boards import scenes

LEFT = scenes.PINHOLE
RIGHT = replace(scenes.PINHOLE, fx_px=524.0, cx_px=312.0)
TURN_DEG = (-1.5, 0.4, 0.7)  # yaw, pitch, roll of the right camera in the left one's axes
PLACE_M = np.array([0.12, 0.004, -0.006])
NAMES = {f"view {i}": f"view {i}" for i in range(12)}


def right_pose(pose):
    rotation, shift = pose
    right_from_left = rotation_matrix(*TURN_DEG).T
    return right_from_left @ rotation, right_from_left @ (shift - PLACE_M)


@pytest.fixture(scope="module")
def choices():
    poses = scenes.poses(12, LEFT)
    left = scenes.noisy_views(LEFT, poses, 0.1, seed=1)
    right = scenes.noisy_views(RIGHT, [right_pose(p) for p in poses], 0.1, seed=2)
    return choose(left, LEFT.size_wh, Model()), choose(right, RIGHT.size_wh, Model())


def test_the_pose_between_the_cameras_comes_back(choices):
    stereo = fit_stereo(*choices, NAMES, scenes.BOARD)
    length = np.linalg.norm(PLACE_M)
    assert 0 < stereo.baseline_sigma_m < 0.001
    assert abs(stereo.baseline_m - length) < 4 * stereo.baseline_sigma_m + 1e-4
    np.testing.assert_allclose(stereo.position_m, PLACE_M, atol=0.001)
    np.testing.assert_allclose(stereo.angles_deg, TURN_DEG, atol=0.5)
    assert stereo.epipolar_rms_px < 0.2
    np.testing.assert_allclose(np.median(stereo.pair_baselines_m), length, rtol=0.01)
    np.testing.assert_allclose(stereo.squares_mm.mean(), 40.0, rtol=0.005)
    fits = [choice.fit for choice in choices]
    assert disagreements(stereo, *fits, (1.0, 1.0), scenes.BOARD) == []


def test_the_second_camera_is_mounted_beside_the_first(choices):
    stereo = fit_stereo(*choices, NAMES, scenes.BOARD)
    camera = stereo.mounted(choices[1].fit.camera(source="", focal_sigma_px=1.0))
    np.testing.assert_allclose((camera.lateral_m, camera.forward_m), PLACE_M[[0, 2]], atol=0.001)
    assert camera.height_m is None
    # with a height, both files put a point of the road where each camera sees it
    left = replace(choices[0].fit.camera(source="", focal_sigma_px=1.0), height_m=1.5)
    right = replace(camera, height_m=1.5 - PLACE_M[1])
    there = np.array([[1.0, 12.0]])
    apart = right.undistorted(right.distorted(right.image_points(there))) - left.image_points(there)
    in_left = np.array([1.0, 1.5, 12.0])
    in_right = rotation_matrix(*stereo.angles_deg).T @ (in_left - stereo.position_m)
    want = [c.image_from_camera @ p for c, p in ((right, in_right), (left, in_left))]
    want = want[0][:2] / want[0][2] - want[1][:2] / want[1][2]
    np.testing.assert_allclose(apart[0], want, atol=0.5)


def test_pictures_that_are_paired_wrongly_contradict_each_other(choices):
    shuffled = {f"view {i}": f"view {(i + 1) % 12}" for i in range(12)}
    stereo = fit_stereo(*choices, shuffled, scenes.BOARD)
    fits = [choice.fit for choice in choices]
    lines = disagreements(stereo, *fits, (1.0, 1.0), scenes.BOARD)
    assert any("epipolar" in line for line in lines)


def test_exchanged_cameras_and_different_zooms_are_told(choices):
    left, right = choices
    lines = disagreements(
        fit_stereo(right, left, NAMES, scenes.BOARD), right.fit, left.fit, (0.5, 0.5), scenes.BOARD
    )
    assert any("left of the first" in line for line in lines)
    zoomed = replace(right.fit, values=right.fit.values * ([1.1, 1.1] + [1.0] * 7))
    stereo = fit_stereo(left, right, NAMES, scenes.BOARD)
    lines = disagreements(stereo, left.fit, zoomed, (0.5, 0.5), scenes.BOARD)
    assert any("focal lengths differ" in line for line in lines)


def test_too_few_pairs_are_refused(choices):
    with pytest.raises(InputError, match="2 pairs"):
        fit_stereo(*choices, {f"view {i}": f"view {i}" for i in range(2)}, scenes.BOARD)


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        pytest.param(["left1", "left10"], ["right1", "right10"], 2, id="numbers"),
        pytest.param(["a", "b"], ["b", "c"], 1, id="names"),
        pytest.param(["cam0_007", "cam0_008"], ["cam1_008", "cam1_7"], 2, id="last numbers"),
    ],
)
def test_pictures_are_paired_by_their_names(left, right, pairs):
    paths = ([Path(f"{name}.png") for name in names] for names in (left, right))
    assert len(pair_up(*paths)) == pairs


def test_names_that_do_not_pair_are_refused():
    with pytest.raises(InputError, match="no pairs by name"):
        pair_up([Path("one.png"), Path("two.png")], [Path("three.png"), Path("four.png")])


@pytest.mark.parametrize(
    ("board", "lens", "told"),
    [
        pytest.param(Board(columns=9, rows=6), "pinhole", "expected --square-mm", id="no size"),
        pytest.param(scenes.BOARD, "fisheye", "expected pinhole cameras", id="fisheye"),
        pytest.param(Board(columns=8, rows=6, square_mm=9), "pinhole", "upside down", id="symmetric"),
    ],
)  # fmt: skip
def test_what_a_pair_cannot_be_calibrated_with_is_refused(board, lens, told):
    with pytest.raises(ConfigError, match=told):
        check_stereo(board, lens)


def test_views_of_a_pair_keep_the_corners_that_both_see(choices):
    left, right = choices
    views = (left.views[0].without(left.views[0].ids < 9), *left.views[1:])
    stereo = fit_stereo(replace(left, views=views), right, NAMES, scenes.BOARD)
    np.testing.assert_array_equal(stereo.pairs[0].left.ids, stereo.pairs[0].right.ids)
    assert cv2.norm(stereo.rotation @ stereo.rotation.T - np.eye(3)) < 1e-9
