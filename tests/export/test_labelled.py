"""What rounding changes on labels: engines that are equal, engines that find other boxes, and what is allowed."""

import json

import numpy as np
import pytest

from perception.core.errors import EngineError
from perception.core.labels import BOX_CLASSES, ROAD
from perception.datasets import BoxLabels, Sample
from perception.export import labelled, runner, verify
from perception.export.labelled import Flip, LabelChange, label_changes
from perception.export.parity_page import SHOWN_FLIPS, parity_page
from perception.export.runner import EMULATED, Runner

# of the tiny engine, whose threshold is 0.5: scores of 0.9, 0.6 and 0.3
BOXES = ((8, 4, 24, 20), (4, 8, 30, 30), (0, 0, 9, 9))
MOVED = ("8, 4, 24, 20,", "40, 4, 56, 20,")
FP16 = [(EMULATED, "fp16")]


def make_sample(name="a", size_wh=(64, 48), boxes=BOXES):
    """Road in the lower half, and what the tiny engine finds as labels."""
    class_map = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    class_map[size_wh[1] // 2 :] = ROAD
    image = np.zeros((*class_map.shape, 3), np.uint8)
    image[..., 0] = class_map
    labels = BoxLabels(
        np.array(boxes, np.float32),
        np.arange(3, dtype=np.int64),
        (0, 1, 2),
        np.zeros(class_map.shape, np.bool_),
    )
    return name, Sample(name, image, class_map, labels, None)


@pytest.fixture
def rounded_as(monkeypatch, make_engine):
    """Let rounding turn an engine into the one of a changed text."""

    def change(*rename):
        rounded = make_engine(rename)
        monkeypatch.setattr(labelled, "evaluation_variant", lambda engine: engine)
        monkeypatch.setattr(runner, "emulated_variant", lambda *_: rounded)
        return rounded

    return change


def test_equal_engines_change_nothing(tiny_engine, rounded_as):
    rounded_as("", "")
    (change,) = label_changes(tiny_engine, [make_sample()], FP16)
    classes = [f"ap50/{name}" for name in BOX_CLASSES]
    assert [*change.figures] == ["miou", "road_f1", "ap50", *classes], "it has no road score"
    assert change.figures["ap50"] == pytest.approx((1, 1))
    assert set(change.points().values()) == {0}
    assert (change.frames, change.labelled) == (1, 3)
    assert (change.flips, change.violations()) == ((), [])


@pytest.mark.parametrize(
    ("rename", "flips", "ap50"),
    [
        pytest.param(MOVED, [("vehicle", 0.9, 0)], -100 / 3, id="a box elsewhere"),
        pytest.param(("0.9, 0.6,", "0.9, 0.45,"), [("pedestrian", 0.6, 0.45)], 0, id="below the threshold"),
        pytest.param(("0.6, 0.3,", "0.6, 0.55,"), [("cyclist", 0.3, 0.55)], 0, id="above the threshold"),
        pytest.param(("0.9, 0.6,", "0.8, 0.7,"), [], 0, id="found by both"),
        pytest.param(("0.6, 0.3,", "0.6, 0.2,"), [], 0, id="below the threshold in both"),
        pytest.param(("0, 0, 9, 9,", "9, 0, 18, 9,"), [("cyclist", 0.3, 0)], -100 / 3, id="below the threshold, and gone"),
        pytest.param(("0.9, 0.6,", "0.45, 0.05,"), [("pedestrian", 0.6, 0.05), ("vehicle", 0.9, 0.45)], 0,
                     id="the largest difference first"),
    ],
)  # fmt: skip
def test_a_labelled_box_that_one_of_the_two_meets_is_a_flip(
    tiny_engine, rounded_as, rename, flips, ap50
):
    rounded_as(*rename)
    (change,) = label_changes(tiny_engine, [make_sample()], FP16)
    found = [(flip.class_name, flip.float32, flip.rounded) for flip in change.flips]
    assert found == [pytest.approx(flip) for flip in flips]
    boxes = dict(zip(BOX_CLASSES, BOXES, strict=True))
    assert all(flip.box_xyxy == boxes[flip.class_name] for flip in change.flips)
    assert change.points()["ap50"] == pytest.approx(ap50)


def test_frames_that_a_plan_does_not_fit_count_on_neither_side(
    tiny_engine, rounded_as, monkeypatch
):
    rounded = rounded_as("", "")
    elsewhere = [(40, 4, 56, 20), *BOXES[1:]]  # nothing finds this vehicle
    frames = [make_sample("fits"), make_sample("other", (96, 48), elsewhere)]
    monkeypatch.setattr(
        Runner,
        "takes",
        lambda self, image: self.engine is not rounded or image.shape[1] == 64,
    )
    (change,) = label_changes(tiny_engine, frames, FP16)
    assert change.frames == 1
    assert change.figures["ap50"] == pytest.approx((1, 1))


def test_a_rounded_engine_that_changes_a_match_fails_and_the_flip_is_listed(
    make_engine, rounded_as, monkeypatch
):
    engine = make_engine()
    rounded_as(*MOVED)
    monkeypatch.setattr(verify, "compare", lambda *_: [])
    message = (
        r"'tiny' is outside its tolerances, see .*: tensorrt, emulated fp16: "
        r"ap50 -33\.333 points on labels, allowed -0\.5 to \+0\.5$"
    )
    with pytest.raises(EngineError, match=message):
        verify.verify(engine, [make_sample()], [])
    (kept,) = json.loads((engine.folder / "parity.json").read_text())["labels"]
    assert (kept["judged"], kept["ok"]) == (True, False)
    assert kept["figures"]["ap50/vehicle"] == pytest.approx(
        {"float32": 1, "rounded": 0, "points": -100}
    )
    (flip,) = kept["flips"]
    assert (flip["frame"], flip["class_name"], flip["box_xyxy"]) == ("a", "vehicle", [8, 4, 24, 20])
    page = (engine.folder / "parity.md").read_text().splitlines()
    assert "| a | vehicle | 8 4 24 20 | 0.900 | - |" in page
    assert "| ap50/vehicle | 1.0000 | 0.0000 | -100.000 |" in page
    (row,) = [line for line in page if line.endswith("| 1 of 3 | OUTSIDE |")]
    assert row.startswith("| tensorrt, emulated | fp16 | 1 | +0.00 | +0.00 | -33.33 | -100.00 |")


def make_change(precision, flips=(), **figures):
    return LabelChange("onnxruntime", precision, 1, len(flips), figures, tuple(flips))


@pytest.mark.parametrize(
    ("change", "outside"),
    [
        pytest.param(make_change("fp16", road_maxf_image=(0.95, 0.9488)), ["road_maxf_image"], id="fp16 MaxF"),
        pytest.param(make_change("fp16", road_maxf_image=(0.95, 0.9512)), ["road_maxf_image"], id="upwards"),
        pytest.param(make_change("fp16", road_maxf_image=(0.95, 0.9492), ap50=(0.6, 0.604)), [], id="within"),
        pytest.param(make_change("fp16", miou=(0.7, 0.6)), [], id="fp16 has no limit for mIoU"),
        pytest.param(make_change("int8", miou=(0.7, 0.689), ap50=(0.6, 0.58)), ["miou", "ap50"], id="int8"),
        pytest.param(make_change("int8", ap50=(0.6, 0.62)), [], id="int8 may gain"),
        pytest.param(make_change("int8", miou=(0.7, 0.691), road_maxf_image=(0.95, 0.959)), [], id="int8 within"),
        pytest.param(make_change("bf16", miou=(0.7, 0.1)), [], id="no tolerances"),
    ],
)  # fmt: skip
def test_a_figure_that_changes_by_more_than_allowed_is_named(change, outside):
    violations = change.violations()
    assert sorted(text.split()[0] for text in violations) == sorted(outside)
    assert change.summary()["ok"] == (not outside)


def test_figures_that_the_labels_do_not_allow_are_not_judged():
    assert not make_change("fp16").summary()["judged"]
    assert not make_change("bf16", ap50=(0.5, 0.5)).summary()["judged"]
    assert make_change("fp16", ap50=(0.5, 0.5)).summary()["judged"]


def test_a_long_list_of_flips_is_cut_in_the_page_and_says_so():
    flips = [Flip(f"frame{i}", "vehicle", (0, 0, 9, 9), 0.6, 0.3) for i in range(SHOWN_FLIPS + 5)]
    summary = {"engine": "e", "tolerances": {}, "results": []}
    page = parity_page(summary | {"labels": [make_change("bf16", flips).summary()]})
    assert page.count("| vehicle | 0 0 9 9 | 0.600 | 0.300 |") == SHOWN_FLIPS
    assert "and 5 more in `parity.json`" in page
    page = parity_page(summary | {"labels": [make_change("bf16").summary()]})
    assert "more in" not in page
    assert "No match flips." in page
