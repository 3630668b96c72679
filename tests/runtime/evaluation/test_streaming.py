"""Streaming accuracy on drives whose answer is known, and on KITTI's labels."""

import json
import shutil

import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.datasets import BoxLabels, Sample, data_root
from perception.datasets.drives import LabelledDrive, kitti_tracks, rendered_drives
from perception.metrics.evaluator import Evaluator
from perception.runtime.evaluation.streaming import StreamingConfig, oracle, streaming_accuracy
from perception.runtime.evaluation.streaming_bench import StreamingBench, bench_streaming

SIZE_WH = (640, 360)
HZ = 30.0


def drive_of(speed_px_s, frames=60):
    """One box of 60 x 60 px that goes right at a constant speed."""

    def load(index):
        x = 20 + speed_px_s * index / HZ
        boxes = BoxLabels(
            np.array([[x, 100, x + 60, 160]], np.float32),
            np.zeros(1, np.int64),
            (0,),
            np.zeros(SIZE_WH[::-1], np.bool_),
        )
        return Sample(str(index), np.zeros((*SIZE_WH[::-1], 3), np.uint8), None, boxes, None)

    return LabelledDrive("even", np.arange(frames) / HZ, load)


@pytest.fixture
def score():
    """The rows of one drive by latency and whether boxes are moved on, with the labels as the detector."""
    pytest.importorskip("trackers", reason="the extra track is not installed: it needs NumPy 2")

    def run(*drives, latencies_ms=(100.0,)):
        config = StreamingConfig(
            latencies_ms=latencies_ms, measured=False, score_threshold=0.5, block_s=0.2
        )
        summary = streaming_accuracy(
            drives, oracle, lambda: Evaluator(MAP_CLASSES, BOX_CLASSES), config
        )
        return {(row["latency_ms"], row["forecast"]): row for row in summary["conditions"]}

    return run


def test_what_stands_still_costs_nothing_but_the_start(score):
    rows = score(drive_of(0.0))
    assert rows[0.0, False]["ap50"] == pytest.approx(1.0)
    # three of 60 moments have nothing in hand yet
    assert rows[100.0, False]["ap50"] == rows[100.0, True]["ap50"] == pytest.approx(0.95, abs=0.01)


def test_what_moves_is_found_late_and_forecasting_brings_it_back(score):
    rows = score(drive_of(250.0))  # by 25 to 42 px in 100 to 167 ms: IoU 0.41 and less
    late, ahead = rows[100.0, False], rows[100.0, True]
    assert late["ap50"] < 0.05
    assert ahead["ap50"] > 0.8
    assert late["age_ms"] == ahead["age_ms"] == pytest.approx(133, abs=2)
    low, high = ahead["intervals"]["ap50_gain"]
    assert 0.5 < low <= high


def test_every_drive_is_tracked_for_itself(score):
    once, twice = score(drive_of(250.0)), score(drive_of(250.0), drive_of(250.0))
    assert twice[100.0, True]["ap50"] == pytest.approx(once[100.0, True]["ap50"], abs=0.02)


def test_without_a_latency_or_a_drive_there_is_nothing_to_measure(score):
    with pytest.raises(ConfigError, match="at least one drive and one latency"):
        score()
    with pytest.raises(ConfigError, match="at least one drive and one latency"):
        score(drive_of(0.0), latencies_ms=())


@pytest.mark.data
def test_forecasting_brings_back_half_of_what_100_ms_cost_on_kittis_labels(tmp_path, capfd):
    pytest.importorskip("trackers", reason="the extra track is not installed: it needs NumPy 2")
    bench = StreamingBench(
        drives=None,
        labels=False,
        engine="",
        backend="",
        precision="",
        latencies_ms=(100.0, 300.0),
        tracker="bytetrack",
        out=tmp_path,
    )
    summary = bench_streaming(bench)
    offline, late, ahead, *others = summary["conditions"]
    assert (summary["frames"], offline["ap50"]) == (447, pytest.approx(1.0))
    assert ahead["ap50"] - late["ap50"] > 0.5 * (offline["ap50"] - late["ap50"])
    assert all(row["intervals"]["ap50_gain"][0] > 0 for row in (ahead, others[1]))
    assert json.loads((tmp_path / "streaming.json").read_text())["frames"] == 447
    assert (tmp_path / "streaming.png").read_bytes().startswith(b"\x89PNG")
    assert "moved on" in capfd.readouterr().err


@pytest.mark.data
def test_a_damaged_label_file_is_one_line(tmp_path):
    root = tmp_path / "kitti_tracking"
    shutil.copytree(
        data_root() / "kitti_tracking" / "training" / "label_02", root / "training" / "label_02"
    )
    file = root / "training" / "label_02" / "0001.txt"
    file.write_text(file.read_text() + "447 1 Car 0\n")
    with pytest.raises(InputError, match=r"0001\.txt: not a KITTI tracking label file") as caught:
        kitti_tracks(root)
    assert "\n" not in str(caught.value)


def test_a_folder_without_drives_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no synthetic drives there"):
        rendered_drives(tmp_path)
