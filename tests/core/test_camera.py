"""Cameras: strict files, the road plane in metres, scaling, the view from above."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perception.core.camera import (
    OUTSIDE_PX,
    Camera,
    GroundGrid,
    camera_from_projection,
    load_camera,
    resample,
)
from perception.core.errors import ConfigError, ExitCode

EXAMPLE = Path(__file__).parents[2] / "calib" / "cameras" / "kitti_2011_09_26.toml"
LEVEL = Camera(
    width_px=1200, height_px=400, fx_px=700.0, fy_px=720.0, cx_px=599.5, cy_px=199.5, height_m=1.5
)
CAMERAS = st.builds(
    Camera,
    width_px=st.just(1242),
    height_px=st.just(375),
    fx_px=st.floats(300, 1500),
    fy_px=st.floats(300, 1500),
    cx_px=st.floats(500, 700),
    cy_px=st.floats(120, 250),
    height_m=st.floats(0.8, 3),
    pitch_deg=st.floats(-8, 8),
    roll_deg=st.floats(-5, 5),
    yaw_deg=st.floats(-20, 20),
    lateral_m=st.floats(-2, 2),
    forward_m=st.floats(-2, 2),
)
PIXELS = st.tuples(st.floats(0, 1242), st.floats(0, 375))


def test_a_level_camera_sees_a_ground_point_where_similar_triangles_say():
    # 3 m to the right and 12 m ahead, 1.5 m below: 700 * 3 / 12 and 720 * 1.5 / 12 px from the principal point
    points = LEVEL.image_points(np.array([[3.0, 12.0], [0.0, 24.0]]))
    np.testing.assert_allclose(points, [[600 + 175, 200 + 90], [600, 200 + 45]])


def test_the_half_pixel_between_centres_and_edges_is_added_once():
    np.testing.assert_allclose(LEVEL.image_from_camera[:2, 2], [600.0, 200.0])


@pytest.mark.parametrize(
    ("change", "moves_px"),
    [
        pytest.param({"pitch_deg": 1.0}, (0, 1), id="looking up moves the road down"),
        pytest.param({"yaw_deg": 1.0}, (-1, 0), id="looking right moves the road left"),
        pytest.param({"lateral_m": 0.5}, (-1, 0), id="standing right moves the road left"),
        pytest.param({"height_m": 1.6}, (0, 1), id="standing higher moves the road down"),
        pytest.param({"forward_m": 2.0}, (0, 1), id="standing ahead moves the road down"),
        pytest.param({"roll_deg": 1.0}, (1, 0), id="leaning right moves the road below right"),
    ],
)
def test_the_signs_of_the_mounting(change, moves_px):
    ahead = np.array([[0.0, 10.0]])
    moved = (replace(LEVEL, **change).image_points(ahead) - LEVEL.image_points(ahead))[0]
    for direction, got in zip(moves_px, moved, strict=True):
        if direction:
            assert got * direction > 1


def test_leaning_to_the_right_makes_what_is_level_rise_to_the_right():
    camera = replace(LEVEL, roll_deg=3.0)
    left, right = camera.image_points(np.array([[-5.0, 20.0], [5.0, 20.0]]))
    assert right[1] < left[1]


@given(camera=CAMERAS, pixel=PIXELS)
def test_a_pixel_on_the_road_comes_back_to_itself(camera, pixel):
    ground = camera.ground_points(np.array([pixel]))
    assume(np.isfinite(ground).all() and np.abs(ground).max() < 200)
    np.testing.assert_allclose(camera.image_points(ground), [pixel], atol=1e-4)


@given(camera=CAMERAS, x_m=st.floats(-10, 10), z_m=st.floats(4, 80))
def test_a_point_of_the_road_comes_back_to_itself(camera, x_m, z_m):
    there_and_back = camera.ground_points(camera.image_points(np.array([[x_m, z_m]])))
    np.testing.assert_allclose(there_and_back, [[x_m, z_m]], rtol=1e-6, atol=1e-5)


@given(camera=CAMERAS)
def test_the_two_homographies_are_inverse(camera):
    product = camera.ground_from_image @ camera.image_from_ground
    np.testing.assert_allclose(product, np.eye(3), atol=1e-8)


@given(camera=CAMERAS)
def test_the_pose_is_a_rigid_motion_from_the_mounting_point(camera):
    pose = camera.camera_from_road
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    mounted_at = [camera.lateral_m, -camera.height_m, camera.forward_m, 1.0]
    np.testing.assert_allclose(pose @ mounted_at, [0, 0, 0, 1], atol=1e-12)


def test_at_and_above_the_horizon_there_is_no_road():
    above = np.array([[600.0, 200.0], [600.0, 100.0]])
    assert np.isnan(LEVEL.ground_points(above)).all()


def test_behind_the_camera_there_is_no_picture():
    assert np.isnan(LEVEL.image_points(np.array([[0.0, -5.0]]))).all()


@given(camera=CAMERAS, factor=st.sampled_from([0.5, 2 / 3, 2.0]), z_m=st.floats(5, 60))
def test_a_scaled_camera_sees_the_same_point_at_the_scaled_place(camera, factor, z_m):
    camera = replace(camera, width_px=1200, height_px=360)
    size_wh = round(1200 * factor), round(360 * factor)
    point = np.array([[2.0, z_m]])
    want = camera.image_points(point) * factor
    np.testing.assert_allclose(camera.scaled(size_wh).image_points(point), want, rtol=1e-9)
    assert camera.scaled(size_wh).size_wh == size_wh


def test_a_size_rounded_to_whole_pixels_is_still_the_same_shape():
    assert replace(LEVEL, width_px=1242, height_px=375).scaled((414, 125)).size_wh == (414, 125)


def test_a_row_that_an_encoder_added_changes_nothing_else():
    camera = load_camera(EXAMPLE)
    padded = camera.scaled((camera.width_px, camera.height_px + 1))
    assert padded == replace(camera, height_px=camera.height_px + 1)


def test_another_shape_is_refused():
    with pytest.raises(ConfigError, match="another shape"):
        LEVEL.scaled((1200, 500))


@given(camera=CAMERAS, baseline_m=st.floats(-1, 1))
def test_a_camera_of_matrices_projects_as_the_matrices_do(camera, baseline_m):
    intrinsic = camera.image_from_camera
    intrinsic[:2, 2] -= 0.5  # the matrices have centres at integers
    offset = np.array([[baseline_m], [0.0], [0.003]])
    projection = np.hstack([intrinsic, intrinsic @ offset])
    made = camera_from_projection(projection, camera.camera_from_road, (1242, 375), "test")
    homography = (projection @ camera.camera_from_road)[:, [0, 2, 3]]
    points = np.array([[-4.0, 9.0, 1.0], [3.0, 30.0, 1.0]]) @ homography.T
    want = points[:, :2] / points[:, 2:] + 0.5
    np.testing.assert_allclose(
        made.image_points(np.array([[-4.0, 9.0], [3.0, 30.0]])), want, atol=1e-6
    )


@pytest.mark.parametrize(
    ("projection", "pose", "message"),
    [
        pytest.param(np.zeros((3, 4)), np.eye(4), "no focal length", id="no focal length"),
        pytest.param(np.eye(3, 4), 2 * np.eye(4), "orthonormal", id="no rotation"),
        pytest.param(np.eye(3, 4), np.eye(4), "height_m", id="not above the road"),
    ],
)
def test_matrices_of_no_camera_are_refused(projection, pose, message):
    with pytest.raises(ConfigError, match=message):
        camera_from_projection(projection, pose, (10, 10), "test")


def test_the_example_camera_file_is_kittis_camera():
    camera = load_camera(EXAMPLE)
    assert camera.size_wh == (1242, 375)
    assert (camera.fx_px, camera.cx_px, camera.cy_px) == (721.5377, 609.5593, 172.854)
    assert camera.height_m == 1.65
    assert camera.date == "2011-09-26"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param("pitch_deg", "pich_deg", "did you mean 'pitch_deg'", id="misspelt key"),
        pytest.param("source", "colour", "unknown key 'colour'", id="unknown key"),
        pytest.param("width_px = 1242", "", "width_px", id="missing key"),
        pytest.param("fx_px = 721.5377", 'fx_px = "721"', "fx_px", id="text for a number"),
        pytest.param("fx_px = 721.5377", "fx_px = -1.0", "fx_px: expected a positive", id="negative"),
        pytest.param("yaw_deg = 0.0", "yaw_deg = nan", "yaw_deg", id="not a number"),
        pytest.param("height_m = 1.65", "height_m = nan", "height_m: .*finite", id="no height"),
        pytest.param("distortion = []", "distortion = [0.1]", "k1, k2, p1, p2, k3", id="distortion"),
        pytest.param("width_px = 1242", "width_px", "cannot be read as TOML", id="no TOML"),
    ],
)  # fmt: skip
def test_a_camera_file_with_a_mistake_is_refused(tmp_path, before, after, message):
    text = EXAMPLE.read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "camera.toml"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_camera(path)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_camera_file_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_camera(tmp_path / "none.toml")


def test_a_grid_has_its_farthest_row_first_and_centres_inside_its_cells():
    grid = GroundGrid(x_min_m=-1.0, x_max_m=1.0, z_min_m=6.0, z_max_m=9.0, cell_m=0.5)
    assert grid.size_wh == (4, 6)
    centres = grid.centres()
    assert centres.shape == (6, 4, 2)
    np.testing.assert_allclose(centres[0, 0], [-0.75, 8.75])
    np.testing.assert_allclose(centres[-1, -1], [0.75, 6.25])


GRID = GroundGrid(x_min_m=-2.0, x_max_m=2.0, z_min_m=-2.0, z_max_m=14.0, cell_m=1.0)


def test_the_cells_of_a_grid_lie_where_their_centres_are_seen():
    pixels = LEVEL.grid_pixels(GRID)
    seen = GRID.centres()[..., 1] > 0
    want = LEVEL.image_points(GRID.centres()[seen])
    inside = (np.abs(want) < -OUTSIDE_PX).all(axis=1)
    np.testing.assert_allclose(pixels[seen][inside], want[inside], rtol=1e-5)
    assert (pixels[~seen] == OUTSIDE_PX).all()


def test_distortion_moves_the_cells_as_the_radial_formula_says():
    k1 = -0.2
    camera = replace(LEVEL, distortion=(k1, 0.0, 0.0, 0.0, 0.0), pitch_deg=-3.0)
    straight, bent = replace(camera, distortion=()).grid_pixels(GRID), camera.grid_pixels(GRID)
    seen = GRID.centres()[..., 1] > 3
    normal = (straight[seen] - [600, 200]) / [700, 720]
    radius2 = (normal**2).sum(axis=1, keepdims=True)
    want = normal * (1 + k1 * radius2) * [700, 720] + [600, 200]
    np.testing.assert_allclose(bent[seen], want, atol=1e-2)
    assert (bent[GRID.centres()[..., 1] < 0] == OUTSIDE_PX).all()


def test_labels_are_taken_from_the_nearest_pixel_and_scores_between_pixels():
    image = np.array([[10, 20], [30, 40]], np.uint8)
    centres = np.array([[[0.5, 0.5], [1.5, 0.5]], [[0.5, 1.5], [1.5, 1.5]]], np.float32)
    assert resample(image, centres, linear=False).tolist() == image.tolist()
    assert resample(image, centres, linear=True).tolist() == image.tolist()
    places = np.array([[[1.0, 0.5], [0.9, 0.5], [1.2, 1.9]]], np.float32)
    assert resample(image, places, linear=True)[0, 0] == 15
    assert resample(image, places, linear=False)[0, 1:].tolist() == [10, 40]


def test_where_there_is_no_pixel_the_border_stands():
    image = np.full((2, 2), 7, np.uint8)
    places = np.array([[[OUTSIDE_PX, OUTSIDE_PX], [-1.0, 0.5], [0.5, 3.0], [0.5, 0.5]]], np.float32)
    for linear in (False, True):
        assert resample(image, places, linear=linear, border=255).tolist() == [[255, 255, 255, 7]]
