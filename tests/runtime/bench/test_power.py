"""Power and clocks of a GPU, on a double of NVML's module: its units are milliwatts, MHz and degrees Celsius."""

import json
import sys
import threading
from itertools import cycle
from types import ModuleType

import pytest

from perception.runtime.bench.latency import LatencyConfig, Measured, bench_latency
from perception.runtime.bench.latency_report import leave_report, rich_tables
from perception.runtime.bench.probes import power
from perception.runtime.bench.probes.power import GpuWatch, Record, open_watch, throttle_reasons
from perception.runtime.machine import Gpu, Gpus


class NVMLError(Exception):
    """NVML's own."""


def make_nvml(told=True, driver=True):
    """A GPU that takes 200, 300, 250 W and so on, and is held back by heat when it takes 300."""
    nvml = ModuleType("pynvml")
    nvml.NVMLError = NVMLError
    nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM, nvml.NVML_TEMPERATURE_GPU = 1, 2, 0
    nvml.nvmlClocksThrottleReasonNone = 0
    nvml.nvmlClocksThrottleReasonGpuIdle = 1
    nvml.nvmlClocksThrottleReasonSwPowerCap = 4
    nvml.nvmlClocksThrottleReasonHwThermalSlowdown = 64
    nvml.nvmlClocksThrottleReasonAll = 69
    nvml.calls = []
    powers = cycle([200_000, 300_000, 250_000])
    nvml.now = 0
    nvml.third_reading = threading.Event()

    def ask_power(handle):
        if not told:
            raise NVMLError("Not Supported")
        return nvml.now

    def begin_reading(handle):
        nvml.now = next(powers)
        if nvml.now == 250_000:
            nvml.third_reading.set()
        return 1 | (64 if nvml.now == 300_000 else 0)  # idle besides, which is no throttling

    def init():
        nvml.calls.append("init")
        if not driver:
            raise NVMLError("Driver Not Loaded")

    nvml.nvmlInit = init
    nvml.nvmlShutdown = lambda: nvml.calls.append("shutdown")
    nvml.nvmlDeviceGetCount = lambda: 1
    nvml.nvmlDeviceGetHandleByIndex = lambda index: f"handle {index}"
    nvml.nvmlDeviceGetName = lambda handle: b"NVIDIA Double"
    nvml.nvmlDeviceGetPowerUsage = ask_power
    nvml.nvmlDeviceGetClockInfo = lambda handle, kind: {1: 1980, 2: 2619}[kind]
    nvml.nvmlDeviceGetTemperature = lambda handle, sensor: 61
    nvml.nvmlDeviceGetCurrentClocksThrottleReasons = begin_reading
    return nvml


@pytest.fixture
def watch():
    opened = []

    def make(**changes):
        opened.append(GpuWatch(make_nvml(**changes), period_s=3600.0))  # read by `end` alone
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_readings_are_in_watts_and_name_what_holds_the_clock_back(watch):
    record, other, watching = Record(), Record(), watch()
    for kept in (record, other, record):
        watching.begin(kept)
        watching.end()
    watching.end()  # told to read nothing
    assert record.summary() == {
        "0 NVIDIA Double": {
            "n": 2,
            "power_w": {"mean": 225.0, "min": 200.0, "max": 250.0},
            "sm_mhz": {"mean": 1980.0, "min": 1980.0, "max": 1980.0},
            "memory_mhz": {"mean": 2619.0, "min": 2619.0, "max": 2619.0},
            "temperature_c": {"mean": 61.0, "min": 61.0, "max": 61.0},
            "throttled": {},
        }
    }
    assert other.summary()["0 NVIDIA Double"]["throttled"] == {"HwThermalSlowdown": 1.0}


def test_what_a_gpu_does_not_tell_is_null(watch):
    record, watching = Record(), watch(told=False)
    watching.begin(record)
    watching.end()
    found = record.summary()["0 NVIDIA Double"]
    assert found["power_w"] is None
    assert found["sm_mhz"]["mean"] == 1980.0


def test_a_watch_lets_nvml_go_once():
    nvml = make_nvml()
    with GpuWatch(nvml) as watching:
        watching.close()
    assert nvml.calls == ["init", "shutdown"]


def test_a_thread_reads_while_a_block_runs():
    record, nvml = Record(), make_nvml()
    with GpuWatch(nvml, period_s=0.001) as watching:
        watching.begin(record)
        assert nvml.third_reading.wait(30)
        watching.end()
    assert record.summary()["0 NVIDIA Double"]["n"] >= 3
    assert record.summary()["0 NVIDIA Double"]["throttled"]["HwThermalSlowdown"] > 0


def test_reasons_are_the_bits_of_the_module():
    assert throttle_reasons(vars(make_nvml())) == {4: "SwPowerCap", 64: "HwThermalSlowdown"}


def test_without_a_driver_or_the_package_nothing_is_watched(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pynvml", make_nvml(driver=False))
    assert open_watch() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(power, "nvidia_gpus", one_gpu)
    assert open_watch() is None
    assert "pip install 'perception[power]'" in caplog.text


def one_gpu():
    return Gpus("580", (Gpu("NVIDIA Double", (9, 0), 80.0),))


def test_a_block_that_is_not_watched_has_no_readings():
    one = Measured("tiny", lambda _: [0, 1, 0], {})
    one.block(2, None)
    assert one.summary()["gpu"] is None


def test_a_latency_report_tells_of_the_gpu_in_json_table_and_page(
    monkeypatch, video, tiny_engine, tmp_path
):
    monkeypatch.setitem(sys.modules, "pynvml", make_nvml())
    config = LatencyConfig(
        source=str(video),
        engines=(str(tiny_engine.folder),),
        backends=("onnxruntime",),
        sizes=("64x64",),
        queries=20,
        warmup=1,
    )
    report, latency_ms = bench_latency(config)
    (found,) = json.loads(json.dumps(report))["configurations"].values()
    gpu = found["gpu"]["0 NVIDIA Double"]
    assert gpu["n"] >= 20  # one for each block, at least
    assert 200.0 <= gpu["power_w"]["mean"] < gpu["power_w"]["max"] == 300.0
    assert 0 < gpu["throttled"]["HwThermalSlowdown"] < 1
    assert rich_tables(report)[-1].title == "GPU, during the queries"
    leave_report(tmp_path, report, latency_ms)
    assert "HwThermalSlowdown" in (tmp_path / "latency.html").read_text()
