"""Several cameras in one run: each gets its turn, and one that stalls or is lost costs the others nothing."""

import json
import logging
import subprocess
import sys
import threading

import av
import cv2
import numpy as np
import pytest

import perception
from perception.core.errors import ConfigError, ExitCode, InputError
from perception.runtime.opening import RunConfig, open_for
from perception.runtime.pipeline import Pipeline
from perception.runtime.run import run
from perception.sources import open_source
from perception.stages.tracking.base import Tracker
from tests.runtime.loop import FakeBackend, FakeSink, FakeSource, StallingSource

CAMERA_KEYS = {
    "camera", "source", "frames", "dropped", "age_ms", "size_wh", "source_events", "stalls", "longest_silence_s", "lost",
}  # fmt: skip


@pytest.fixture
def loop(tiny_engine):
    """Build a pipeline of stand-ins; afterwards none of its threads may be left."""

    def build(sources, backend=None, sink=None, **options):
        return Pipeline(sources, backend or FakeBackend(), tiny_engine.manifest, sink, **options)

    yield build
    assert [t.name for t in threading.enumerate() if t.name.startswith("perception-")] == []


def by_camera(sink, cameras):
    """The frame ids that the sinks got, a list a camera."""
    ids = [[] for _ in range(cameras)]
    for scene in sink.scenes:
        ids[scene.frame.camera].append(scene.frame.frame_id)
    return ids


def accounts(pipeline):
    return [camera.summary(pipeline.report) for camera in pipeline.cameras]


def test_recordings_lose_nothing_and_each_keeps_its_order(loop):
    sink = FakeSink()
    pipeline = loop([FakeSource(n) for n in (20, 5, 12)], FakeBackend(0.001), sink)
    report = pipeline.run()
    assert by_camera(sink, 3) == [list(range(20)), list(range(5)), list(range(12))]
    assert (report.finished, report.dropped) == (37, 0)
    assert [one["frames"] for one in accounts(pipeline)] == [20, 5, 12]
    assert {key for one in accounts(pipeline) for key in one} == CAMERA_KEYS
    assert sink.closed == 1


@pytest.mark.parametrize(
    ("inference_s", "writing_s"),
    [pytest.param(0.004, 0.0, id="slow inference"), pytest.param(0.0, 0.006, id="slow sink")],
)
def test_live_cameras_are_served_evenly_whatever_their_rates(loop, inference_s, writing_s):
    sink = FakeSink(work_s=writing_s)
    sources = [FakeSource(10**6, live=True, interval_s=s) for s in (0.0005, 0.001, 0.002, 0.004)]
    loop(sources, FakeBackend(inference_s), sink).run(limit=80)
    counts = [len(ids) for ids in by_camera(sink, 4)]
    assert min(counts) >= 0.5 * max(counts), counts


def test_a_camera_that_stalls_costs_the_others_nothing_and_is_reported(loop, monkeypatch, caplog):
    monkeypatch.setattr("perception.runtime.cameras.STALLED_S", 0.2)
    sink = FakeSink()
    sources = [FakeSource(10**6, live=True, interval_s=0.001) for _ in range(5)]
    sources.insert(2, StallingSource(3, interval_s=0.001))
    pipeline = loop(sources, FakeBackend(0.003), sink)
    with caplog.at_level(logging.WARNING, "perception"):
        pipeline.run(limit=200)
    counts = [len(ids) for ids in by_camera(sink, 6)]
    assert 1 <= counts.pop(2) <= 3
    assert sum(counts) >= 197
    assert min(counts) >= 0.5 * max(counts), counts
    stalled = accounts(pipeline)[2]
    assert (stalled["stalls"], stalled["lost"]) == (1, "")
    assert stalled["longest_silence_s"] > 0.2
    assert caplog.text.count("camera 2 (fake): silent for") == 1


def test_a_camera_that_comes_back_is_served_again(loop, monkeypatch, caplog):
    monkeypatch.setattr("perception.runtime.cameras.STALLED_S", 0.2)

    class Pausing(FakeSource):
        def _pictures(self):
            for index, picture in enumerate(super()._pictures()):
                if index == 3:
                    self._stopping.wait(0.5)
                yield picture

    sink = FakeSink()
    pipeline = loop(
        [FakeSource(700, live=True, interval_s=0.001), Pausing(9, live=True)], sink=sink
    )
    with caplog.at_level(logging.WARNING, "perception"):
        pipeline.run()
    assert by_camera(sink, 2)[1][-1] == 8
    assert accounts(pipeline)[1]["stalls"] == 1
    assert "camera 1 (fake): was silent for 0." in caplog.text


def test_a_camera_that_is_lost_ends_alone(loop, caplog):
    sink = FakeSink()
    broken = FakeSource(4, error=InputError("cable pulled"))
    pipeline = loop([FakeSource(15), broken, FakeSource(15)], FakeBackend(0.001), sink)
    pipeline.run()
    assert by_camera(sink, 3) == [list(range(15)), list(range(4)), list(range(15))]
    assert [one["lost"] for one in accounts(pipeline)] == ["", "cable pulled", ""]
    assert pipeline.cameras.lost == ["camera 1 (fake): cable pulled"]
    assert "camera 1 (fake): lost: cable pulled; the others go on" in caplog.text
    assert broken.closed >= 1


def test_a_run_whose_cameras_are_all_lost_ends(loop):
    sources = [FakeSource(n, error=InputError("gone")) for n in (0, 3)]
    pipeline = loop(sources)
    assert pipeline.run().finished == 3
    assert len(pipeline.cameras.lost) == 2


def test_a_failure_that_is_not_of_the_input_ends_the_whole_run(loop):
    sink = FakeSink()
    sources = [
        FakeSource(10**6, live=True),
        FakeSource(2, live=True, error=ValueError("a mistake of ours")),
    ]
    with pytest.raises(ValueError, match="a mistake of ours"):
        loop(sources, sink=sink).run()
    assert sink.closed == 1


def test_an_interrupt_stops_every_camera_and_none_counts_as_lost(loop):
    sources = [FakeSource(10**6, interval_s=0.001, error=InputError("cut")) for _ in range(3)]
    sink = FakeSink()
    pipeline = loop(sources, sink=sink)
    for _ in pipeline.scenes():
        if pipeline.report.finished == 9:
            pipeline.interrupt()
    for ids, source in zip(by_camera(sink, 3), sources, strict=True):
        assert ids == list(range(len(ids)))
        assert source.read - len(ids) in {
            0,
            1,
        }  # one may be read and not yet given when it is stopped
    assert pipeline.cameras.lost == []
    assert all(source.closed for source in sources)


def test_each_camera_has_a_tracker_of_its_own(loop):
    class Noting(Tracker):
        def track(self, scene):
            seen.setdefault(id(self), set()).add(scene.frame.camera)
            return scene

    seen = {}
    trackers = [Noting(0.5, live=False) for _ in range(3)]
    loop([FakeSource(6) for _ in range(3)], trackers=trackers).run()
    assert [seen[id(tracker)] for tracker in trackers] == [{0}, {1}, {2}]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        pytest.param([], "expected at least one, got none", id="none"),
        pytest.param(
            [FakeSource(1), FakeSource(1, live=True)],
            "all live or all recordings, got 1 live of 2",
            id="mixed",
        ),
    ],
)
def test_what_cannot_run_together_is_refused(loop, sources, message):
    with pytest.raises(ConfigError, match=message):
        loop(sources)


# --- as the command line asks for it -------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures, of the given sizes."""

    def make(name, *sizes_wh):
        folder = tmp_path / name
        folder.mkdir()
        for index, (width, height) in enumerate(sizes_wh):
            cv2.imwrite(str(folder / f"{index}.png"), np.full((height, width, 3), 30, np.uint8))
        return str(folder)

    return make


def test_a_run_of_two_cameras_tells_them_apart_in_everything_it_leaves(
    pictures, tiny_engine, tmp_path, capfd
):
    names = pictures("left", *[(64, 48)] * 4), pictures("right", *[(120, 60)] * 3)
    out = tmp_path / "run"
    summary = run(RunConfig(source=names, engine=str(tiny_engine.folder), warmup=0, out=out))
    assert summary["source"] == ", ".join(names)
    assert summary["size_wh"] == [128, 64]  # of the larger one
    assert [one["source"] for one in summary["cameras"]] == list(names)
    assert [one["frames"] for one in summary["cameras"]] == [4, 3]
    assert [one["size_wh"] for one in summary["cameras"]] == [[64, 48], [120, 60]]
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    sizes = {(row["camera"], tuple(row["size_wh_px"])) for row in rows}
    assert sizes == {(0, (64, 48)), (1, (120, 60))}
    assert sorted((row["camera"], row["frame_id"]) for row in rows) == [
        (camera, index) for camera, count in enumerate((4, 3)) for index in range(count)
    ]
    with av.open(str(out / "overlay.mp4")) as container:
        shown = container.streams.video[0]
        # two cells, as large as the frame that came first
        assert (shown.width, shown.height) in {(2 * 64, 48), (2 * 120, 60)}
    told = capfd.readouterr().err
    assert "2 cameras" in told
    assert "longest silence" in told


def test_frames_of_several_sizes_are_not_left_to_a_backend_that_fits_those_of_one(
    pictures, tiny_engine, monkeypatch
):
    asked = []

    def open_backend(*_arguments, frame_wh, **_options):
        asked.append(frame_wh)
        return FakeBackend()

    monkeypatch.setattr("perception.runtime.opening.open_backend", open_backend)
    small, large = (open_source(pictures(str(n), (64 * n, 32 * n))) for n in (1, 2))
    config = RunConfig(source="")
    for sources in ([small, small], [small, large]):
        open_for(sources, tiny_engine, config).close()
    assert asked == [(64, 32), None]


def test_a_source_that_does_not_open_is_an_error_of_all(video, tiny_engine):
    with pytest.raises(InputError, match=r"none\.mp4: no such file"):
        run(RunConfig(source=(str(video), "none.mp4"), engine=str(tiny_engine.folder)))


def test_a_lost_camera_is_told_by_the_summary_and_the_exit_code(pictures, tiny_engine, tmp_path):
    good = pictures("good", *[(64, 48)] * 6)
    bad = pictures("bad", (64, 48), (64, 48), (80, 48))
    command = [
        sys.executable, "-m", "perception", "run", "--source", good, "--source", bad,
        "--engine", str(tiny_engine.folder), "--sink", f"jsonl={tmp_path / 'a.jsonl'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == ExitCode.INPUT, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert [one["frames"] for one in summary["cameras"]] == [6, 2]
    assert summary["cameras"][0]["lost"] == ""
    assert "expected 64x48, got 80x48" in summary["cameras"][1]["lost"]
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 8


def test_stream_takes_several_sources_and_tells_at_its_end_which_were_lost(pictures, tiny_engine):
    good = pictures("good", *[(64, 48)] * 5)
    bad = pictures("bad", (64, 48), (80, 48))
    assert [s.frame.camera for s in perception.stream([good], tiny_engine.folder)] == [0] * 5
    cameras = []
    with pytest.raises(InputError, match=r"1 of 2 sources ended early: camera 1 .*got 80x48"):
        # what came before the error counts
        cameras.extend(s.frame.camera for s in perception.stream([good, bad], tiny_engine.folder))
    assert sorted(cameras) == [0] * 5 + [1]
