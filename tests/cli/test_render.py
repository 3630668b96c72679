"""The commands of ``perception render``: options, the closing JSON line, and errors of one line."""

import json

import pytest
from typer.testing import CliRunner

from perception.cli.app import app
from perception.core.errors import ConfigError, ExitCode
from perception.render.store import list_drives, read_drive
from tests.render.factories import RENDERER, FakeDrive

SMALL = ["--size", "96x64", "--seconds", "0.2", "--processes", "1"]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Frames made in no time."""
    monkeypatch.setattr("perception.render.pool.load_renderer", lambda name: FakeDrive)


def call(*arguments):
    result = CliRunner().invoke(app, ["render", *map(str, arguments)], standalone_mode=False)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result, json.loads(result.stdout.splitlines()[-1])


def test_drives_are_varied_numbered_by_their_seeds_and_kept(tmp_path):
    _, summary = call("--out", tmp_path, "--drives", 3, "--seed", 7, *SMALL)
    drives = list_drives(tmp_path)
    assert [d.folder.name for d in drives] == ["000007", "000008", "000009"]
    assert [d.config.seed for d in drives] == [7, 8, 9]
    assert len({d.config.camera.horizontal_fov_deg for d in drives}) == 3
    assert {d.config.camera.size_wh for d in drives} == {(96, 64)}
    assert (summary["frames"], summary["rendered"], summary["drives"]) == (6, 6, 3)
    _, again = call("--out", tmp_path, "--drives", 4, "--seed", 7, *SMALL)
    assert (again["frames"], again["rendered"]) == (8, 2)


def test_what_is_asked_for_stands_over_the_varied_drive(tmp_path):
    call(
        "--out", tmp_path, *SMALL, "--fps", 20, "--place", "country",
        "--set", "weather.rain=0.7", "--set", "camera.pitch_deg=-1.5",
    )  # fmt: skip
    config = read_drive(tmp_path / "000000").config
    assert (config.fps, config.frames, config.place) == (20, 4, "country")
    assert (config.weather.rain, config.camera.pitch_deg) == (0.7, -1.5)


def test_a_file_replaces_the_varied_drive(tmp_path):
    file = tmp_path / "drive.toml"
    file.write_text("people = 2\n[light]\nelevation_deg = -3.5\n")
    call("--out", tmp_path / "out", *SMALL, "--config", file, "--drives", 2)
    one, other = list_drives(tmp_path / "out")
    assert (one.config.people, one.config.light.elevation_deg) == (2, -3.5)
    assert (one.config.seed, other.config.seed) == (0, 1)
    assert one.config.weather == other.config.weather


def test_exports_go_where_they_are_asked_for(tmp_path):
    _, summary = call(
        "--out", tmp_path / "out", *SMALL, "--kitti", tmp_path / "kitti", "--coco", tmp_path / "coco.json"
    )  # fmt: skip
    assert len(list((tmp_path / "kitti" / "training" / "image_2").iterdir())) == 2
    assert len(json.loads((tmp_path / "coco.json").read_text())["images"]) == 2
    assert summary["kitti"] == str(tmp_path / "kitti")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "expected --out FOLDER", id="no folder"),
        pytest.param(["--out", "a", "--size", "96"], "expected WIDTHxHEIGHT", id="size"),
        pytest.param(["--out", "a", "--size", "16x64"], "at least 32x32", id="small"),
        pytest.param(["--out", "a", "--place", "sea"], "place: ", id="place"),
        pytest.param(["--out", "a", "--set", "sed=1"], "did you mean 'seed'", id="key"),
        pytest.param(["--out", "a", "--set", "seed=5"], "say --seed N", id="seed"),
        pytest.param(
            ["--out", "a", "--set", "vehicles=-3"], "vehicles: expected 0 to 60", id="range"
        ),
        pytest.param(["--out", "a", "--fps", "0"], "fps: expected 0.01 to 1000, got 0", id="rate"),
        pytest.param(["--out", "a", "--config", "none.toml"], "no such file", id="file"),
        pytest.param(["--out", "a", "bench"], "options of 'bench' stand behind it", id="order"),
        pytest.param(["bench", "--frames", "0"], "at least 1 frame", id="bench"),
    ],
)
def test_wrong_usage_is_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_tells_what_is_kept_and_ends_with_its_code(tmp_path, monkeypatch):
    class Interrupted(FakeDrive):
        def render(self, index):
            if index == 1:
                raise KeyboardInterrupt
            return super().render(index)

    monkeypatch.setattr("perception.render.pool.load_renderer", lambda name: Interrupted)
    result = CliRunner().invoke(app, ["render", "--out", str(tmp_path), *SMALL])
    assert result.exit_code == ExitCode.INTERRUPTED
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary["interrupted"], summary["frames"], summary["rendered"]) == (True, 2, 1)


def test_the_demo_is_made_in_the_folder_that_is_named(tmp_path, monkeypatch):
    from perception.render import presets  # noqa: PLC0415
    from tests.render.factories import drive_config  # noqa: PLC0415

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presets, "demo_drive", lambda: drive_config(3))
    _, summary = call("demo", "--out", tmp_path / "assets", "--processes", 1)
    written = {path.name for path in (tmp_path / "assets").iterdir()}
    assert written == {"demo.mp4", "demo_labels.jsonl.gz"}
    assert summary["frames"] == 3


def test_the_sheet_is_one_picture(tmp_path, monkeypatch):
    from perception.render.show import sheet  # noqa: PLC0415
    from tests.render.factories import drive_config  # noqa: PLC0415

    monkeypatch.setattr(sheet, "sheet_drives", lambda: [("one", drive_config(2), 0.5)])
    monkeypatch.setattr(sheet, "load_renderer", lambda name: FakeDrive)
    _, summary = call("sheet", "--out", tmp_path / "sheet.jpg")
    assert summary["bytes"] == (tmp_path / "sheet.jpg").stat().st_size


def test_the_bench_ends_with_its_figures(tmp_path, monkeypatch):
    from perception.render.show import bench  # noqa: PLC0415

    monkeypatch.setattr(bench, "load_renderer", lambda name: FakeDrive)
    _, summary = call("bench", "--size", "96x64", "--frames", 1, "--rounds", 1)
    assert summary["bench"] == "render"
    assert summary["frame_ms"]["plain"] > 0
    assert RENDERER.startswith("tests.")
