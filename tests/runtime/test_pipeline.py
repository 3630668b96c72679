"""The loop: lossless loses nothing, live counts what it drops, and every end is a clean end."""

import itertools
import threading
import time

import pytest

from perception.core.errors import InputError, OutputError, RunError
from perception.runtime.pipeline import Pipeline
from tests.runtime.loop import DAMAGED, FakeBackend, FakeSink, FakeSource

STAGES = ["read", "preprocess", "infer", "postprocess", "sinks"]


@pytest.fixture
def loop(tiny_engine):
    """Build a pipeline of stand-ins; afterwards none of its threads may be left."""

    def build(source, backend=None, sink=None, **options):
        return Pipeline(source, backend or FakeBackend(), tiny_engine.manifest, sink, **options)

    yield build
    assert [t.name for t in threading.enumerate() if t.name.startswith("perception-")] == []


def test_a_lossless_run_writes_every_frame_in_order_and_closes_all(loop):
    source, sink = FakeSource(40), FakeSink(work_s=0.002)
    report = loop(source, FakeBackend(0.001), sink).run()
    assert sink.ids == list(range(40))
    assert (report.finished, report.dropped) == (40, 0)
    assert sink.closed == 1
    assert source.closed >= 1


def test_each_result_belongs_to_its_frame_though_the_backend_reuses_its_outputs(loop):
    sink = FakeSink(work_s=0.003)
    loop(FakeSource(30), FakeBackend(), sink).run()
    starts = [int(s.detections.boxes_xyxy[0, 0]) for s in sink.scenes]
    assert starts == [int(s.frame.image[0, 0, 1]) for s in sink.scenes] == list(range(30))


def test_a_live_run_keeps_the_newest_frame_and_counts_each_that_it_drops(loop):
    source, sink = FakeSource(60, live=True, interval_s=0.003), FakeSink()
    backend = FakeBackend(0.02)
    report = loop(source, backend, sink).run()
    assert source.read == 60
    assert report.finished + report.dropped == 60
    assert report.dropped > 20
    assert sink.ids == sorted(sink.ids)
    assert sink.ids[-1] == 59  # the last is the newest and is never replaced


def test_frames_dropped_before_the_first_that_is_finished_count_too(loop):
    class LateStart(FakeSource):
        def __iter__(self):
            return itertools.islice(
                super().__iter__(), 3, None
            )  # as if frames 0 to 2 were replaced

    report = loop(LateStart(5, live=True, interval_s=0.005)).run()
    assert (report.finished, report.dropped) == (2, 3)


def test_a_slow_sink_in_a_live_run_drops_results_and_they_stay_young(loop):
    source, sink = FakeSource(100, live=True, interval_s=0.002), FakeSink(work_s=0.02)
    report = loop(source, FakeBackend(), sink).run()
    assert report.finished + report.dropped == 100
    assert report.dropped > 50
    # at most: wait for the sink, wait for the next frame
    assert report.age_ms().p50 < 70


def test_a_slow_consumer_in_a_live_run_gets_new_frames(loop):
    pipeline = loop(FakeSource(100, live=True, interval_s=0.002))
    ages_ms = []
    for scene in pipeline.scenes():
        ages_ms.append((time.monotonic_ns() - scene.frame.captured_ns) / 1e6)
        time.sleep(0.02)
    assert pipeline.report.finished + pipeline.report.dropped == 100
    assert sorted(ages_ms)[len(ages_ms) // 2] < 70


def test_reading_and_inference_and_sinks_overlap(loop):
    source = FakeSource(20, interval_s=0.01)
    began_s = time.monotonic()
    loop(source, FakeBackend(0.01), FakeSink(work_s=0.01)).run()
    assert time.monotonic() - began_s < 0.5  # one after the other it would be 0.6


def test_a_run_without_frames_ends(loop):
    sink = FakeSink()
    report = loop(FakeSource(0), sink=sink).run()
    assert (report.finished, report.fps, sink.closed) == (0, 0.0, 1)


@pytest.mark.parametrize(
    "live", [pytest.param(False, id="lossless"), pytest.param(True, id="live")]
)
def test_a_limit_is_the_number_of_finished_frames(loop, live):
    source, sink = FakeSource(500, live=live, interval_s=0.001), FakeSink()
    report = loop(source, sink=sink).run(limit=7)
    assert (report.finished, len(sink.ids)) == (7, 7)
    if not live:
        assert source.read == 7


def test_every_stage_is_timed_and_the_age_covers_them(loop):
    report = loop(FakeSource(20), FakeBackend(0.002), FakeSink(), warmup=5).run()
    assert list(report.stages_ms()) == list(report.cpu_ms()) == STAGES
    assert {p.n for p in report.stages_ms().values()} == {15}
    for frame in report.frames:
        before_sinks = sum(frame.stages_ns[s] for s in STAGES[:-1])
        assert frame.age_ns >= before_sinks * 0.99
        assert frame.stages_ns["infer"] >= 2_000_000
        assert frame.cpu_ns["infer"] < 2_000_000  # it slept


# --- failures ------------------------------------------------------------------------------------------------------------


def test_a_damaged_input_is_raised_after_the_frames_before_it_were_written(loop):
    source, sink = FakeSource(6, error=DAMAGED), FakeSink(work_s=0.005)
    pipeline = loop(source, FakeBackend(0.002), sink)
    with pytest.raises(InputError, match="frame 6 is damaged"):
        pipeline.run()
    assert sink.ids == [0, 1, 2, 3, 4, 5]
    assert sink.closed == 1


def test_a_failing_inference_ends_all_within_a_second_and_keeps_what_was_before(loop):
    source, sink = FakeSource(10_000, interval_s=0.001), FakeSink()
    pipeline = loop(source, FakeBackend(fails_at=8), sink)
    began_s = time.monotonic()
    with pytest.raises(RuntimeError, match="inference failed at 8"):
        pipeline.run()
    assert time.monotonic() - began_s < 1.0
    assert sink.ids == list(range(8))
    assert sink.closed == 1


def test_a_failing_sink_ends_all_within_a_second(loop):
    source, sink = FakeSource(10_000, interval_s=0.001), FakeSink(fails_at=5)
    pipeline = loop(source, sink=sink)
    began_s = time.monotonic()
    with pytest.raises(OutputError, match="disk full"):
        pipeline.run()
    assert time.monotonic() - began_s < 1.0
    assert sink.ids == [0, 1, 2, 3, 4]
    assert sink.closed == 1


def test_a_consumer_that_raises_ends_the_threads_and_closes_the_files(loop):
    source, sink = FakeSource(10_000), FakeSink()
    scenes = loop(source, sink=sink).scenes()

    def consume():
        for scene in scenes:
            if scene.frame.frame_id == 3:
                raise ValueError("consumer failed")

    with pytest.raises(ValueError, match="consumer failed"):
        consume()
    scenes.close()
    assert sink.closed == 1
    assert source.closed >= 1


def test_a_consumer_that_stops_ends_the_threads(loop):
    source = FakeSource(10_000)
    for _ in loop(source).scenes():
        break
    assert source.read < 20


def test_a_failure_when_closing_is_told_unless_another_came_first(loop, caplog):
    with pytest.raises(OutputError, match="closing failed"):
        loop(FakeSource(3), sink=FakeSink(fails_closing=True)).run()
    sink = FakeSink(fails_at=1, fails_closing=True)
    with pytest.raises(OutputError, match="disk full"):
        loop(FakeSource(3), sink=sink).run()
    assert "closing failed" in caplog.text


def test_a_source_that_falls_silent_is_an_error_after_the_limit(loop, monkeypatch):
    monkeypatch.setattr("perception.runtime.pipeline.STALL_S", 0.1)
    sink = FakeSink()
    with pytest.raises(RunError, match=r"nothing came for 0\.1 s"):
        loop(FakeSource(2, interval_s=30.0), sink=sink).run()
    assert sink.closed == 1


def test_a_source_that_is_waited_for_may_be_silent_for_longer(loop, monkeypatch):
    monkeypatch.setattr("perception.runtime.pipeline.STALL_S", 0.1)
    source = FakeSource(2, interval_s=0.4)
    source.patience_s = 10.0
    assert loop(source, sink=FakeSink()).run().finished == 2


# --- interruption --------------------------------------------------------------------------------------------------------


def test_an_interrupted_run_writes_all_that_was_read(loop):
    source, sink = FakeSource(10_000, interval_s=0.001), FakeSink()
    pipeline = loop(source, FakeBackend(0.003), sink)
    threading.Timer(0.1, pipeline.interrupt).start()
    report = pipeline.run()
    assert pipeline.interrupted
    assert 0 < report.finished == source.read
    assert sink.ids == list(range(source.read))
    assert sink.closed == 1


def test_an_interrupt_ends_the_wait_for_a_silent_source(loop):
    pipeline = loop(FakeSource(5, interval_s=30.0))
    threading.Timer(0.05, pipeline.interrupt).start()
    began_s = time.monotonic()
    assert pipeline.run().finished == 0
    assert time.monotonic() - began_s < 1.0


def test_a_pipeline_that_never_ran_closes_what_it_was_given(loop):
    source, sink = FakeSource(3), FakeSink()
    with loop(source, sink=sink) as pipeline:
        pipeline.close()
    assert (source.closed, sink.closed) == (1, 1)
