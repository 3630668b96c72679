"""`perception calibrate mounting` from end to end, on the shipped drive, whose camera looks down by 2.5 degrees at 1.42 m."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from perception.calibration.mounting.look import open_look
from perception.calibration.mounting.observe import Observer
from perception.cli.app import app
from perception.core.camera import UNSEEN, find_camera, load_camera, save_camera
from perception.core.errors import ConfigError, ExitCode, InputError, OutputError
from perception.core.manifest import DEFAULT_ENGINE
from perception.core.types import Frame
from perception.sources import DEMO_CLIP, open_source

CAMERA = find_camera("synthetic_dashcam")
ENOUGH = 40  # frames, 4 s


def call(*arguments):
    words = map(str, ("calibrate", "mounting", *arguments))
    return CliRunner().invoke(app, [*words], standalone_mode=False)


def told(*arguments):
    """The closing object; the error where there was one."""
    result = call(*arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def bare(tmp_path):
    """The drive's camera as `perception calibrate` leaves one: nothing is known of its mounting."""
    path = tmp_path / "bare.toml"
    save_camera(replace(CAMERA, height_m=None, pitch_deg=0.0), path)
    return path


def test_the_shipped_drive_tells_the_mounting_of_its_camera(bare, tmp_path):
    out = tmp_path / "made" / "mine.toml"
    summary = told(DEMO_CLIP, "--camera", bare, "--out", out, "--limit", ENOUGH)
    low, high = summary["pitch_deg"]["interval_95"]
    assert low <= CAMERA.pitch_deg <= high
    assert high - low < 1
    low, high = summary["height_m"]["interval_95"]
    assert low <= CAMERA.height_m <= high
    made = load_camera(out)
    assert made.pitch_deg == pytest.approx(summary["pitch_deg"]["value"], abs=1e-3)
    assert made.height_m == pytest.approx(summary["height_m"]["value"], abs=1e-3)
    assert made.fx_px == CAMERA.fx_px
    assert "mounting from the road" in made.source
    assert summary["report"] == str(out.with_suffix(".png"))
    assert cv2.imread(summary["report"]).std() > 10


@pytest.mark.parametrize("frames", [pytest.param(ENOUGH, id="late"), pytest.param(3, id="early")])
def test_an_interruption_keeps_what_was_seen_or_says_that_it_is_too_little(
    frames, bare, tmp_path, monkeypatch
):
    add = Observer.add

    def interrupted(self, frame):
        if frame.frame_id == frames:
            raise KeyboardInterrupt
        add(self, frame)

    monkeypatch.setattr(Observer, "add", interrupted)
    out = tmp_path / "mine.toml"
    result = call(DEMO_CLIP, "--camera", bare, "--no-engine", "--out", out)
    if frames == ENOUGH:
        summary = json.loads(result.stdout.splitlines()[-1])
        assert summary["interrupted"]
        assert summary["frames"] == frames
        assert result.return_value == ExitCode.INTERRUPTED
        assert load_camera(out).pitch_deg == pytest.approx(CAMERA.pitch_deg, abs=0.5)
    else:
        assert not out.exists()
        assert result.return_value == ExitCode.INTERRUPTED, result


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        pytest.param(["no.mp4"], InputError, "no.mp4: no such file", id="no recording"),
        pytest.param([DEMO_CLIP, "--camera", "mine"], ConfigError, "camera 'mine': no such file", id="no camera"),
        pytest.param([DEMO_CLIP, "--camera", "kitti_2011_09_26"], ConfigError, "1248x384 have another shape", id="shape"),
        pytest.param([DEMO_CLIP, "--limit", 5], InputError, "expected at least 20 pairs", id="short"),
        pytest.param([DEMO_CLIP, "--speed", "no.csv"], InputError, "speed 'no.csv': expected km/h or a CSV", id="no speeds"),
        pytest.param([DEMO_CLIP, "--speed-kmh", -3], ConfigError, "got -3", id="speed"),
        pytest.param([DEMO_CLIP, "--speed-kmh", 30, "--speed", "no.csv"], ConfigError, "got both", id="speeds"),
        pytest.param([DEMO_CLIP, "--out", "mounted.png"], ConfigError, "mounted.png: named for two outputs", id="report over camera"),
        pytest.param([DEMO_CLIP, "--out", "/proc/none/a.toml"], OutputError, "nothing was done yet", id="out"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(words, error, message, tmp_path):
    words = words if "--camera" in words else [*words, "--camera", "synthetic_dashcam"]
    words = words if "--out" in words else [*words, "--out", tmp_path / "mine.toml"]
    with pytest.raises(error, match=message) as caught:
        told(*words, "--no-engine")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.toml"))


def bent(camera, image):
    """What a camera with a lens sees where one without sees `image`."""
    height, width = image.shape[:2]
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).reshape(-1, 1, 2)
    matrix = np.array([[camera.fx_px, 0, camera.cx_px], [0, camera.fy_px, camera.cy_px], [0, 0, 1]])
    straight = cv2.undistortPoints(
        points.astype(np.float64), matrix, np.array(camera.distortion), P=matrix
    )
    places = straight.astype(np.float32).reshape(height, width, 2)
    return cv2.remap(image, places, None, cv2.INTER_LINEAR)


def test_a_lens_is_undone_for_the_engine_and_for_the_rays(tmp_path):
    camera = replace(CAMERA, lens="pinhole", distortion=(-0.18, 0.02, 0.0, 0.0, 0.0))
    folder, file = tmp_path / "drive", tmp_path / "bent.toml"
    folder.mkdir()
    save_camera(replace(camera, height_m=None, pitch_deg=0.0), file)
    with open_source(str(DEMO_CLIP), live=False) as source:
        for frame in source:
            image = bent(camera, frame.image)
            cv2.imwrite(str(folder / f"{frame.frame_id:03d}.jpg"), image)
            if frame.frame_id + 1 == ENOUGH:
                break
    with open_look(DEFAULT_ENGINE, "", "", camera) as (look, road, _):
        seen = look(Frame(image, 0, 0)).class_map
    assert (seen[0, 0], seen[-1, -1]) == (UNSEEN, UNSEEN)  # the corners of a barrel are left out
    assert (seen == road).mean() > 0.1
    summary = told(folder, "--camera", file, "--fps", 10, "--out", tmp_path / "mine.toml")
    low, high = summary["pitch_deg"]["interval_95"]
    assert low <= CAMERA.pitch_deg <= high
    assert high - low < 1
