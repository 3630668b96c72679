"""Cameras from corners with known errors: OpenCV's own results, true values within the stated intervals, information."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perception.calibration.boards.board import Board
from perception.calibration.boards.choose import choose, warnings
from perception.calibration.boards.find import View, find_view
from perception.calibration.boards.fit import Model, fit_camera, project
from perception.calibration.boards.uncertainty import leave_out, stated
from perception.core.camera import load_camera, save_camera
from perception.core.errors import InputError
from tests.calibration.boards import scenes

MODELS = {"pinhole": (scenes.PINHOLE, Model()), "fisheye": (scenes.FISHEYE, Model("fisheye"))}


def true_values(camera):
    return np.array([camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px, *camera.distortion])


def views_of(lens, count=12, sigma_px=0.1, seed=0):
    camera, _ = MODELS[lens]
    return scenes.noisy_views(camera, scenes.poses(count, camera, seed), sigma_px, seed)


def test_values_and_deviations_are_those_of_opencv():
    views = views_of("pinhole")
    fit = choose(views, scenes.PINHOLE.size_wh, Model()).fit
    rms, matrix, coefficients, _, _, sigmas, _, per_view = cv2.calibrateCameraExtended(
        [v.points for v in views], [v.corners_px for v in views], scenes.PINHOLE.size_wh, None, None
    )
    assert len(fit.poses) == len(views)
    assert sum(len(r) for r in fit.residuals) == 54 * len(views)
    want = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], *coefficients.ravel()]
    np.testing.assert_allclose(fit.values, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fit.rms_px, rms, rtol=1e-6)
    np.testing.assert_allclose(fit.view_rms_px, per_view.ravel(), rtol=1e-4)
    np.testing.assert_allclose(fit.sigmas, sigmas.ravel()[:9], rtol=1e-3)


@pytest.mark.parametrize("lens", MODELS)
def test_true_values_lie_within_the_stated_intervals_as_often_as_they_should(lens):
    camera, model = MODELS[lens]
    off = []
    for seed in range(24):
        views = views_of(lens, 10, seed=seed)
        fit = fit_camera(views, camera.size_wh, model)
        off.append((fit.values - true_values(camera)) / fit.sigmas)
    within = [(np.abs(off) < n).mean() for n in (1, 2, 3)]
    # normal errors: 0.68, 0.95, 0.997; the values of one fit are not independent of each other
    assert 0.55 < within[0] < 0.8
    assert within[1] > 0.88
    assert within[2] > 0.98
    assert np.abs(np.mean(off, axis=0)).max() < 1.0  # no bias


@pytest.mark.parametrize("lens", MODELS)
@pytest.mark.parametrize("board", [scenes.BOARD, scenes.CHARUCO], ids=["chessboard", "charuco"])
def test_a_rendered_board_gives_the_camera_back_within_what_is_stated(lens, board):
    camera, model = MODELS[lens]
    images = [scenes.render(camera, pose, board) for pose in scenes.poses(8, camera, 1, board)]
    views = [find_view(image, f"{i}", board) for i, image in enumerate(images)]
    assert all(isinstance(view, View) for view in views)
    choice = choose(views, camera.size_wh, model)
    sigmas = stated(choice.fit, leave_out(choice.views, choice.fit))
    assert choice.fit.rms_px < 0.12
    off = choice.fit.values - true_values(camera)
    assert (np.abs(off) < 3.5 * sigmas).all(), (off / sigmas).round(1)
    assert np.abs(off[:2]).max() < 0.005 * camera.fx_px
    assert sigmas[0] < 0.005 * camera.fx_px


def test_where_corners_of_a_view_err_together_the_jackknife_says_more_than_the_formula():
    camera = scenes.PINHOLE
    bent = np.array(scenes.BOARD.points)
    bent[:, 2] += 0.004 * np.sin(
        bent[:, 0] / bent[:, 0].max() * np.pi
    )  # a board that bulges by 4 mm
    views = [
        View(f"{i}", np.arange(54), scenes.BOARD.points, scenes.project(camera, p, bent).astype(np.float32))
        for i, p in enumerate(scenes.poses(12, camera))
    ]  # fmt: skip
    choice = choose(views, camera.size_wh, Model(), keep_all=True)
    left = leave_out(choice.views, choice.fit)
    assert len(left.values) == 12
    assert (left.sigmas[:4] > choice.fit.sigmas[:4]).sum() >= 3
    assert any("bent" in line for line in warnings(choice, left.sigmas, scenes.BOARD))


def test_the_rational_model_has_eight_coefficients_and_is_used_when_asked_for():
    camera = replace(scenes.PINHOLE, distortion=(0.3, 0.1, 0.001, -0.001, 0.02, 0.55, 0.12, 0.01))
    views = scenes.noisy_views(camera, scenes.poses(12, camera), 0.05)
    five, eight = (fit_camera(views, camera.size_wh, Model(rational=r)) for r in (False, True))
    assert (len(five.values), len(eight.values)) == (9, 12)
    assert eight.rms_px <= five.rms_px
    np.testing.assert_allclose(eight.values[0], 520, rtol=0.01)


@pytest.mark.parametrize("lens", MODELS)
def test_a_fit_becomes_a_camera_file_that_puts_corners_where_they_were_seen(lens, tmp_path):
    camera, model = MODELS[lens]
    views = views_of(lens, sigma_px=0.02)
    fit = fit_camera(views, camera.size_wh, model)
    save_camera(fit.camera(source="a test", focal_sigma_px=0.3), tmp_path / "camera.toml")
    read = load_camera(tmp_path / "camera.toml")
    assert (read.height_m, read.focal_sigma_px, read.lens) == (None, 0.3, lens)
    rotation, shift = cv2.Rodrigues(fit.poses[0][0])[0], fit.poses[0][1]
    seen = scenes.project(read, (rotation, shift), views[0].points)
    assert np.abs(seen - views[0].corners_px).max() < 0.1


@pytest.mark.parametrize("lens", MODELS)
def test_the_jacobian_is_that_of_the_projection(lens):
    camera, model = MODELS[lens]
    fit = fit_camera(views_of(lens, 6), camera.size_wh, model)
    seen, jacobian = project(scenes.BOARD.points, fit.poses[0], fit.values, model)
    assert jacobian.shape == (108, len(fit.values) + 6)
    for i in range(len(fit.values)):
        step = np.zeros(len(fit.values))
        step[i] = 1e-6 * max(1.0, abs(fit.values[i]))
        moved = project(scenes.BOARD.points, fit.poses[0], fit.values + step, model)[0]
        np.testing.assert_allclose(jacobian[:, i], ((moved - seen) / step[i]).ravel(), rtol=2e-3, atol=2e-3)  # fmt: skip


def test_a_second_picture_of_the_same_pose_tells_less_than_another_pose():
    poses = scenes.poses(8, scenes.PINHOLE)
    same = fit_camera(scenes.noisy_views(scenes.PINHOLE, [*poses[:7], poses[6]], 0.1), scenes.PINHOLE.size_wh, Model())  # fmt: skip
    other = fit_camera(
        scenes.noisy_views(scenes.PINHOLE, poses, 0.1), scenes.PINHOLE.size_wh, Model()
    )
    assert (same.bits > 0).all()
    assert same.bits[7] < other.bits[7]
    np.testing.assert_allclose(same.bits[6], same.bits[7], rtol=0.1)
    fewer = fit_camera(
        scenes.noisy_views(scenes.PINHOLE, poses[:5], 0.1), scenes.PINHOLE.size_wh, Model()
    )
    assert (
        fewer.sigmas[:4] / fewer.corner_sigma_px > other.sigmas[:4] / other.corner_sigma_px
    ).all()


def test_views_that_determine_no_camera_are_refused_in_one_line():
    square_on = [(np.eye(3), np.array([x, 0.0, 0.6])) for x in (-0.2, -0.19, -0.18)]
    views = scenes.noisy_views(scenes.FISHEYE, square_on, 0.1)
    views = [view.without(np.arange(54) % 9 > 0) for view in views]  # one column: a line
    with pytest.raises(InputError, match="no fisheye camera fits the 3 views") as told:
        fit_camera(views, scenes.FISHEYE.size_wh, Model("fisheye"))
    assert "\n" not in str(told.value)


def test_lengths_of_a_board_of_unknown_size_count_in_squares():
    board = Board(columns=9, rows=6)
    views = [replace_points(view, board) for view in views_of("pinhole")]
    known = fit_camera(views_of("pinhole"), scenes.PINHOLE.size_wh, Model())
    unknown = fit_camera(views, scenes.PINHOLE.size_wh, Model())
    np.testing.assert_allclose(unknown.values, known.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(unknown.poses[0][1], known.poses[0][1] / 0.04, rtol=1e-3, atol=1e-3)


def replace_points(view, board):
    return View(view.name, view.ids, board.points, view.corners_px)
