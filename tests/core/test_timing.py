"""The latency account: percentiles, drops, warm-up."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.timing import FrameTiming, LatencyReport, percentiles

MS = 1_000_000


def _report(ids, warmup=0, interval_ms=100):
    report = LatencyReport(warmup)
    for count, frame_id in enumerate(ids):
        report.add(
            FrameTiming(
                frame_id=frame_id,
                finished_ns=count * interval_ms * MS,
                age_ns=(10 + count) * MS,
                stages_ns={"read": MS, "infer": (5 + count) * MS},
            )
        )
    return report


def test_percentiles_of_a_hundred_and_one_times_are_their_ranks():
    found = percentiles(n * MS for n in range(101))
    assert (found.n, found.p50, found.p95, found.p99, found.max) == (101, 50, 95, 99, 100)


def test_percentiles_of_nothing_are_zero_of_nothing():
    found = percentiles([])
    assert (found.n, found.p50, found.max) == (0, 0.0, 0.0)


@given(times_ns=st.lists(st.integers(0, 10**12), min_size=1))
def test_percentiles_rise_and_lie_within_the_times(times_ns):
    found = percentiles(times_ns)
    ranks = [min(times_ns) / MS, found.p50, found.p95, found.p99, found.max]
    assert all(a <= b + 1e-6 for a, b in itertools.pairwise(ranks))
    assert found.max == max(times_ns) / MS


@pytest.mark.parametrize(
    ("ids", "dropped"),
    [
        pytest.param([], 0, id="nothing seen"),
        pytest.param([1, 2, 3], 0, id="no gap"),
        pytest.param([5, 6], 0, id="the first frame seen need not be the first"),
        pytest.param([1, 2, 5, 6], 2, id="one gap of two"),
        pytest.param([0, 2, 4], 2, id="two gaps of one"),
    ],
)
def test_a_gap_in_frame_ids_counts_as_dropped_frames(ids, dropped):
    assert _report(ids).dropped == dropped


def test_drops_during_warm_up_count_too():
    assert _report([0, 9, 10], warmup=2).dropped == 8


def test_warm_up_frames_are_left_out_of_every_distribution_but_counted():
    report = _report(range(10), warmup=4)
    summary = report.summary()
    assert (summary["frames"], summary["warmup"]) == (10, 4)
    assert report.age_ms().n == 6
    assert [timing.frame_id for timing in report.frames] == [4, 5, 6, 7, 8, 9]
    assert {stage: found.n for stage, found in report.stages_ms().items()} == {
        "read": 6,
        "infer": 6,
    }


def test_a_run_shorter_than_its_warm_up_has_no_figures():
    summary = _report([0, 1], warmup=5).summary()
    assert (summary["frames"], summary["warmup"], summary["fps"]) == (2, 2, 0.0)
    assert summary["age_ms"]["n"] == 0
    assert summary["stages_ms"] == {}


def test_the_rate_is_of_the_frames_after_warm_up():
    assert _report(range(11), warmup=3, interval_ms=100).fps == pytest.approx(10)


def test_stages_stand_in_the_order_of_the_loop():
    assert list(_report([0, 1]).stages_ms()) == ["read", "infer"]


def test_a_summary_can_be_written_as_json():
    summary = _report(range(3)).summary()
    assert json.loads(json.dumps(summary)) == summary


def test_drops_and_ages_are_told_apart_by_camera():
    report = LatencyReport(warmup=0, first_id=0)
    for camera, frame_id in ((0, 0), (1, 2), (0, 1), (1, 5)):
        report.add(FrameTiming(frame_id, frame_id, (camera + 1) * MS, {}, camera=camera))
    assert (report.finished, report.dropped) == (4, 4)
    assert dict(report.finished_by) == {0: 2, 1: 2}
    assert dict(report.dropped_by) == {0: 0, 1: 4}
    assert [report.age_ms(camera).p50 for camera in (0, 1, None)] == [1.0, 2.0, 1.5]
