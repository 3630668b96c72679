"""The measurements: they measure what they say, on the frames they say."""

import json

import pytest

from perception.core.errors import ConfigError
from perception.core.timing import FrameTiming, LatencyReport
from perception.runtime.bench.loop import (
    BenchConfig,
    RepeatedSource,
    bench_live,
    bench_loop,
    live_account,
)

MS = 1_000_000


@pytest.fixture
def config(video, tiny_engine):
    def build(**changes):
        fields = {"source": str(video), "engine": str(tiny_engine.folder), "warmup": 2}
        return BenchConfig(**{**fields, **changes})

    return build


def test_the_loop_is_compared_with_inference_alone_on_the_same_frames(config):
    result = bench_loop(config(frames=10, rounds=2))
    assert (result["frames"], result["rounds"]) == (10, 2)
    assert set(result["fps"]) == {"alone", "jsonl", "overlay"}
    assert set(result["ratio"]) == {"jsonl", "overlay"}
    assert all(spread["n"] == 2 and spread["min"] > 0 for spread in result["fps"].values())
    for way in ("jsonl", "overlay"):
        stages = result["cpu_ms_by_stage"][way]
        assert list(stages) == ["read", "preprocess", "infer", "postprocess", "sinks"]
        outside = sum(stages.values()) - stages["infer"]
        assert result["cpu_ms_outside_inference"][way] == pytest.approx(outside)
    json.dumps(result)


def test_a_live_bench_plays_the_recording_as_often_as_the_time_takes(config):
    result = bench_live(config(fps=100.0, duration_s=0.5))
    assert 20 < result["frames"] + result["dropped"] <= 60  # the video has 12
    assert result["waiting_ms"]["p50"] < 50
    json.dumps(result)


def test_waiting_is_the_age_without_the_work_and_drift_compares_thirds():
    report = LatencyReport(warmup=0)
    for index in range(9):
        waiting = 3 if index < 6 else 5
        stages = {
            "read": MS,
            "preprocess": MS,
            "infer": 10 * MS,
            "postprocess": MS,
            "sinks": 9 * MS,
        }
        report.add(FrameTiming(index, index * 30 * MS, (12 + waiting) * MS, stages))
    account = live_account(report)
    assert account["work_ms"]["p50"] == 12.0
    assert account["waiting_p50_by_third_ms"] == [3.0, 3.0, 5.0]
    assert account["drift_ms"] == 2.0


def test_nothing_finished_is_an_account_of_zeros():
    assert live_account(LatencyReport(0))["drift_ms"] == 0.0


def test_a_repeated_recording_goes_on_from_its_start(video):
    with RepeatedSource(str(video)) as source:
        frames = [f for f, _ in zip(source, range(30), strict=False)]
    assert [f.frame_id for f in frames] == list(range(30))
    assert (frames[0].image == frames[12].image).all()


@pytest.mark.parametrize(
    ("bench", "changes"),
    [
        pytest.param(bench_loop, {"rounds": 0}, id="no-rounds"),
        pytest.param(bench_loop, {"frames": 3}, id="all-warm-up"),
        pytest.param(bench_live, {"duration_s": 0.0}, id="no-time"),
    ],
)
def test_a_bench_that_would_measure_nothing_is_a_usage_error(config, bench, changes):
    with pytest.raises(ConfigError, match="bench: expected"):
        bench(config(**changes))
