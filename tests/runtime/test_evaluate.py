"""Scoring a deployed engine: outputs in frame pixels, limits, the closing object and its table."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from perception.core.errors import ConfigError
from perception.core.geometry import fit_letterbox
from perception.core.labels import BOX_CLASSES, MAP_CLASSES, ROAD
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.datasets.base import BoxLabels, Dataset, Sample
from perception.metrics.outputs import read_outputs
from perception.runtime import evaluate as module
from perception.runtime.evaluate import evaluate, figures_table, spread_frames

FRAME_WH = (50, 40)
SKY = MAP_CLASSES.index("sky")


class Made(Dataset):
    """Frames whose lower half is white and road; the box of the vehicle is the same in all."""

    def __init__(self, count):
        super().__init__([f"f{i:03d}" for i in range(count)])
        self.loaded = []

    def load(self, name):
        self.loaded.append(name)
        image = np.zeros((FRAME_WH[1], FRAME_WH[0], 3), np.uint8)
        image[20:] = 255
        class_map = np.where(image[..., 0] > 0, ROAD, SKY).astype(np.uint8)
        boxes = BoxLabels(
            boxes_xyxy=np.array([[10, 10, 30, 30]], np.float32),
            class_ids=np.zeros(1, np.int64),
            boxed_classes=(0, 1, 2),
            unjudged=np.zeros(class_map.shape, np.bool_),
        )
        return Sample(name, image, class_map, boxes, camera=None)


class Seeing:
    """A backend that calls white road, and finds the box; with the outputs of an evaluation if asked."""

    device = "test CPU"

    def __init__(self, size_wh, extra=True):
        self.size_wh = size_wh
        self.extra = extra
        self.closed = False

    def infer(self, feeds):
        feed = feeds[GRAPH_INPUT]
        assert feed.shape == (1, self.size_wh[1], self.size_wh[0], 3)
        scale = min(self.size_wh[0] / FRAME_WH[0], self.size_wh[1] / FRAME_WH[1], 1.0)
        class_map = np.where(feed[..., 0] > 128, ROAD, SKY).astype(np.uint8)
        outputs = {
            "boxes_xyxy": np.array([[[10, 10, 30, 30], [0, 0, 0, 0]]], np.float32) * scale,
            "scores": np.array([[0.9, 0.0]], np.float32),
            "class_ids": np.zeros((1, 2), np.int32),
            "class_map": class_map,
        }
        if self.extra:
            score = np.where(class_map == ROAD, 255, 0).astype(np.uint8)
            outputs |= {"class_map_unmasked": class_map, "road_score": score}
        return outputs

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True


@pytest.fixture
def engine():
    manifest = SimpleNamespace(
        name="tiny", map_classes=MAP_CLASSES, box_classes=BOX_CLASSES, max_pixels=64 * 64
    )
    return Engine(Path("nowhere"), manifest)


@pytest.fixture
def world(monkeypatch):
    """The two ways out of the module: data sets by name and number of frames, backends that are kept for inspection."""
    made = SimpleNamespace(sets={"many": Made(10), "few": Made(3)}, backends=[], extra=True)

    def open_backend(name, engine, size_wh, *, precision):
        made.backends.append(Seeing(size_wh, made.extra))
        return made.backends[-1]

    monkeypatch.setattr(module, "open_dataset", lambda name, _split: made.sets[name])
    monkeypatch.setattr(module, "open_backend", open_backend)
    return made


BOTH = [("many", "val"), ("few", "val")]


def test_every_frame_of_every_set_is_scored(engine, world):
    summary = evaluate(engine, BOTH, "onnxruntime", "fp32")
    assert world.sets["many"].loaded == list(world.sets["many"].names)
    assert set(summary["figures"]) == {"many:val", "few:val"}
    assert [f["frames"] for f in summary["figures"].values()] == [10, 3]
    assert summary["frames"] == 13
    assert (summary["engine"], summary["backend"]) == ("tiny", "onnxruntime")
    assert (summary["precision"], summary["device"]) == ("fp32", "test CPU")


def test_an_engine_that_is_right_scores_one_with_and_without_the_mask(engine, world):
    figures = evaluate(engine, BOTH, "onnxruntime", "fp32")["figures"]["few:val"]
    names = (
        "miou",
        "miou_unmasked",
        "road_iou",
        "road_maxf_image",
        "road_maxf_image_unmasked",
        "ap50_95",
    )
    assert {name: figures[name] for name in names} == pytest.approx(dict.fromkeys(names, 1.0))


def test_an_engine_without_the_extra_outputs_gives_the_figures_with_the_mask(engine, world):
    world.extra = False
    figures = evaluate(engine, BOTH, "onnxruntime", "fp32")["figures"]["few:val"]
    assert figures["miou"] == 1.0
    assert not any(name.endswith("_unmasked") or "maxf" in name for name in figures)


def test_one_backend_is_opened_for_a_size_and_closed_at_the_end(engine, world):
    evaluate(engine, BOTH, "onnxruntime", "fp32")
    assert [backend.size_wh for backend in world.backends] == [(64, 64)]
    assert all(backend.closed for backend in world.backends)


def test_results_of_a_smaller_engine_come_back_in_the_pixels_of_the_frame(engine, world):
    summary = evaluate(engine, BOTH, "onnxruntime", "fp32", size="32x32")
    assert [backend.size_wh for backend in world.backends] == [(32, 32)]
    figures = summary["figures"]["few:val"]
    assert figures["ap50_95"] == pytest.approx(1.0)
    assert figures["road_iou"] > 0.9


def test_backends_are_closed_when_a_frame_fails(engine, world, monkeypatch):
    monkeypatch.setattr(module, "read_outputs", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate(engine, BOTH, "onnxruntime", "fp32")
    assert all(backend.closed for backend in world.backends)


def test_a_limit_spreads_over_each_set(engine, world):
    evaluate(engine, BOTH, "onnxruntime", "fp32", limit=4)
    assert world.sets["many"].loaded == ["f000", "f002", "f005", "f007"]
    assert world.sets["few"].loaded == ["f000", "f001", "f002"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"limit": 0}, "at least 1", id="no frames"),
        pytest.param({"size": "50x40"}, "multiples of 32", id="size"),
        pytest.param({"datasets": []}, "expected SET:SPLIT", id="no set"),
    ],
)
def test_wrong_usage_is_refused(engine, world, arguments, message):
    given = {"datasets": BOTH, "backend": "onnxruntime", "precision": "fp32"} | arguments
    with pytest.raises(ConfigError, match=message):
        evaluate(engine, **given)


def test_nothing_is_printed_on_stdout(engine, world, capsys):
    evaluate(engine, BOTH, "onnxruntime", "fp32")
    assert capsys.readouterr().out == ""


def test_padding_is_cut_off_and_boxes_are_clipped_to_the_frame():
    box = fit_letterbox((50, 40), (64, 64))
    class_map = np.full((1, 64, 64), SKY, np.uint8)
    class_map[:, :40, :50] = ROAD
    outputs = {
        "boxes_xyxy": np.array([[[40, 30, 60, 60]]], np.float32),
        "scores": np.array([[0.001]], np.float32),
        "class_ids": np.array([[2]], np.int32),
        "class_map": class_map,
        "box_mask": (class_map == ROAD).astype(np.uint8),
    }
    result = read_outputs(outputs, box)
    assert result.class_map.shape == (40, 50)
    assert (result.class_map == ROAD).all()
    assert result.box_mask.dtype == np.bool_
    assert result.box_mask.all()
    assert result.road_score is None
    assert result.detections.boxes_xyxy.tolist() == [[40, 30, 50, 40]]
    assert result.detections.class_ids.tolist() == [2]


@pytest.mark.parametrize(
    ("frames", "many", "few"),
    [
        pytest.param(4, 2, 2, id="even"),
        pytest.param(5, 3, 2, id="odd"),
        pytest.param(1, 1, 0, id="fewer frames than sets"),
        pytest.param(12, 9, 3, id="the larger set gives more"),
        pytest.param(99, 10, 3, id="more than there are"),
    ],
)
def test_frames_are_spread_over_the_sets(world, frames, many, few):
    names = [name for name, image in spread_frames(BOTH, frames)]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("many:val/") for name in names) == many
    assert sum(name.startswith("few:val/") for name in names) == few


def test_no_frames_to_spread_is_refused(world):
    with pytest.raises(ConfigError, match="at least 1"):
        list(spread_frames(BOTH, 0))


def test_the_table_pairs_each_figure_with_its_unmasked_one(engine, world):
    summary = evaluate(engine, BOTH, "onnxruntime", "fp32")
    for figures in summary["figures"].values():
        figures["iou_unmasked/road"] = 0.125
    console = Console(width=200, file=StringIO())
    console.print(figures_table(summary))
    lines = console.file.getvalue().splitlines()
    (row,) = [line for line in lines if "iou/road" in line]
    cells = [cell.strip() for cell in row.split("│")]
    assert cells[2:4] == ["1.0000 / 0.1250"] * 2
    assert not any("_unmasked" in line for line in lines)
