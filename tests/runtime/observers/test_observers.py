"""What looks on while the loop runs: it sees every frame, and what it leaves is what its readers expect."""

import json
import urllib.request
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from perception.core.errors import ConfigError, OutputError, RunError
from perception.core.manifest import DEFAULT_ENGINE, load_engine
from perception.runtime.observers.address import parse_address
from perception.runtime.observers.metrics import MetricsServer
from perception.runtime.observers.trace import TraceWriter
from perception.runtime.pipeline import Pipeline
from tests.runtime.loop import FakeBackend, FakeSource

STAGES = ["read", "preprocess", "infer", "postprocess", "sinks"]


class Bar(TypedDict):
    """A complete event as the trace format has it."""

    name: str
    ph: str
    ts: float
    dur: float
    pid: int
    tid: int
    args: dict[str, int]


def run(observers, frames=5, cameras=1):
    manifest = load_engine(DEFAULT_ENGINE).manifest
    sources = [FakeSource(frames) for _ in range(cameras)]
    with Pipeline(sources, FakeBackend(work_s=0.002), manifest, observers=observers) as pipeline:
        return pipeline.run()


def test_the_trace_has_a_process_for_each_camera(tmp_path):
    with TraceWriter(tmp_path / "trace.json") as trace:
        run([trace], cameras=2)
    events = json.loads((tmp_path / "trace.json").read_text())
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert names == {1: "perception", 2: "perception, camera 1"}
    for pid in names:
        mine = [e for e in events if e["pid"] == pid]
        bars = [(e["args"]["frame"], e["name"]) for e in mine if e["ph"] == "X"]
        assert sorted(bars) == sorted((frame, stage) for frame in range(5) for stage in STAGES)
        lines = {e["args"]["name"]: e["tid"] for e in mine if e["name"] == "thread_name"}
        assert sorted(lines.values()) == [1, 2, 3, 4, 5]


def test_prometheus_counts_each_camera_for_itself():
    with MetricsServer("0") as server:
        run([server], cameras=2)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            text = answer.read().decode()
    for camera in (0, 1):
        assert f'perception_frames_total{{camera="{camera}"}} 5.0' in text
        assert f'perception_dropped_total{{camera="{camera}"}} 0.0' in text
        assert f'perception_age_seconds_count{{camera="{camera}"}} 5.0' in text


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "new" / "trace.json"
    with TraceWriter(path) as trace:
        run([trace])
    return json.loads(path.read_text())


def test_the_trace_has_a_bar_for_every_stage_of_every_frame(events):
    bars = TypeAdapter(list[Bar]).validate_python([e for e in events if e["ph"] == "X"])
    seen = [(bar["args"]["frame"], bar["name"]) for bar in bars]
    assert sorted(seen) == sorted((frame, stage) for frame in range(5) for stage in STAGES)
    lines = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name"}
    assert all(lines[bar["name"]] == bar["tid"] for bar in bars)
    ages = [e["args"]["age, ms"] for e in events if e["name"] == "age, ms"]
    assert len(ages) == 5
    assert min(ages) > 0


def test_bars_of_one_line_do_not_overlap_and_those_of_one_frame_follow_each_other(events):
    bars = [e for e in events if e["ph"] == "X"]
    for key in (lambda bar: bar["tid"], lambda bar: bar["args"]["frame"]):
        for place in set(map(key, bars)):
            mine = sorted((bar["ts"], bar["ts"] + bar["dur"]) for bar in bars if key(bar) == place)
            assert all(end <= start + 1 for (_, end), (start, _) in pairwise(mine))


def test_a_trace_that_was_cut_off_opens_once_its_bracket_is_closed(tmp_path):
    """As its readers do it."""
    path = tmp_path / "trace.json"
    trace = TraceWriter(path)
    run([trace], frames=2)
    trace._file.flush()
    assert len(json.loads(path.read_text() + "]")) > 10
    trace.close()
    trace.close()


def test_a_trace_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        TraceWriter(tmp_path)


def test_prometheus_gets_counts_and_histograms_of_what_ran():
    with MetricsServer("0") as server:
        run([server])
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            families = {
                family.name: family
                for family in text_string_to_metric_families(answer.read().decode())
            }
    frames = families["perception_frames"].samples
    assert [s.value for s in frames if s.name.endswith("_total")] == [5]
    counts = {
        s.labels["stage"]: s.value
        for s in families["perception_stage_seconds"].samples
        if s.name.endswith("_count")
    }
    assert counts == dict.fromkeys(STAGES, 5)
    age = {s.name: s.value for s in families["perception_age_seconds"].samples}
    assert age["perception_age_seconds_count"] == 5
    assert age["perception_age_seconds_sum"] > 5 * 0.002


def test_a_port_that_is_taken_is_one_clear_error():
    with (
        MetricsServer("0") as server,
        pytest.raises(RunError, match=r"cannot be served: .*; choose another address"),
    ):
        MetricsServer(str(server.port))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("9100", ("127.0.0.1", 9100)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:9", ("::1", 9))],  # noqa: S104
)
def test_without_a_host_only_this_machine_is_served(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "localhost", "1:x", "70000", "-1"])
def test_what_is_no_address_is_a_usage_error(text):
    with pytest.raises(ConfigError, match="expected PORT or HOST:PORT"):
        parse_address(text)
