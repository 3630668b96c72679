"""MLPerf's load generator: its verdict on an engine that is fast enough, on one that is not, and on one that fails."""

import multiprocessing
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from perception.backends.onnxruntime import OnnxRuntimeBackend
from perception.core.errors import ConfigError

pytest.importorskip("mlperf_loadgen", reason="the extra loadgen has no wheel for this machine")

from perception.runtime.bench.loadgen import SUMMARY, LoadgenConfig, bench_loadgen, parse_summary


def in_child(work, *arguments):
    """Result of `work` in a process of its own: LoadGen is C++ with threads, and would take the other tests with it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result(timeout=50)


@pytest.fixture
def config(video, tiny_engine, tmp_path):
    def make(**changes):
        fields = {"queries": 100, "seconds": 0.0, "size": "64x64", "threads": 1}
        fields["out"] = tmp_path / "logs"
        return LoadgenConfig(
            source=str(video),
            engine=str(tiny_engine.folder),
            backend="onnxruntime",
            **{**fields, **changes},
        )

    return make


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream"])
def test_a_tiny_engine_gets_the_verdict_valid(config, scenario, tmp_path):
    queries, samples = (100, 1) if scenario == "single-stream" else (700, 2)
    report = in_child(bench_loadgen, config(scenario=scenario, queries=queries, samples=samples))
    assert "Result is : VALID" in (tmp_path / "logs" / SUMMARY).read_text()
    found = report["loadgen"]
    assert found["result"] == "VALID"
    assert set(found["satisfied"]) == {"min duration", "min queries", "early stopping"}
    assert all(found["satisfied"].values())
    assert {"min", "mean", "p50", "p90", "p99", "max"} <= set(found["latency_ms"])
    own = report["frames_ms"]
    assert own["n"] >= queries * samples
    # LoadGen's clock runs around ours
    assert own["min"] < found["latency_ms"]["min"]
    assert own["p50"] * samples < 2 * found["latency_ms"]["p50"]


def test_an_engine_that_cannot_keep_up_gets_the_verdict_invalid(config):
    # 200 000 queries a second: whatever the machine, the queue grows
    asked = config(scenario="server", queries=700, fps=200_000.0, bound_ms=0.01)
    report = in_child(bench_loadgen, asked)
    found = report["loadgen"]
    assert found["result"] == "INVALID"
    assert not found["satisfied"]["performance constraints"]
    assert found["latency_ms"]["p99"] > 0.01


def fail_at_the_third_query(config):
    infer, calls = OnnxRuntimeBackend._infer, iter(range(100))

    def fail(backend, feeds):
        if next(calls) == 2:
            raise MemoryError("no more")
        return infer(backend, feeds)

    OnnxRuntimeBackend._infer = fail
    try:
        bench_loadgen(config)
    except MemoryError:
        return next(calls)
    return None


def test_what_a_query_raises_comes_out_and_the_queries_after_it_do_no_work(config):
    assert in_child(fail_at_the_third_query, config()) == 3


def test_ctrl_c_ends_the_process_at_once(config):
    """Also where it was started with Ctrl-C ignored, as a shell starts jobs in the background."""
    settings = config(seconds=60.0)
    command = [sys.executable, "-m", "perception", "bench", "loadgen", "--size", settings.size]
    command += ["--source", settings.source, "--engine", settings.engine, "--seconds", "60"]
    with subprocess.Popen([*command, "--out", settings.out], start_new_session=True) as run:
        while not (settings.out / "mlperf_log_detail.txt").exists():  # LoadGen has begun
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == -signal.SIGINT


def test_a_summary_of_the_server_scenario_is_read():
    text = """Scenario : Server
Completed samples per second    : 184.73
Result is : INVALID
  Performance constraints satisfied : Yes
  Min queries satisfied : Yes
  Early stopping satisfied: NO
Scheduled samples per second : 185.13
Min latency (ns)                : 1148442
99.90 percentile latency (ns)   : 2473127
"""
    assert parse_summary(text) == {
        "result": "INVALID",
        "satisfied": {"performance constraints": True, "min queries": True, "early stopping": False},
        "latency_ms": {"min": 1.148442, "p99.9": 2.473127},
        "rates": {"Completed samples per second": 184.73, "Scheduled samples per second": 185.13},
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [{"scenario": "constant-stream"}, {"fps": 0.0}, {"bound_ms": 0.0}, {"samples": 0}, {"queries": -1}, {"seconds": -1.0}],
    ids=str,
)  # fmt: skip
def test_a_run_that_cannot_be_asked_for_is_a_usage_error(config, wrong):
    with pytest.raises(ConfigError, match="bench loadgen: expected") as caught:
        config(**wrong)
    assert "\n" not in str(caught.value)
