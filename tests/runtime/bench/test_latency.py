"""The run: schedule, grid, and what a report holds."""

import json

import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError, OutputError
from perception.runtime.bench.baseline import check_comparable, judge_reports, read_baseline
from perception.runtime.bench.latency import LatencyConfig, bench_latency, ratio, run_block
from perception.runtime.bench.latency_report import leave_report, rich_tables

MS = 1_000_000


class Clock:
    """Moves only by work and sleep."""

    def __init__(self, work_ms):
        self.ns = 7 * MS
        self._work = iter(work_ms)

    def now(self):
        return self.ns

    def sleep(self, seconds):
        self.ns += round(seconds * 1e9)

    def query(self, _number):
        spent = next(self._work) * MS
        self.ns += spent
        return [0, spent, 0]


@pytest.mark.parametrize(
    ("fps", "latency"),
    [
        pytest.param(None, [5, 25, 5, 5], id="back-to-back"),
        pytest.param(100.0, [5, 25, 20, 15], id="a-stall-delays-those-behind-it"),
        pytest.param(10.0, [5, 25, 5, 5], id="time-enough"),
    ],
)
def test_a_block_keeps_its_schedule(fps, latency):
    clock = Clock([5, 25, 5, 5])
    due, finished, stages = run_block(clock.query, 4, fps, clock.now, clock.sleep)
    assert ((finished - due) // MS).tolist() == latency
    assert (stages[:, 1] // MS).tolist() == [5, 25, 5, 5]


@pytest.fixture(scope="module")
def measured(video, tiny_engine):
    config = LatencyConfig(
        source=str(video),
        engines=(str(tiny_engine.folder),),
        backends=("onnxruntime",),
        precisions=("fp32", ""),  # which comes out the same
        sizes=("64x64", "64x32"),
        threads=(1,),
        queries=40,
        warmup=1,
        fps=2000.0,
    )
    return bench_latency(config)


@pytest.fixture
def report(measured):
    return json.loads(json.dumps(measured[0]))


def test_a_report_has_every_configuration_once_and_adds_up(measured, report):
    names = ["tiny onnxruntime fp32 64x64 1 threads", "tiny onnxruntime fp32 64x32 1 threads"]
    assert list(report["configurations"]) == list(measured[1]) == names
    assert list(report["ratios"]) == names[1:]
    assert report["peak_rss_mib"] > 1
    for name, one in report["configurations"].items():
        assert one["latency_ms"]["n"] == len(measured[1][name]) == 40
        assert len(one["block_medians_ms"]) == 20
        assert sum(stage["share"] for stage in one["stages"].values()) == pytest.approx(1)
        assert one["latency_ms"]["p50"] == pytest.approx(np.median(measured[1][name]))
        assert one["throughput_fps"] <= 2 * 2000  # two queries of a block fill one interval
        assert one["cpu_ms"] > 0


def test_a_ratio_is_to_the_first_configuration():
    first = np.linspace(9.0, 11.0, 21)
    found = ratio(2 * first, first)
    assert found["ratio"] == pytest.approx(2.0)
    assert found["low"] <= 2.0 <= found["high"]


def test_a_report_leaves_a_page_that_loads_nothing(measured, report, tmp_path):
    leave_report(tmp_path / "out", *measured)
    assert read_baseline(tmp_path / "out" / "latency.json") == report
    assert len((tmp_path / "out" / "latency.csv").read_text().splitlines()) == 3
    assert (tmp_path / "out" / "latency.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "latency.html").read_text()
    assert "data:image/png;base64," in page
    assert "64x32" in page
    assert not any(link in page for link in ("http:", "https:", "<link", "<script"))
    assert [table.row_count for table in rich_tables(report)] == [2, 2, 6, 1]


def test_a_report_that_cannot_be_written_is_an_error_of_output(measured, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        leave_report(tmp_path / "out", *measured)


def test_a_slower_run_is_worse_than_its_baseline(report):
    slower = json.loads(json.dumps(report))
    name, other = report["configurations"]
    slower["configurations"][name]["block_medians_ms"] = [11.0, 11.1, 11.2] * 7
    report["configurations"][name]["block_medians_ms"] = [10.0, 10.1, 10.2] * 7
    report["configurations"][other]["block_medians_ms"] = [10.0] * 20
    slower["configurations"][other]["block_medians_ms"] = [10.0] * 20
    check_comparable(report, slower)
    judged = judge_reports(report, slower, 0.03)
    assert [found["verdict"] for found in judged.values()] == ["worse", "same"]
    assert judge_reports(slower, report, 0.03)[name]["verdict"] == "better"
    assert judge_reports(report, slower, 0.2)[name]["verdict"] == "same"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda r: r.update(fps=30.0), "expected fps 2000", id="rate"),
        pytest.param(lambda r: r["machine"].update(cpu="other"), "expected cpu", id="machine"),
        pytest.param(
            lambda r: next(iter(r["configurations"].values())).update(device="GPU"),
            "expected device of tiny",
            id="device",
        ),
        pytest.param(
            lambda r: r.update(configurations={"other engine": {}}),
            "got .'other engine'",
            id="engine",
        ),
    ],
)
def test_a_baseline_of_something_else_is_refused_in_one_line(report, change, message):
    before = json.loads(json.dumps(report))
    change(before)
    with pytest.raises(InputError, match=message) as caught:
        check_comparable(before, report)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 0, "configurations": {}}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "latency.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"expected a latency\.json"):
        read_baseline(path)


@pytest.mark.parametrize("wrong", [{"queries": 0}, {"seconds": -1.0}, {"warmup": -1}, {"fps": 0.0}])
def test_a_run_that_would_measure_nothing_is_a_usage_error(wrong):
    with pytest.raises(ConfigError, match="bench latency: expected"):
        LatencyConfig(engines=("x",), backends=("onnxruntime",), **wrong)


def test_a_baseline_of_another_machine_is_refused_before_anything_is_measured(
    report, video, tiny_engine, monkeypatch
):
    def measure(*_):
        raise AssertionError("measured")

    monkeypatch.setattr("perception.runtime.bench.latency._measure", measure)
    report["machine"]["cpu"] = "other"
    config = LatencyConfig(
        source=str(video),
        engines=(str(tiny_engine.folder),),
        backends=("onnxruntime",),
        sizes=("64x64",),
        threads=(1,),
        fps=2000.0,
    )
    with pytest.raises(InputError, match="expected cpu"):
        bench_latency(config, report)
