"""The benchmark of budgets: every size, then every budget, on frames whose answer is known."""

import json

import numpy as np
import pytest

from perception.core.errors import ConfigError
from perception.core.labels import MAP_CLASSES, ROAD
from perception.datasets.base import BoxLabels, Dataset, Sample
from perception.datasets.drives import LabelledDrive
from perception.runtime.budget import bench as module
from perception.runtime.budget.bench import BudgetBench, bench_budget
from perception.runtime.evaluation import frames as frames_module

SKY = MAP_CLASSES.index("sky")
SHOWN = (
    "spent_ms",
    "missed",
    "own_map_share",
    "variants",
    "miou",
    "road_iou",
    "ap50",
    "minus_whole",
)


def sample(name, shift=0):
    """The tiny engine takes the blue value for the class: half sky, half road, on a slant so that small sizes lose some of it."""
    rows, columns = np.mgrid[:48, :64]
    class_map = np.where(rows > (columns + shift) % 48, ROAD, SKY).astype(np.uint8)
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0] = class_map
    boxes = BoxLabels(
        boxes_xyxy=np.array([[8, 4, 24, 20]], np.float32),
        class_ids=np.zeros(1, np.int64),
        boxed_classes=(0, 1, 2),
        unjudged=np.zeros(class_map.shape, np.bool_),
    )
    return Sample(name, image, class_map, boxes, camera=None)


class Slants(Dataset):
    stretch = 1

    def load(self, name):
        return sample(name, int(name))


@pytest.fixture
def bench(tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the cache is made here
    monkeypatch.setattr(
        frames_module, "open_dataset", lambda name, split: Slants([str(i) for i in range(15)])
    )
    monkeypatch.setattr(module, "REFERENCE_FRAMES", 10)

    def run(**changes):
        fields = {
            "data": (("slants", "val"),), "drives": None, "engine": str(tiny_engine.folder), "backend": "onnxruntime",
            "precision": "", "shares": (50.0,), "frames": 15, "passes": 2, "threads": 1, "out": tmp_path / "budget.json",
        }  # fmt: skip
        return bench_budget(BudgetBench(**{**fields, **changes}))

    return run


def test_every_size_and_every_budget_has_a_row_with_time_and_accuracy(bench, tmp_path, capfd):
    summary = bench()
    assert json.loads((tmp_path / "budget.json").read_text()) == json.loads(json.dumps(summary))
    whole, *smaller, budgeted = summary["rows"]
    assert [list(row["variants"]) for row in (whole, *smaller)] == [["64x64"], ["64x32"], ["32x32"]]
    assert all(set(SHOWN) <= set(row) for row in summary["rows"])
    assert whole["miou"] == 1.0
    assert whole["minus_whole"]["road_iou"] == (0.0, 0.0)
    assert smaller[-1]["road_iou"] < 1.0
    assert smaller[-1]["minus_whole"]["road_iou"][1] < 0
    assert (budgeted["share"], budgeted["rule"]) == (50.0, "map in every frame")
    assert budgeted["own_map_share"] == 1.0
    assert budgeted["spent_ms"]["n"] == 10
    told = capfd.readouterr()
    assert told.out == ""
    assert "tiny, onnxruntime fp32" in told.err


def test_drives_are_run_by_each_rule(bench, tmp_path, monkeypatch):
    drive = LabelledDrive("d", np.arange(25) / 30, lambda index: sample(str(index)))
    monkeypatch.setattr(module, "rendered_drives", lambda root: [drive])
    summary = bench(data=(), drives=tmp_path, frames=25, passes=1)
    rules = [row["rule"] for row in summary["rows"]]
    assert rules[-3:] == ["as shipped", "map in every frame", "map in every second frame"]
    assert {row["data"] for row in summary["rows"]} == {str(tmp_path)}


def test_frames_that_are_all_warm_up_are_refused(bench):
    with pytest.raises(ConfigError, match="more than 20 frames, which are warm-up, got 1 times 15"):
        bench(passes=1)


def test_a_gpu_is_refused(bench):
    with pytest.raises(ConfigError, match="expected a backend of"):
        bench(backend="tensorrt")
