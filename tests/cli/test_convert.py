"""``perception calibrate convert`` and ``run --camera`` as a user types them."""

import json

import pytest
from typer.testing import CliRunner

from perception.cli.app import app
from perception.core.camera import CAMERAS_DIR, find_camera, load_camera
from perception.core.errors import ConfigError, ExitCode, InputError, PerceptionError

SHIPPED = str(CAMERAS_DIR / "kitti_2011_09_26.toml")


def call(*words):
    """The closing JSON object of a command; its error where it ends with one."""
    done = CliRunner().invoke(app, list(words))
    if isinstance(done.exception, PerceptionError):
        raise done.exception
    assert done.exit_code == ExitCode.DONE, done.output
    return json.loads(done.stdout.splitlines()[-1])


def test_a_shipped_camera_goes_through_ros_and_back_and_gets_its_mounting_again(tmp_path):
    there, back = str(tmp_path / "a.yaml"), tmp_path / "b.toml"
    left_out = call("calibrate", "convert", SHIPPED, there)["left_out"]
    assert left_out == ["date", "height_m", "height_sigma_m", "pitch_sigma_deg", "source"]
    summary = call("calibrate", "convert", there, str(back), "--set", "height_m=1.5", "--set", "date=2026-01-02")  # fmt: skip
    camera = load_camera(back)
    assert summary["camera"]["height_m"] == camera.height_m == 1.5
    assert camera.date == "2026-01-02"
    assert camera.fx_px == find_camera("kitti_2011_09_26").fx_px


def test_formats_are_named_where_file_names_do_not_tell(tmp_path):
    path = str(tmp_path / "camera.cfg")
    call("calibrate", "convert", SHIPPED, path, "--to", "opencv")
    made = call("calibrate", "convert", path, str(tmp_path / "a.toml"), "--from", "opencv")
    assert made["camera"]["cy_px"] == 172.854


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ((SHIPPED, "a.xml"), ConfigError, "--from or --to"),
        ((SHIPPED, "a.toml", "--to", "ross"), ConfigError, "did you mean 'ros'"),
        ((SHIPPED, "a.toml", "--set", "hight_m=2"), ConfigError, "did you mean 'height_m'"),
        ((SHIPPED, "a.toml", "--set", "height_m=nan"), ConfigError, "height_m"),
        ((SHIPPED, "a.txt", "--to-name", "P7"), ConfigError, "no camera 'P7'; it has P2"),
        (("none.yaml", "a.toml"), InputError, "none.yaml: cannot be read"),
        (("none.toml", "a.yaml"), ConfigError, "no such file"),
        ((SHIPPED, "a.yaml", "--size", "1x1"), ConfigError, "frames of 1242x375"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, monkeypatch, words, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        call("calibrate", "convert", *words)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_refuses_a_camera_of_another_shape_and_an_unknown_one(video, tiny_engine):
    run = ("run", "--source", str(video), "--engine", str(tiny_engine.folder), "--camera")
    with pytest.raises(ConfigError, match="another shape") as caught:
        call(*run, "kitti_2011_09_26")
    assert caught.value.exit_code == ExitCode.USAGE
    with pytest.raises(ConfigError, match="known: "):
        call(*run, "kitti")
