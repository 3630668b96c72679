"""A run as the command line asks for it, and the Python API: real video, real engine, small."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

import perception
from perception.backends.sized import SizedBackends
from perception.core.errors import ConfigError, EngineError, InputError, OutputError
from perception.core.manifest import DEFAULT_ENGINE, MANIFEST_FILE, ONNX_FILE, load_engine
from perception.runtime.evaluation.evaluate import run_frame
from perception.runtime.opening import RunConfig
from perception.runtime.run import run

SUMMARY_KEYS = {
    "frames", "warmup", "dropped", "fps", "age_ms", "device_ms", "stages_ms", "cpu_ms", "backend", "precision", "device",
    "engine", "source", "size_wh", "fit_on_device", "live", "undistorted", "tracker", "interrupted", "source_events",
    "cameras",
}  # fmt: skip


@pytest.fixture
def config(video, tiny_engine):
    """A run of the small video through the tiny engine; keywords change it."""

    def build(**changes):
        fields = {"source": str(video), "engine": str(tiny_engine.folder), "warmup": 2}
        return RunConfig(**{**fields, **changes})

    return build


def ids_in(path):
    return [json.loads(line)["frame_id"] for line in path.read_text().splitlines()]


def test_a_run_with_a_folder_leaves_results_overlay_and_account(config, tmp_path, capfd):
    summary = run(config(out=tmp_path / "run"))
    assert set(summary) == SUMMARY_KEYS
    assert (summary["frames"], summary["dropped"], summary["live"]) == (12, 0, False)
    assert summary["age_ms"]["n"] == 10
    assert summary["size_wh"] == [64, 64]
    assert summary["fit_on_device"] is False
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {"results.jsonl", "overlay.mp4", "latency.json", "latency.png"}
    assert ids_in(tmp_path / "run" / "results.jsonl") == list(range(12))
    with av.open(str(tmp_path / "run" / "overlay.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        assert sum(1 for _ in container.decode(video=0)) == 12
    assert json.loads((tmp_path / "run" / "latency.json").read_text()) == summary
    assert (tmp_path / "run" / "latency.png").read_bytes().startswith(b"\x89PNG")
    told = capfd.readouterr()
    assert told.out == ""
    for word in ("preprocess", "infer", "p99", "age at the sinks", "12 frames, 0 dropped"):
        assert word in told.err


def test_a_run_with_a_tracker_numbers_boxes_and_accounts_for_it(config, tmp_path):
    pytest.importorskip("trackers", reason="the extra track is not installed: it needs NumPy 2")
    path = tmp_path / "a.jsonl"
    summary = run(config(tracker="bytetrack", sinks=(f"jsonl={path}",)))
    assert (summary["tracker"], summary["stages_ms"]["track"]["n"]) == ("bytetrack", 10)
    boxes = [json.loads(line)["boxes"] for line in path.read_text().splitlines()]
    assert [box["track"] for box in boxes[0]] == [-1, -1]
    assert {tuple(box["track"] for box in frame) for frame in boxes[1:]} == {(0, 1)}
    # the tiny engine's first box goes right by 1 px for each grey level of green
    assert boxes[-1][0]["velocity_xyxy_px_s"][0] > 0
    assert boxes[-1][1]["velocity_xyxy_px_s"] == [0, 0, 0, 0]


def test_a_run_with_a_camera_tells_metres_and_accounts_for_it(config, tmp_path):
    camera = tmp_path / "mine.toml"
    numbers = "fx_px = 60\nfy_px = 60\ncx_px = 31.5\ncy_px = 5"
    camera.write_text(f"width_px = 64\nheight_px = 48\n{numbers}\nheight_m = 1.5\n")
    path = tmp_path / "a.jsonl"
    summary = run(config(camera=str(camera), sinks=(f"jsonl={path}",)))
    assert set(summary) == SUMMARY_KEYS | {"mounting"}
    assert summary["stages_ms"]["ground"]["n"] == 10
    (mounting,) = summary["mounting"]
    assert (mounting["camera"], mounting["warnings"]) == (str(camera), 0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all("free_distance_m" in line for line in lines)
    # the foot at y = 20 of the first box, 14.5 px below the horizon
    assert lines[0]["boxes"][0]["ahead_m"] == pytest.approx(1.5 * 60 / 14.5, abs=0.3)


def test_a_camera_of_another_shape_is_refused_before_anything_is_written(config, tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(ConfigError, match="another shape"):
        run(config(camera="kitti_2011_09_26", sinks=(f"jsonl={path}",)))
    assert not path.exists()
    with pytest.raises(ConfigError, match="known: "):
        run(config(camera="nobody"))


def test_the_sinks_that_are_named_are_the_ones_that_are_made(config, tmp_path):
    path = tmp_path / "only.jsonl"
    run(config(sinks=(f"jsonl={path}",), out=tmp_path / "run", limit=4))
    assert ids_in(path) == [0, 1, 2, 3]
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {"latency.json", "latency.png"}


def test_a_recording_can_be_run_as_if_it_were_a_camera(config, tmp_path):
    path = tmp_path / "a.jsonl"
    summary = run(config(live=True, fps=200.0, sinks=(f"jsonl={path}",)))
    assert summary["live"]
    assert summary["frames"] + summary["dropped"] == 12
    assert ids_in(path)[-1] == 11


def test_a_folder_of_pictures_plays_ten_a_second(config, tmp_path):
    import cv2  # noqa: PLC0415

    (tmp_path / "in").mkdir()
    for index in range(3):
        cv2.imwrite(str(tmp_path / "in" / f"{index}.png"), np.zeros((33, 45, 3), np.uint8))
    run(config(source=str(tmp_path / "in"), sinks=(f"overlay={tmp_path / 'o.mp4'}",)))
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert [f.time for f in container.decode(video=0)] == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        pytest.param({"source": "none.mp4"}, InputError, "no such file", id="no-source"),
        pytest.param({"engine": "road-lte0"}, EngineError, "known engines", id="no-engine"),
        pytest.param({"backend": "tensort"}, ConfigError, "unknown backend", id="no-backend"),
        pytest.param({"size": "100x64"}, ConfigError, "multiples of 32", id="size"),
        pytest.param({"tracker": "sorted"}, ConfigError, "unknown tracker", id="no-tracker"),
        pytest.param({"limit": 0}, ConfigError, "at least 1 frame", id="limit"),
        pytest.param({"sinks": ("jsonl",)}, ConfigError, "expected jsonl=PATH", id="sink"),
        pytest.param(
            {"sinks": ("jsonl=/proc/none/a",)}, OutputError, "cannot be written", id="unwritable"
        ),
        pytest.param({"out": Path("/proc/none")}, OutputError, "cannot be written", id="no-out"),
    ],
)
def test_what_cannot_be_run_is_one_clear_error(config, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        run(config(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        pytest.param(ONNX_FILE, lambda data: data[:200], "not the file the manifest", id="onnx"),
        pytest.param(MANIFEST_FILE, lambda data: data[:90], "not a manifest", id="cut-manifest"),
        pytest.param(
            MANIFEST_FILE,
            lambda data: data.replace(b'"class_map"', b'"class_mop"'),
            "lacks",
            id="wrong-manifest",
        ),
    ],
)
def test_a_damaged_engine_is_refused(config, make_engine, name, damage, message):
    path = make_engine().folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EngineError, match=message):
        run(config(engine=str(path.parent)))


def test_results_before_a_damaged_frame_are_kept(config, make_video, tmp_path):
    parts = [make_video(frames=6, size_wh=s, suffix=".ts") for s in ((64, 48), (96, 48))]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(p.read_bytes() for p in parts))
    out = tmp_path / "run"
    with pytest.raises(InputError, match="expected 64x48, got 96x48"):
        run(config(source=str(both), out=out))
    ids = ids_in(out / "results.jsonl")
    assert ids == list(range(len(ids)))
    assert len(ids) >= 5
    with av.open(str(out / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(ids)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full of Linux")
def test_a_full_disk_under_one_sink_leaves_the_other_one_whole(config, tmp_path):
    good = tmp_path / "good.jsonl"
    with pytest.raises(OutputError, match="No space left"):
        run(config(sinks=("jsonl=/dev/full", f"jsonl={good}")))
    assert ids_in(good) == [0]


INTERRUPTED = """
import json, sys
from perception.runtime.opening import RunConfig
from perception.runtime.run import run
summary = run(RunConfig(source={source!r}, engine={engine!r}, live=True, fps=5.0, sinks=({sink!r},)))
print(json.dumps(summary))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_everything_written(config, video, tiny_engine, tmp_path, number):
    path = tmp_path / "a.jsonl"
    code = INTERRUPTED.format(
        source=str(video), engine=str(tiny_engine.folder), sink=f"jsonl={path}"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=20)
    summary = json.loads(out.splitlines()[-1])
    assert summary["interrupted"]
    assert 0 < summary["frames"] < 12
    assert len(ids_in(path)) == summary["frames"]
    assert process.returncode == 0  # the command line turns "interrupted" into 130


def test_the_handlers_of_signals_are_put_back(config):
    before = signal.getsignal(signal.SIGINT)
    run(config(limit=1))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_leaves_signals_alone(config):
    summaries = []
    thread = threading.Thread(target=lambda: summaries.append(run(config(limit=2))))
    thread.start()
    thread.join(20)
    assert summaries[0]["frames"] == 2


# --- the Python API ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_stream_gives_a_scene_for_each_frame_in_its_own_pixels(video, tiny_engine, backend):
    scenes = list(perception.stream(str(video), tiny_engine.folder, backend=backend))
    assert [s.frame.frame_id for s in scenes] == list(range(12))
    for scene in scenes:
        np.testing.assert_array_equal(scene.class_map, scene.frame.image[..., 0])
        shift = float(scene.frame.image[0, 0, 1])
        assert scene.detections.boxes_xyxy[0, 0] == min(8 + shift, 64)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_lossless_run_gives_bit_for_bit_what_the_offline_evaluation_scores(backend):
    engine = load_engine(DEFAULT_ENGINE)
    least = engine.manifest.score_threshold
    found = 0
    with SizedBackends(backend, engine) as offline:
        for scene in perception.stream("demo", backend=backend, live=False, limit=6):
            scored = run_frame(offline, scene.frame.image)
            np.testing.assert_array_equal(scene.class_map, scored.class_map)
            shown = scored.detections.scores >= least
            for name in ("boxes_xyxy", "scores", "class_ids"):
                expected = getattr(scored.detections, name)[shown]
                np.testing.assert_array_equal(getattr(scene.detections, name), expected)
            found += shown.sum()
    assert found > 6, "frames without boxes show nothing"


def test_ending_a_stream_early_ends_its_threads(video, tiny_engine):
    for _ in perception.stream(str(video), tiny_engine.folder, limit=5):
        break
    assert [t for t in threading.enumerate() if t.name.startswith("perception-")] == []


@pytest.mark.parametrize("size_wh", [(64, 48), (65, 33), (1, 1), (200, 7)])
def test_a_loaded_engine_takes_pictures_of_any_size(tiny_engine, size_wh):
    perceive = perception.load(tiny_engine.folder)
    scene = perceive(np.full((size_wh[1], size_wh[0], 3), 3, np.uint8))
    assert scene.class_map.shape == (size_wh[1], size_wh[0])
    assert (scene.class_map == 3).all()


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'strem'"):
        perception.strem  # noqa: B018 (reading it is the point)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, perception; sys.exit(str([m for m in ('numpy', 'cv2', 'av', 'torch') if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
