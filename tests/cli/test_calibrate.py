"""The commands of ``perception calibrate``: the boards without a name, the others by name, one line for each error."""

import json
import re
from dataclasses import replace

import cv2
import pytest
from typer.testing import CliRunner

from perception.cli.app import app
from perception.core.camera import load_camera
from perception.core.errors import ConfigError, ExitCode, InputError, PerceptionError
from tests.calibration.boards import scenes

CAMERA = replace(scenes.PINHOLE, width_px=480, height_px=300, fx_px=390, fy_px=390, cx_px=240, cy_px=150)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("boards")
    for i, pose in enumerate(scenes.poses(6, CAMERA, seed=3)):
        cv2.imwrite(str(made / f"board{i}.png"), scenes.render(CAMERA, pose, seed=i))
    return made


def call(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)], standalone_mode=False)


def told(*arguments):
    """The closing object; the error where there was one."""
    result = call(*arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout.splitlines()[-1])


def test_a_folder_of_boards_becomes_a_camera_file_and_a_report(folder, tmp_path):
    out = tmp_path / "front.toml"
    summary = told(folder, "--board", "9x6", "--square-mm", 40, "--out", out, "--report", tmp_path, "--source", "a test")  # fmt: skip
    assert {"calibrate", "model", "size", "rms_px", "pictures", "views", "skipped", "rejected", "rejected_corners", "coverage", "values", "warnings", "camera", "report"} == set(summary)  # fmt: skip
    assert len(summary["views"]) == 6
    camera = load_camera(out)
    assert camera.size_wh == (480, 300)
    assert abs(camera.fx_px - 390) < max(2, 4 * camera.focal_sigma_px)
    assert camera.source.startswith(
        "a test; perception calibrate: chessboard of 9x6 corners, 6 of 6"
    )
    assert camera.height_m is None
    page = (tmp_path / "front.html").read_text()
    assert page.count("data:image/") == 2
    assert set(re.findall(r'(?:src|href)="?(\w+)', page)) == {"data"}
    assert all(view["view"] in page for view in summary["views"])
    assert cv2.imread(str(tmp_path / "front.png")).shape[2] == 3


def test_the_first_word_may_be_the_name_of_the_command_an_option_or_an_input(folder, tmp_path):
    options = ["--board", "9x6", "--out", tmp_path / "a.toml", "--report", tmp_path]
    values = [told(*words)["values"] for words in (["boards", folder, *options], [*options, folder])]  # fmt: skip
    by_name, by_option = values
    for (
        name,
        told_first,
    ) in by_name.items():  # OpenCV's threads sum in any order: last digits differ
        assert told_first == pytest.approx(by_option[name], rel=1e-3, abs=1e-6)


def test_help_lists_the_commands_and_the_options_of_the_boards():
    shown = call("--help").stdout
    assert all(word in shown for word in ("print", "boards", "--square-mm", "--leave-out"))
    assert "--square-mm" in call("print", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "error", "line"),
    [
        pytest.param(["{}", "--board", "8x5"], InputError, "6 show 9x6: is it --board 9x6", id="wrong size"),
        pytest.param(["{}/board0.png", "--board", "9x6"], InputError, "one picture only", id="one picture"),
        pytest.param(["{}/nothing", "--board", "9x6"], InputError, "no such file", id="missing"),
        pytest.param(["{}", "--board", "9"], ConfigError, "--board '9': expected COLUMNSxROWS", id="board"),
        pytest.param(["{}"], ConfigError, "--board is missing: expected COLUMNSxROWS", id="no board"),
        pytest.param(["print", "--square-mm", "25"], ConfigError, "--board is missing", id="print no board"),
        pytest.param(["print", "--board", "9x6", "--square-mm", "25", "--dpi", "nan"], ConfigError, "at most 100,000, got nan", id="dpi nan"),
        pytest.param(["print", "--board", "9x6", "--square-mm", "25", "--dpi", "inf"], ConfigError, "at most 100,000, got inf", id="dpi inf"),
        pytest.param(["{}", "--board", "9x6", "--report", "{}", "--out", "{}/x.png"], ConfigError, "x.png: named for two outputs", id="report over camera"),
        pytest.param(["{}", "--board", "9x6", "--right-out", "{}/x.toml"], ConfigError, "--right-out: expected --right", id="right-out alone"),
        pytest.param(["{}", "--right", "{}", "--board", "9x6", "--square-mm", "40", "--out", "{}/x.toml", "--right-out", "{}/x.toml"], ConfigError, "x.toml: named for two", id="one file for two"),
        pytest.param(["{}", "--right", "{}", "--board", "9x6", "--square-mm", "40", "--report", "{}", "--out", "{}/l/x.toml", "--right-out", "{}/r/x.toml"], ConfigError, "x.html: named for two", id="one page for two"),
        pytest.param(["{}", "--board", "9x6", "--lens", "wide"], ConfigError, "expected pinhole or fisheye", id="lens"),
        pytest.param(["{}", "--board", "9x6", "--lens", "fisheye", "--rational"], ConfigError, "for pinhole lenses", id="rational"),
        pytest.param(["{}", "--board", "9x6", "--right", "{}"], ConfigError, "expected --square-mm", id="stereo without size"),
        pytest.param(["print", "--board", "9x6", "--square-mm", "25", "--out", "b.pdf"], PerceptionError, "ends in .png", id="print"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(folder, arguments, error, line):
    with pytest.raises(error, match=line) as raised:
        told(*(word.format(folder) for word in arguments))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code in {ExitCode.USAGE, ExitCode.INPUT, ExitCode.FAILED}


def test_a_board_is_printed(tmp_path):
    out = tmp_path / "board.png"
    summary = told("print", "--board", "9x6", "--square-mm", 25, "--dpi", 50, "--out", out)
    assert summary["paper_mm"] == [298.7, 224.0]  # 12 x 9 squares of 49 px
    assert cv2.imread(str(out)).shape[:2] == (9 * 49, 12 * 49)


def test_a_pair_writes_two_cameras(tmp_path):
    for i, pose in enumerate(scenes.poses(6, CAMERA, seed=3)):
        for side, shift in (("left", 0.0), ("right", 0.05)):
            place = pose[0], pose[1] - (shift, 0, 0)
            cv2.imwrite(str(tmp_path / f"{side}{i}.png"), scenes.render(CAMERA, place, seed=i))
    out = tmp_path / "left.toml"
    summary = told(f"{tmp_path}/left*.png", "--right", f"{tmp_path}/right*.png", "--board", "9x6", "--square-mm", 40, "--out", out, "--report", tmp_path / "report", "--leave-out")  # fmt: skip
    assert abs(summary["stereo"]["baseline_m"] - 0.05) < 0.001
    assert {"left", "right", "stereo", "calibrate"} == set(summary)
    assert abs(load_camera(tmp_path / "left_right.toml").lateral_m - 0.05) < 0.001
    assert load_camera(out).lateral_m == 0
