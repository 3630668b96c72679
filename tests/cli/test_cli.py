"""What a user meets: the last line of stdout, one line for each error, and the exit codes of the contract."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from perception.core.errors import ExitCode


@pytest.fixture
def perception(tmp_path):
    """Run the command line in an empty folder."""

    def run(*arguments):
        command = [sys.executable, "-m", "perception", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=50
        )

    return run


def test_a_run_ends_with_one_json_object_and_leaves_its_files(
    perception, tiny_engine, video, tmp_path
):
    done = perception(
        "run",
        "--source",
        video,
        "--engine",
        tiny_engine.folder,
        "--out",
        tmp_path / "out",
        "--warmup",
        2,
    )
    assert done.returncode == ExitCode.DONE, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["frames"] == 12
    assert summary["dropped"] == 0
    assert set(summary["age_ms"]) >= {"p50", "p95", "p99", "max"}
    assert {"fps", "stages_ms", "backend", "precision", "device", "engine"} <= set(summary)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"overlay.mp4", "results.jsonl", "latency.json", "latency.png"}
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 12


def spoil_onnx(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-20])


def spoil_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"class_map"', '"class_maps"'))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(spoil_onnx, "not the file the manifest names", id="truncated ONNX"),
        pytest.param(spoil_manifest, "the manifest lacks ['class_map']", id="wrong manifest"),
        pytest.param(
            lambda f: (f / "manifest.json").unlink(), "no manifest.json there", id="no manifest"
        ),
    ],
)
def test_a_spoilt_engine_is_refused(perception, make_engine, video, spoil, words):
    folder = make_engine().folder
    spoil(folder)
    check_refused(perception("run", "--source", video, "--engine", folder), ExitCode.ENGINE, words)


def check_refused(done, code, words):
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert words in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(
            ["--source", "none.mp4"], ExitCode.INPUT, "none.mp4: no such file", id="missing video"
        ),
        pytest.param(
            ["--source", "{corrupt}"], ExitCode.INPUT, "corrupt.mp4: ", id="corrupt video"
        ),
        pytest.param(
            ["--backend", "onxruntime"], ExitCode.USAGE, "did you mean 'onnxruntime'", id="backend"
        ),
        pytest.param(
            ["--precision", "fp16"], ExitCode.USAGE, "['fp32', 'int8'], got 'fp16'", id="precision"
        ),
        pytest.param(["--size", "100x100"], ExitCode.USAGE, "try 128x128", id="size"),
        pytest.param(
            ["--sink", "jsonl=/proc/none/a.jsonl"],
            ExitCode.FAILED,
            "/proc/none",
            id="unwritable output",
        ),
        pytest.param(
            ["--budget-ms", "9", "--backend", "tensorrt"],
            ExitCode.USAGE,
            "expected a backend of ['onnxruntime', 'openvino'], got 'tensorrt'",
            id="budget",
        ),
        pytest.param(
            ["--budget-ms", "9", "--source", "demo", "--source", "demo"],
            ExitCode.USAGE,
            "--budget-ms: expected one source, got 2",
            id="budget of several",
        ),
        pytest.param(["--sink", "jsnl=a"], ExitCode.USAGE, "did you mean 'jsonl'", id="sink"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    perception, tiny_engine, video, tmp_path, arguments, code, words
):
    corrupt = tmp_path / "corrupt.mp4"
    corrupt.write_bytes(b"no video " * 1000)
    given = [a.format(corrupt=corrupt) for a in arguments]
    source = [] if "--source" in given else ["--source", video]
    check_refused(perception("run", "--engine", tiny_engine.folder, *source, *given), code, words)


def test_a_picture_of_another_size_ends_the_run_and_keeps_what_was_found(
    perception, tiny_engine, tmp_path
):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, width in enumerate((64, 64, 64, 80)):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((48, width, 3), 90, np.uint8))
    results = tmp_path / "results.jsonl"
    done = perception(
        "run", "--source", folder, "--engine", tiny_engine.folder, "--sink", f"jsonl={results}"
    )
    check_refused(done, ExitCode.INPUT, "expected 64x48")
    assert len(results.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(
            ["train", "--preset", "cascad"], ExitCode.USAGE, "unknown preset 'cascad'", id="preset"
        ),
        pytest.param(
            ["evaluate", "--data", "camvid"], ExitCode.USAGE, "expected SET:SPLIT", id="data"
        ),
        pytest.param(
            ["build", "--frame", "1920x1080", "--batch", "2"],
            ExitCode.USAGE,
            "--frame: a plan that fits frames takes one of one size",
            id="build",
        ),
        pytest.param(
            ["export", "--checkpoint", "a.ckpt", "--name", "a"],
            ExitCode.INPUT,
            "not a checkpoint",
            id="export",
        ),
        pytest.param(
            ["verify", "--engine", "none"],
            ExitCode.ENGINE,
            "known engines: ['road-lean']",
            id="engine",
        ),
    ],
)
def test_other_commands_refuse_in_one_line_too(perception, arguments, code, words):
    check_refused(perception(*arguments), code, words)


def test_unknown_options_are_wrong_usage(perception):
    assert perception("run", "--sauce", "demo").returncode == ExitCode.USAGE


def test_the_doctor_gives_json(perception):
    done = perception("doctor")
    assert done.returncode == ExitCode.DONE
    assert json.loads(done.stdout.splitlines()[-1])


def test_data_draws_a_set_of_ones_own_and_tells_an_unknown_one(perception, tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTION_DATA", str(tmp_path))
    folder = tmp_path / "campus"
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "gate.png"), np.full((40, 60, 3), 90, np.uint8))
    (folder / "data.toml").write_text('[split.train]\npictures = "images"\n')
    done = perception("data", "campus:train")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["sets"]["campus:train"]["frames"] == 1
    assert (tmp_path / "runs" / "data" / "campus_train" / "000000-gate.png.png").is_file()
    wrong = perception("data", "kampus:train")
    assert wrong.returncode == ExitCode.USAGE
    assert wrong.stderr.startswith(
        "error: unknown data set 'kampus'; did you mean 'campus'? known: "
    )
    assert len(wrong.stderr.splitlines()) == 1
