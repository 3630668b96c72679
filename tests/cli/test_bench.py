"""The exit codes of `perception bench`: what a script that watches over the latency of an engine lives by."""

import json
import subprocess
import sys

import pytest

from perception.core.errors import ExitCode

QUERIES = 40


@pytest.fixture(scope="module")
def bench(video, tiny_engine):
    """Run `perception bench` on the tiny engine."""

    def run(command, *options):
        arguments = (
            "-m", "perception", "bench", command, "--source", video, "--engine", tiny_engine.folder, "--size", "64x64", "--threads", 1,
            "--queries", QUERIES, *options,
        )  # fmt: skip
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True, text=True, check=False, timeout=50,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def measured(bench, tmp_path_factory):
    """A baseline of this machine."""
    out = tmp_path_factory.mktemp("before")
    done = bench("latency", "--out", out)
    assert done.returncode == ExitCode.DONE, done.stderr
    return json.loads((out / "latency.json").read_text())


@pytest.fixture
def baseline(measured, tmp_path):
    """The baseline as if this machine had taken a multiple of the time."""

    def make(factor=1.0, **machine):
        changed = json.loads(json.dumps(measured))
        changed["machine"] |= machine
        for one in changed["configurations"].values():
            one["block_medians_ms"] = [factor * median for median in one["block_medians_ms"]]
        path = tmp_path / "latency.json"
        path.write_text(json.dumps(changed))
        return path

    return make


@pytest.mark.parametrize(
    ("factor", "verdict", "code"),
    [
        # a hundred times, beside which the noise of any machine is small
        pytest.param(0.01, "worse", ExitCode.FAILED, id="it was faster"),
        pytest.param(100.0, "better", ExitCode.DONE, id="it was slower"),
    ],
)
def test_the_exit_code_tells_whether_it_is_slower_than_the_baseline(
    bench, baseline, factor, verdict, code
):
    done = bench("latency", "--baseline", baseline(factor))
    assert done.returncode == code, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert [found["verdict"] for found in report["verdicts"].values()] == [verdict]


def test_a_baseline_of_another_machine_is_refused_and_nothing_is_printed(bench, baseline):
    done = bench("latency", "--baseline", baseline(cpu="other"))
    assert done.returncode == ExitCode.INPUT
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "expected cpu" in line


def test_a_verdict_of_loadgen_that_is_not_valid_is_the_exit_code_1(bench):
    pytest.importorskip("mlperf_loadgen", reason="the extra loadgen has no wheel for this machine")
    # the queries are fewer than its early stopping needs
    options = ("--scenario", "server", "--seconds", 0, "--fps", 5000, "--latency-ms", 0.001)
    done = bench("loadgen", *options)
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["loadgen"]["result"] == "INVALID"
    assert "LoadGen, server: INVALID; not satisfied: performance constraints" in done.stderr
