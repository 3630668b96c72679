import json

import numpy as np
import pytest

from perception.core.errors import EngineError, InputError
from perception.core.labels import ROAD
from perception.datasets import Sample
from perception.export import parity
from perception.export.parity import Parity, Tolerance, match_boxes
from perception.export.verify import verify


def make_outputs(
    boxes=((10, 10, 30, 30), (50, 10, 70, 30)), scores=(0.9, 0.5), class_ids=(0, 1), road=50
):
    class_map = np.zeros((1, 10, 10), np.uint8)
    class_map.ravel()[:road] = ROAD
    return {
        "boxes_xyxy": np.array([boxes], np.float32).reshape(1, -1, 4),
        "scores": np.array([scores], np.float32),
        "class_ids": np.array([class_ids], np.int32),
        "class_map": class_map,
    }


def compared(want, got):
    result = Parity("onnxruntime", "fp32")
    result.add("frame", want, got, threshold=0.4)
    return result


def test_equal_outputs_have_no_difference():
    figures = compared(make_outputs(), make_outputs()).figures()
    assert figures["ok"]
    assert (figures["equal_pixels"], figures["road_iou"], figures["matched_boxes"]) == (1, 1, 1)
    assert (figures["box_px"], figures["score"]) == (0, 0)


def test_swapped_near_equal_scores_are_no_difference():
    swapped = make_outputs(((50, 10, 70, 30), (10, 10, 30, 30)), (0.5, 0.9), (1, 0))
    assert compared(make_outputs(), swapped).figures()["ok"]


@pytest.mark.parametrize(
    ("got", "words"),
    [
        pytest.param(
            make_outputs(((10, 10, 31, 30), (50, 10, 70, 30))),
            "box difference, px 1",
            id="moved box",
        ),
        pytest.param(make_outputs(class_ids=(0, 2)), "matched boxes 0.5", id="other class"),
        pytest.param(make_outputs(road=52), "equal pixels 0.98", id="other pixels"),
        pytest.param(make_outputs(scores=(0.9, 0.45)), "score difference 0.05", id="other score"),
    ],
)
def test_a_difference_is_found_and_named(got, words):
    result = compared(make_outputs(), got)
    assert any(text.startswith(words) for text in result.violations())
    assert not result.figures()["ok"]


def test_further_outputs_are_compared_at_matched_boxes_and_pixel_by_pixel():
    told = np.array([[[1.0, 2.0], [3.0, 4.0]]], np.float32)
    want = make_outputs() | {"vectors": told, "map": np.zeros((1, 10, 10), np.uint8)}
    swapped = make_outputs(((50, 10, 70, 30), (10, 10, 30, 30)), (0.5, 0.9), (1, 0))
    got = swapped | {"vectors": told[:, ::-1], "map": want["map"].copy()}
    assert compared(want, got).figures()["further_near"] == {"vectors": 1.0, "map": 1.0}
    got["vectors"], got["map"][0, :2] = told, 1
    result = compared(want, got)
    assert result.figures()["further_near"] == {"vectors": 0.0, "map": 0.8}
    assert {text.split(",")[0] for text in result.violations()} == {
        "near values of vectors 0", "near values of map 0.8"
    }  # fmt: skip


def test_a_frame_in_which_a_box_crosses_the_threshold_is_listed_and_its_pixels_are_not_judged():
    result = compared(
        make_outputs(scores=(0.9, 0.4001)), make_outputs(scores=(0.9, 0.3999), road=90)
    )
    assert result.crossing == ["frame"]
    assert result.pixels == 0


def test_a_comparison_that_judged_nothing_fails():
    result = compared(make_outputs(scores=(0.9, 0.4001)), make_outputs(scores=(0.9, 0.3999)))
    assert "nothing was compared" in result.violations()[0]


def make_road(rows):
    """Outputs with so many rows of 100 road pixels."""
    outputs = make_outputs()
    outputs["class_map"] = np.zeros((1, 40, 100), np.uint8)
    outputs["class_map"][0, :rows] = ROAD
    return outputs


@pytest.mark.parametrize(
    ("rows", "worst"),
    [
        pytest.param((20, 19), 0.95, id="a frame with road"),
        pytest.param((9, 1), 1.0, id="a frame with hardly any"),
    ],
)
def test_the_road_of_the_worst_frame_is_told(rows, worst):
    result = compared(make_road(rows[0]), make_road(rows[1]))
    assert result.worst_road_iou == worst
    assert any(v.startswith("road IoU of one frame") for v in result.violations()) == (worst < 1)


def test_a_limit_that_is_not_set_is_not_judged():
    moved = make_outputs(((10, 10, 31, 30), (50, 10, 70, 30)))
    result = Parity("tensorrt, emulated", "fp16")
    result.add("frame", make_outputs(), moved, threshold=0.4)
    assert result.box_px == 1
    assert result.violations() == []


def test_a_runner_that_fitted_no_frame_is_not_judged():
    unused = Parity("tensorrt", "fp16")
    assert unused.violations() == []
    assert not unused.figures()["judged"]


def test_a_box_is_matched_once():
    doubled = make_outputs(((10, 10, 30, 30), (11, 10, 31, 30)), (0.9, 0.5), (0, 0))
    pairs = match_boxes(make_outputs(((10, 10, 30, 30),), (0.9,), (0,)), doubled)
    np.testing.assert_array_equal(pairs, [[0, 0]])


def make_samples(count=2):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 64, 90, 3), np.uint8)
    class_map = np.repeat(np.array([0, ROAD], np.uint8), 32)[:, None].repeat(90, axis=1)
    return [
        (f"frame{i}", Sample(f"frame{i}", image, class_map, None, None))
        for i, image in enumerate(images)
    ]


def test_every_backend_of_the_engine_is_compared_and_the_figures_are_kept(engine, here):
    summary = verify(engine, make_samples(), [("onnxruntime", "fp32"), ("openvino", "fp32")])
    kept = json.loads((engine.folder / "parity.json").read_text())
    assert kept == json.loads(json.dumps(summary))
    page = (engine.folder / "parity.md").read_text()
    assert "| onnxruntime | fp32 | 2 |" in page
    assert "| tensorrt, emulated | fp16 | 2 |" in page
    assert (
        "| fp16 | 0.998 | 0.998 | 0.995 | 0.99 | - | 0.01 | -0.1 to +0.1 | -0.5 to +0.5 | - |"
        in page
    )
    limit = "-1 to any gain"
    assert f"| int8 | - | - | - | - | - | - | {limit} | {limit} | {limit} |" in page
    assert [(r["backend"], r["precision"], r["frames"]) for r in kept["results"]] == [
        ("onnxruntime", "fp32", 2),
        ("openvino", "fp32", 2),
        ("tensorrt, emulated", "fp16", 2),
    ]
    (labels,) = kept["labels"]  # float32 runners change nothing
    assert (labels["backend"], labels["precision"]) == ("tensorrt, emulated", "fp16")
    assert list(labels["figures"]) == ["miou", "road_f1", "road_maxf_image"]
    assert labels["judged"]


def test_an_engine_outside_its_tolerance_fails_and_the_figures_are_kept(engine, here, monkeypatch):
    monkeypatch.setitem(
        parity.TOLERANCES, "fp32", Tolerance(1.1, 0.0, 0.0, matched=0.0, box_px=None, score=1.0)
    )
    with pytest.raises(
        EngineError,
        match=r"'small' is outside its tolerances, see .*parity\.md: onnxruntime fp32: equal pixels .*at least 1\.1",
    ):
        verify(engine, make_samples(1), [("onnxruntime", "fp32")])
    assert not json.loads((engine.folder / "parity.json").read_text())["results"][0]["ok"]


def test_no_frame_is_an_error(engine):
    with pytest.raises(InputError, match="no frame was given"):
        verify(engine, [], [("onnxruntime", "fp32")])
