"""A run with the camera's file: its lens is undone before the network, and results are in the frame's own pixels."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import perception
from perception.core.camera import UNSEEN, Camera, save_camera
from perception.core.errors import ConfigError
from perception.core.geometry import Letterbox
from perception.runtime.opening import RunConfig, open_camera, open_undistorter
from perception.runtime.run import run

BENT = Camera(
    width_px=64, height_px=48, fx_px=60.0, fy_px=60.0, cx_px=33.0, cy_px=23.0,
    distortion=(-0.2, 0.02, 0.0, 0.0, 0.0),
)  # fmt: skip


@pytest.fixture
def camera_file(tmp_path):
    """Write a camera file."""

    def write(camera=BENT):
        path = tmp_path / "camera.toml"
        save_camera(camera, path)
        return str(path)

    return write


def test_results_of_a_run_are_in_the_pixels_of_the_bent_frame(
    video, tiny_engine, camera_file, tmp_path
):
    config = RunConfig(
        source=str(video),
        engine=str(tiny_engine.folder),
        camera=camera_file(),
        sinks=(f"jsonl={tmp_path / 'a.jsonl'}",),
    )
    summary = run(config)
    assert (summary["frames"], summary["undistorted"]) == (12, True)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    # the tiny engine's second box, in the pixels of the view that it sees
    second = rows[0]["boxes"][1]["xyxy_px"]
    border = [(x, y) for x in np.linspace(4, 30, 99) for y in (8, 30)]
    border += [(x, y) for y in np.linspace(8, 30, 99) for x in (4, 30)]
    bent = BENT.distorted(np.array(border))
    np.testing.assert_allclose(second, [*bent.min(axis=0), *bent.max(axis=0)], atol=0.1)


def test_a_loaded_engine_with_a_camera_labels_the_frame_it_was_given(tiny_engine, camera_file):
    image = np.zeros((96, 128, 3), np.uint8)
    image[:, 64:, 0] = 7  # blue is the class
    with perception.load(tiny_engine.folder, camera=camera_file()) as perceive:
        scene = perceive(image)
    seen = scene.class_map != UNSEEN
    assert not seen[0, 0]
    assert seen[48, 64]
    away = np.abs(np.arange(128) - 63.5) > 3
    judged = seen & away
    assert (scene.class_map[judged] == image[..., 0][judged]).all()


def test_scenes_of_a_stream_know_the_camera_too(video, tiny_engine, camera_file):
    scenes = list(perception.stream(video, tiny_engine.folder, camera=camera_file(), limit=2))
    assert all((scene.class_map == UNSEEN).any() for scene in scenes)


def test_a_budget_undoes_the_lens_at_every_size(video, tiny_engine, camera_file, tmp_path):
    config = RunConfig(
        source=str(video), engine=str(tiny_engine.folder), camera=camera_file(), budget_ms=2000.0
    )
    summary = run(config)
    assert summary["undistorted"]
    assert summary["budget"]["missed"] == 0


def test_a_camera_whose_frames_are_rectified_changes_nothing(video, tiny_engine, camera_file):
    straight = camera_file(replace(BENT, distortion=()))
    config = RunConfig(source=str(video), engine=str(tiny_engine.folder), camera=straight)
    assert run(config)["undistorted"] is False


def _opened(camera, size_wh=(64, 48), fit=None, sources=1):
    source = SimpleNamespace(size_wh=size_wh)
    backend = SimpleNamespace(size_wh=(64, 64), fit=fit)
    known = open_camera(camera, [source] * sources)
    return open_undistorter(camera, known, [source] * sources, backend)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"size_wh": (64, 40)}, "another shape", id="another shape"),
        pytest.param(
            {"fit": Letterbox((64, 48), (64, 48), (64, 64))}, "plan for whole frames", id="plan"
        ),
        pytest.param({"sources": 3}, "expected one source", id="three sources"),
    ],
)
def test_what_a_camera_does_not_fit_is_refused_in_one_line(camera_file, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _opened(camera_file(), **options)
    assert "\n" not in str(caught.value)


def test_frames_of_another_size_and_the_same_shape_are_scaled_to(camera_file):
    assert _opened(camera_file(), (128, 96)).fit((128, 96), (64, 64)).camera.fx_px == 120


def test_a_shipped_camera_is_found_by_its_name_and_an_unknown_one_is_not():
    assert _opened("kitti_2011_09_26", (1242, 375)) is None
    with pytest.raises(ConfigError, match="known: "):
        _opened("kitty")


def test_without_a_camera_nothing_is_undone():
    assert _opened("") is None
