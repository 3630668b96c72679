"""Scoring a deployed engine: outputs in frame pixels, limits, the closing object and its table."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rich.console import Console

from perception.backends import sized
from perception.core.errors import ConfigError
from perception.core.geometry import fit_letterbox
from perception.core.labels import BOX_CLASSES, MAP_CLASSES, ROAD
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.datasets.base import BoxLabels, Dataset, Sample
from perception.metrics.outputs import read_outputs
from perception.runtime.evaluation import evaluate as module
from perception.runtime.evaluation import frames as frames_module
from perception.runtime.evaluation.evaluate import evaluate
from perception.runtime.evaluation.failures import FailurePictures
from perception.runtime.evaluation.frames import SpreadSamples, spread_frames
from perception.runtime.evaluation.table import figures_table

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
            distances_m=np.array([20], np.float32),
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

    def close(self):
        self.closed = True


@pytest.fixture
def engine():
    manifest = SimpleNamespace(
        name="tiny",
        map_classes=MAP_CLASSES,
        box_classes=BOX_CLASSES,
        max_pixels=64 * 64,
        score_threshold=0.4,
    )
    return Engine(Path("nowhere"), manifest)


@pytest.fixture
def world(monkeypatch):
    """The two ways out of the folder: data sets by name and number of frames, backends that are kept for inspection."""
    sets = {"many": Made(10), "few": Made(3), "blocks": Made(41)}
    made = SimpleNamespace(sets=sets, backends=[], extra=True)

    def open_backend(name, engine, size_wh, *, precision, threads):
        made.backends.append(Seeing(size_wh, made.extra))
        return made.backends[-1]

    monkeypatch.setattr(frames_module, "open_dataset", lambda name, _split: made.sets[name])
    monkeypatch.setattr(sized, "open_backend", open_backend)
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
        "class_map_unmasked": class_map,
    }
    result = read_outputs(outputs, box)
    assert result.class_map.shape == (40, 50)
    assert (result.class_map == ROAD).all()
    assert result.class_map_unmasked.shape == (40, 50)
    assert (result.class_map_unmasked == ROAD).all()
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


def test_pictures_and_samples_are_of_the_same_frames_evenly_apart(world):
    samples = SpreadSamples(BOTH, 5)
    assert world.sets["many"].loaded == [], "nothing is read before it is asked for"
    names = [f"many:val/{name}" for name in ("f000", "f003", "f006")]
    names += [f"few:val/{name}" for name in ("f000", "f001")]
    assert [name for name, _ in samples] == names
    assert [name for name, _ in spread_frames(BOTH, 5)] == names
    assert len(samples) == 5
    assert samples[1][1].name == "f003"


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


BLOCKS = [("blocks", "val")]


def test_the_summary_says_how_sure_each_figure_is_and_how_that_was_drawn(engine, world):
    summary = evaluate(engine, [*BLOCKS, ("few", "val")], "onnxruntime", "fp32")
    json.dumps(summary)
    intervals = summary["intervals"]["blocks:val"]
    figures = summary["figures"]["blocks:val"]
    sure = {"miou", "iou/road", "road_iou_unmasked", "ap50", "ap50/vehicle", "recall/15-30m"}
    assert sure <= set(intervals)
    assert {name: intervals[name] for name in sure} == {
        name: pytest.approx((figures[name], figures[name])) for name in sure
    }
    assert intervals["road_iou_minus_unmasked"] == (0, 0)
    assert summary["bootstrap"] == {
        "blocks:val": {"resamples": 1000, "block": 10, "blocks": 5},
        "few:val": {"resamples": 1000, "block": 10, "blocks": 1},
    }
    assert summary["intervals"]["few:val"] == {}, "one block tells nothing"
    assert "pictures" not in summary


def test_frames_that_a_set_shuffled_are_drawn_one_by_one(engine, world):
    world.sets["blocks"].stretch = 1
    summary = evaluate(engine, BLOCKS, "onnxruntime", "fp32")
    assert summary["bootstrap"]["blocks:val"] == {"resamples": 1000, "block": 1, "blocks": 41}


def test_the_engines_own_score_threshold_is_what_a_box_is_found_at(engine, world):
    engine.manifest.score_threshold = 0.95  # the box has 0.9
    figures = evaluate(engine, BLOCKS, "onnxruntime", "fp32")["figures"]["blocks:val"]
    assert figures["recall/15-30m"] == 0
    assert figures["ap50"] == pytest.approx(1.0)


def test_the_table_shows_intervals_and_what_the_mask_changes(engine, world):
    summary = evaluate(engine, BLOCKS, "onnxruntime", "fp32")
    summary["intervals"]["blocks:val"] |= {
        "road_iou": (0.25, 0.75),
        "road_iou_unmasked": (0.125, 0.5),
        "road_iou_minus_unmasked": (-0.01, 0.02),
    }
    console = Console(width=200, file=StringIO())
    console.print(figures_table(summary))
    cells = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in console.file.getvalue().splitlines()
    ]
    place = cells.index(["road_iou", "1.0000 / 1.0000"])
    assert cells[place + 1 : place + 3] == [
        ["95 %", "0.250 to 0.750"],
        ["95 %, no mask", "0.125 to 0.500"],
    ]
    place = cells.index(["road_iou, with minus without", "+0.0000"])
    assert cells[place + 1] == ["95 %, road_iou", "-0.0100 to +0.0200"]
    assert ["blocks of frames", "5"] in cells
    figures = [row[0] for row in cells if row]
    assert figures[figures.index("iou/road") + 1] != "95 %", "only the main figures"


def test_the_worst_frames_are_drawn_and_named(engine, world, monkeypatch, tmp_path):
    whole = module.read_outputs

    def blind_to_the_third(outputs, box):
        result = whole(outputs, box)
        if world.sets["few"].loaded[-1] != "f002":
            return result
        return replace(result, class_map=np.full_like(result.class_map, SKY))

    monkeypatch.setattr(module, "read_outputs", blind_to_the_third)
    pictures = FailurePictures(engine.manifest, 2, tmp_path / "new" / "folder")
    summary = evaluate(engine, [("few", "val")], "onnxruntime", "fp32", pictures=pictures)
    (path,) = summary["pictures"]
    assert path == str(tmp_path / "new" / "folder" / "few-val" / "01-f002.png")
    picture = cv2.imread(path)
    assert picture.shape[1] == 2 * FRAME_WH[0]
    assert summary["frames"] == 3
    assert summary["figures"]["few:val"]["frames"] == 3, "drawing scores nothing twice"
