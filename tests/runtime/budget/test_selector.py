"""Choice, inference and joining in a run: which map a scene carries, how old it says it is, and what is counted."""

import json
import time
from types import MappingProxyType

import numpy as np
import pytest

from perception.backends.base import Backend
from perception.core.errors import ConfigError
from perception.core.manifest import BOX_OUTPUTS, GRAPH_INPUT, TensorSpec
from perception.core.timing import FrameTiming, LatencyReport
from perception.core.types import Frame
from perception.runtime.budget import selector as selector_module
from perception.runtime.budget.pipeline import BudgetPipeline
from perception.runtime.budget.policy import MAX_MAP_AGE_MS, Variant
from perception.runtime.budget.selector import COVERED, TaskSelector
from perception.runtime.budget.variants import variant_sizes
from perception.runtime.opening import RunConfig
from perception.runtime.run import run
from perception.stages.postprocess import Reading
from tests.runtime.loop import FakeSink, FakeSource

FRAME_WH = (64, 32)
SIZES = (FRAME_WH, (32, 32))
WHOLE, WHOLE_SMALL = (Variant(size, with_map=True) for size in SIZES)
BOXES, BOXES_SMALL = (Variant(size, with_map=False) for size in SIZES)
CALIBRATED_MS = MappingProxyType({WHOLE: 30.0, BOXES: 20.0, WHOLE_SMALL: 10.0, BOXES_SMALL: 5.0})
CARRYING_MS = 25.0  # a budget for boxes at full size and the map at the small one
READING = Reading(0.5, 3)
MS = 1_000_000


class NumberedBackend(Backend):
    """Tells each frame by its green value: in the first box, and as the class of the whole map."""

    name = "fake"

    def __init__(self, variant):
        self.device, self.precision = "none", "fp32"
        width, height = variant.size_wh
        self.inputs = {GRAPH_INPUT: TensorSpec("uint8", (1, height, width, 3))}
        self.outputs = {}
        self._with_map = variant.with_map
        self._boxes = np.zeros((1, 1, 4), np.float32)

    def _infer(self, feeds):
        feed = feeds[GRAPH_INPUT]
        number = int(feed[0, 0, 0, 1])
        self._boxes[0, 0] = (number, 0, number + 4, 4)
        outputs = {
            "boxes_xyxy": self._boxes,
            "scores": np.full((1, 1), 0.9, np.float32),
            "class_ids": np.zeros((1, 1), np.int32),
        }
        if self._with_map:
            outputs["class_map"] = np.full(feed.shape[:3], number, np.uint8)
        return outputs

    def close(self):
        pass


class FakeVariants:
    """Four variants whose calibration is made up."""

    sizes = SIZES

    def __init__(self):
        self.closed = 0
        self._opened = {v: NumberedBackend(v) for v in CALIBRATED_MS}

    def __iter__(self):
        return iter(CALIBRATED_MS)

    def __getitem__(self, variant):
        return self._opened[variant]

    def calibrate(self, work):
        for variant in CALIBRATED_MS:
            work(variant)
        return {v: [ms] * 8 for v, ms in CALIBRATED_MS.items()}

    def close(self):
        self.closed += 1


def frame(number, *, at_ms=None, shade=0):
    image = np.zeros((FRAME_WH[1], FRAME_WH[0], 3), np.uint8)
    image[..., 1] = number
    image[:, ::2, 2] = shade
    return Frame(image, number, round((33 * number if at_ms is None else at_ms) * MS))


def build(budget_ms=CARRYING_MS, **options):
    return TaskSelector(FakeVariants(), budget_ms, READING, frame_wh=FRAME_WH, **options)


def step(selector, taken, spent_ms=None, age_ms=50):
    """One frame through all steps; its scene, and the variant by which it was run."""
    fed = selector.prepare(taken)
    variant = selector._turns[taken.frame_id].variant
    selector.infer(taken)
    scene = selector.scene(taken, READING)
    spent_ns = round(CALIBRATED_MS[variant] * MS if spent_ms is None else spent_ms * MS)
    stages_ns = {
        "read": 10**9,
        "preprocess": 0,
        "infer": spent_ns,
        "postprocess": 0,
        "sinks": 10**9,
    }
    timing = FrameTiming(taken.frame_id, time.monotonic_ns(), age_ms * MS, stages_ns)
    selector.observe(timing, LatencyReport(0))
    assert fed.box.model_wh == variant.size_wh
    return scene, variant


def test_a_scene_between_two_maps_has_its_own_boxes_and_the_last_map_as_it_was():
    selector = build()
    scenes, variants = zip(*(step(selector, frame(n)) for n in range(6)), strict=True)
    assert list(variants) == [WHOLE_SMALL, BOXES] * 3
    assert [scene.map_seen.frame_id for scene in scenes] == [0, 0, 2, 2, 4, 4]
    assert [scene.map_seen.captured_ns for scene in scenes] == [
        n * 33 * MS for n in (0, 0, 2, 2, 4, 4)
    ]
    assert [int(scene.class_map[0, 0]) for scene in scenes] == [0, 0, 2, 2, 4, 4]
    assert [scene.frame.frame_id for scene in scenes] == list(range(6))
    # the small size is half as wide: its boxes come back twice as wide
    assert [scene.detections.boxes_xyxy[0, 0] for scene in scenes] == [0, 1, 4, 3, 8, 5]
    assert scenes[1].class_map is scenes[0].class_map


def test_the_map_is_seen_in_every_frame_while_the_view_changes():
    selector = build()
    variants = [step(selector, frame(n, shade=60 * (n % 2)))[1] for n in range(6)]
    assert variants == [WHOLE_SMALL] * 6


def test_a_map_that_got_too_old_is_not_carried():
    selector = build()
    step(selector, frame(0))
    assert step(selector, frame(1, at_ms=MAX_MAP_AGE_MS + 1))[1] == WHOLE_SMALL
    assert step(selector, frame(2, at_ms=MAX_MAP_AGE_MS + 40))[1] == BOXES


def test_a_map_of_another_frame_size_is_not_carried():
    selector = build()
    step(selector, frame(0))
    other = Frame(np.zeros((40, 64, 3), np.uint8), 1, 33 * MS)
    assert step(selector, other)[1] == WHOLE_SMALL


def test_with_room_for_all_every_frame_is_whole():
    selector = build(budget_ms=31.0)
    assert {step(selector, frame(n))[1] for n in range(4)} == {WHOLE}


def test_frames_get_smaller_once_they_take_longer():
    selector = build(budget_ms=31.0)
    variants = [step(selector, frame(n), spent_ms=60.0, age_ms=100)[1] for n in range(12)]
    assert variants[0] == WHOLE
    assert WHOLE not in variants[3:]


def test_the_map_of_a_frame_that_was_dropped_on_its_way_is_still_carried():
    selector = build()
    dropped, shown = frame(5), frame(6)
    for taken in (dropped, shown):
        selector.prepare(taken)
        selector.infer(taken)
    scene = selector.scene(shown, READING)
    assert (scene.frame.frame_id, scene.map_seen.frame_id) == (6, 5)
    assert int(scene.class_map[0, 0]) == 5
    timing = FrameTiming(6, 0, 0, dict.fromkeys(COVERED, MS))
    selector.observe(timing, LatencyReport(0))
    assert selector._turns == {}


def test_the_account_counts_misses_variants_and_the_age_of_maps_after_warm_up():
    selector = build(warmup=2)
    for number in range(8):
        step(selector, frame(number), spent_ms=26.0 if number in {0, 7} else None)
    found = selector.summary()
    assert (found["budget_ms"], found["covers"]) == (CARRYING_MS, list(COVERED))
    assert found["missed"] == 1  # of frames 2 to 7, that of 7
    assert found["spent_ms"]["n"] == 6
    assert found["variants"] == {"32x32": 3, "64x32 boxes": 3}
    assert found["own_map_share"] == 0.5
    assert (found["map_age_ms"]["p50"], found["map_age_ms"]["max"]) == (66.5, 83.0)
    assert set(found["calibrated_p95_ms"]) == {"64x32", "64x32 boxes", "32x32", "32x32 boxes"}
    json.dumps(found)


@pytest.mark.parametrize(("spent_ms", "kept"), [(24.0, True), (26.0, False)])
def test_the_account_says_whether_the_budget_was_kept_at_p95(spent_ms, kept):
    selector = build()
    step(selector, frame(0), spent_ms=spent_ms)
    assert selector.summary()["kept_at_p95"] is kept


def test_a_budget_below_the_least_is_refused_in_one_line():
    with pytest.raises(
        ConfigError, match=r"--budget-ms 9: expected more than the 10.0 .* 32x32"
    ) as caught:
        build(budget_ms=9.0)
    assert "\n" not in str(caught.value)


def test_closing_closes_the_variants():
    selector = build()
    selector.close()
    assert selector._variants.closed == 1


@pytest.mark.parametrize("live", [False, True])
def test_the_loop_gives_each_frame_its_own_boxes_and_a_map_no_younger_than_it(tiny_engine, live):
    # its costs are noted but not learnt: how long a frame takes here is no concern of this test
    selector = build()
    selector._costs.observe = lambda variant, spent_ms: None
    source = FakeSource(30, live=live, interval_s=0.002)
    sink = FakeSink(work_s=0.003)
    manifest = tiny_engine.manifest
    with BudgetPipeline(
        source, selector._variants[WHOLE], manifest, sink, observers=(selector,), selector=selector
    ) as pipeline:
        report = pipeline.run()
    assert report.finished + report.dropped == 30
    assert list(report.stages_ms()) == ["read", "preprocess", "infer", "postprocess", "sinks"]
    for scene in sink.scenes:
        number, seen = scene.frame.frame_id, scene.map_seen.frame_id
        assert seen <= number
        assert int(scene.class_map[0, 0]) == seen
        assert scene.detections.boxes_xyxy[0, 0] == number * (2 if seen == number else 1)
    assert any(scene.map_seen.frame_id < scene.frame.frame_id for scene in sink.scenes)
    assert selector._turns == {}


# --- with a real engine --------------------------------------------------------------------------------------------------


class MadeUpCosts:
    """By the number of pixels, with the map a third more; nothing is learnt."""

    def __init__(self, calibrated_ms):
        pass

    def p95_ms(self, variant):
        width, height = variant.size_wh
        return width * height / 100 * (1.0 if variant.with_map else 0.7)

    typical_ms = p95_ms

    def observe(self, variant, spent_ms):
        pass


@pytest.fixture
def config(video, tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the cache is made here
    monkeypatch.setattr(selector_module, "RunningCosts", MadeUpCosts)

    def build(**changes):
        fields = {"source": str(video), "engine": str(tiny_engine.folder), "warmup": 0}
        return RunConfig(**{**fields, **changes})

    return build


def results(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_results_of_a_run_tell_the_frame_and_true_age_of_the_map(config, tmp_path):
    lines, whole = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    summary = run(config(budget_ms=30.0, sinks=(f"jsonl={lines}",)))
    run(config(sinks=(f"jsonl={whole}",)))
    found, expected = results(lines), results(whole)
    captured = {line["frame_id"]: line["captured_ns"] for line in found}
    carried = 0
    for line, at_full_size in zip(found, expected, strict=True):
        seen = line["map_seen"]
        assert seen["captured_ns"] == captured[seen["frame_id"]]
        older_ms = (line["captured_ns"] - seen["captured_ns"]) / 1e6
        assert seen["age_ms"] == pytest.approx(line["age_ms"] + older_ms, abs=0.01)
        if seen["frame_id"] != line["frame_id"]:
            carried += 1
            assert line["boxes"] == at_full_size["boxes"]
            assert line["road_outline_px"] == found[seen["frame_id"]]["road_outline_px"]
    assert carried >= 1
    account = summary["budget"]
    assert account["variants"]["64x64 boxes"] == carried
    assert account["own_map_share"] == pytest.approx(1 - carried / 12)
    assert sum(account["variants"].values()) == 12


def test_results_without_a_budget_say_nothing_of_it(config, tmp_path):
    path = tmp_path / "a.jsonl"
    assert "budget" not in run(config(limit=2, sinks=(f"jsonl={path}",)))
    assert "map_seen" not in results(path)[0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"budget_ms": 0.0}, "expected more than 0, got 0", id="none"),
        pytest.param({"budget_ms": float("nan")}, "expected more than 0, got nan", id="nan"),
        pytest.param(
            {"backend": "tensorrt"}, "got 'tensorrt'; those for GPUs would compile", id="tensorrt"
        ),
        pytest.param({"budget_ms": 2.0}, "expected more than the 10.2", id="too-small"),
    ],
)
def test_what_has_no_budget_is_refused_in_one_line(config, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run(config(**{"budget_ms": 30.0, **changes}))
    assert "\n" not in str(caught.value)


def test_an_engine_without_a_class_map_has_no_budget(config, make_engine):
    outputs = {name: TensorSpec("float32", (-1, 4)) for name in BOX_OUTPUTS}
    engine = make_engine(task="detection", outputs=outputs)
    with pytest.raises(
        ConfigError, match=r"boxes and a class map, got 'tiny' without \['class_map'\]"
    ):
        run(config(engine=str(engine.folder), budget_ms=30.0))


@pytest.mark.parametrize(
    ("frame_wh", "largest_wh", "sizes"),
    [
        pytest.param((64, 48), (64, 64), ((64, 64), (64, 32), (32, 32)), id="tiny"),
        pytest.param(
            (1242, 375), (1248, 384),
            ((1248, 384), (1056, 320), (960, 288), (800, 256), (640, 192), (480, 160), (384, 128)), id="kitti",
        ),
        pytest.param(
            (1920, 1080), (928, 544),
            ((928, 544), (800, 448), (704, 416), (608, 352), (480, 288), (352, 224), (288, 160)), id="fitted",
        ),
    ],
)  # fmt: skip
def test_sizes_are_multiples_of_32_of_the_aspect_of_the_frame(frame_wh, largest_wh, sizes):
    assert variant_sizes(frame_wh, largest_wh) == sizes


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_half_of_what_a_frame_takes_is_kept_at_p95_on_the_shipped_drive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the cache is made here
    whole = run(RunConfig(source="demo", limit=60))["stages_ms"]
    half_ms = sum(whole[stage]["p50"] for stage in COVERED) / 2
    account = run(RunConfig(source="demo", budget_ms=half_ms))["budget"]
    assert account["kept_at_p95"], account
