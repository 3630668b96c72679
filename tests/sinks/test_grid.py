"""Several cameras in one picture: each in its own cell, and what is stale looks it."""

from dataclasses import replace

import av
import numpy as np
import pytest

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.sinks import open_sink
from perception.sinks.base import SinkContext
from perception.sinks.grid import Grid, fit_picture

NOW_NS = 10**12


def context(cameras, fps=None):
    return SinkContext(BOX_CLASSES, MAP_CLASSES, fps, cameras)


@pytest.fixture
def scene_of(make_scene):
    """A scene of a camera, captured `at_s` after `NOW_NS`."""

    def make(camera, at_s=0.0, size_wh=(200, 100)):
        scene = make_scene(size_wh=size_wh)
        image = np.full_like(scene.frame.image, 30 * (camera + 1))
        captured_ns = NOW_NS + round(at_s * 1e9)
        return replace(
            scene, frame=replace(scene.frame, image=image, camera=camera, captured_ns=captured_ns)
        )

    return make


def brightness(picture, cells):
    """Mean of a patch of each cell that is neither tinted nor labelled, in the order of the cameras."""
    rows, columns = cells
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    return [
        int(picture[r * height + 23 : r * height + 29, c * width + 120 : c * width + 190].mean())
        for r in range(rows)
        for c in range(columns)
    ]


@pytest.mark.parametrize(
    ("cameras", "cells"), [(2, (1, 2)), (3, (2, 2)), (4, (2, 2)), (6, (2, 3)), (7, (3, 3))]
)
def test_each_camera_has_a_cell_row_by_row(scene_of, cameras, cells):
    grid = Grid(context(cameras))
    for camera in reversed(range(cameras)):
        grid.add(scene_of(camera), NOW_NS)
    picture = grid.picture()
    assert picture.shape == (cells[0] * 100, cells[1] * 200, 3)
    free = [0] * (cells[0] * cells[1] - cameras)
    assert brightness(picture, cells) == [30 * (n + 1) for n in range(cameras)] + free


def test_large_frames_are_shrunk_into_a_grid_that_a_screen_holds(scene_of):
    grid = Grid(context(6))
    grid.add(scene_of(0, size_wh=(1600, 900)), NOW_NS)
    assert grid.picture().shape == (720, 1920, 3)


def test_a_camera_of_another_size_is_fitted_into_its_cell(scene_of):
    grid = Grid(context(2))
    grid.add(scene_of(0), NOW_NS)
    grid.add(scene_of(1, size_wh=(64, 300)), NOW_NS)
    assert grid.picture().shape == (100, 400, 3)


def test_what_a_silent_camera_saw_is_darkened_until_it_is_back(scene_of):
    grid = Grid(context(2))
    grid.add(scene_of(0, 0.0), NOW_NS)
    grid.add(scene_of(1, 1.9), NOW_NS)
    assert brightness(grid.picture(), (1, 2)) == [30, 60]
    grid.add(scene_of(1, 2.1), NOW_NS)
    assert brightness(grid.picture(), (1, 2)) == [10, 60]
    grid.add(scene_of(0, 2.2), NOW_NS)
    assert brightness(grid.picture(), (1, 2)) == [30, 60]


def test_the_video_has_a_picture_a_round_and_a_silent_camera_does_not_hold_it_up(
    tmp_path, scene_of
):
    path = tmp_path / "grid.mp4"
    with open_sink(f"overlay={path}", context(3)) as sink:
        for camera, at_s in (
            (0, 0.0),
            (1, 0.01),
            (2, 0.02),
            (0, 0.1),
            (1, 0.11),
            (1, 0.21),
            (0, 0.22),
            (1, 0.31),
        ):
            sink.write(scene_of(camera, at_s))
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0.0, 0.1, 0.21, 0.31], abs=0.002)


def test_a_picture_keeps_its_aspect_when_it_is_fitted():
    fitted = fit_picture(np.full((100, 50, 3), 200, np.uint8), (80, 40))
    assert fitted.shape == (40, 80, 3)
    assert (fitted.mean(axis=(0, 2)) > 100).sum() == 20
