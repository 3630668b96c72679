"""Real plans on a real GPU: built here, compared with ONNX Runtime, timed, and run for ten minutes."""

import gc
import shutil
import time

import pytest

from perception.backends.device import open_device
from perception.backends.products import find_product
from perception.backends.tensorrt import TensorRTBackend
from perception.core.geometry import fit_letterbox
from perception.core.manifest import DEFAULT_ENGINE, load_engine
from perception.export.parity import NO_THRESHOLD, Parity
from perception.export.tensorrt.build import build_plan
from perception.export.tensorrt.check import drive_feeds
from perception.export.tensorrt.options import BuildOptions
from perception.runtime.bench.plan import bench_plan
from perception.stages.preprocess import fit_image
from tests.backends.device.conftest import FIT, SIZE
from tests.process import resident_bytes

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]  # each builds a plan

LEAK_S = 600
MIB = 1 << 20


@pytest.fixture
def build(tmp_path):
    """Build a plan of the shipped model for this GPU, in a copy of its folder."""

    def make(precision, **changes):
        copy = load_engine(shutil.copytree(load_engine(DEFAULT_ENGINE).folder, tmp_path / "engine"))
        with open_device() as device:
            capabilities = () if find_product().needs_gpu else (device.capability,)
        options = BuildOptions(
            precision=precision, size_wh=SIZE, capabilities=capabilities, **changes
        )
        build_plan(copy, copy.folder, options)
        return copy

    return make


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_gives_what_float32_gives(build, expected, precision):
    engine = build(precision)
    parity = Parity("tensorrt", precision)
    feeds = []
    for feed in drive_feeds(engine, 20):
        frame_wh = (feed.shape[2], feed.shape[1])
        feeds.append(fit_image(feed[0], fit_letterbox(frame_wh, SIZE))[None])
    with TensorRTBackend(engine, SIZE, precision=precision) as runner:
        for index, feed in enumerate(feeds):
            parity.add(str(index), expected(feed), runner.infer({"frame": feed}), NO_THRESHOLD)
    assert parity.boxes > 20
    assert parity.road_either > 1000
    assert parity.violations() == []


def test_a_plan_fits_whole_frames_as_its_graph_says(build, expected_of_whole):
    engine = build("fp16", frame_wh=FIT.frame_wh)
    parity = Parity("tensorrt", "fp16")
    with TensorRTBackend(engine, SIZE, frame_wh=FIT.frame_wh) as runner:
        assert runner.fit == FIT
        for index, feed in enumerate(drive_feeds(engine, 20, FIT)):
            got = runner.infer({"frame": feed})
            parity.add(str(index), expected_of_whole(feed), got, NO_THRESHOLD)
    assert parity.road_either > 1000
    assert parity.violations() == []


def test_the_times_of_the_device_fit_into_the_latency(build):
    engine = build("fp16")
    summary = bench_plan(engine, precision="fp16", size="160x96", frames=200)
    parts = sum(times["p50"] for times in summary["device_ms"].values())
    assert 0 < parts <= summary["latency_ms"]["p50"]
    assert summary["fps"] >= 0.9 * summary["fps_single"]


def free_bytes():
    gc.collect()
    with open_device() as device, device.current():
        return device.free_bytes()[0]


@pytest.mark.timeout(LEAK_S + 120)
def test_ten_minutes_leave_memory_as_it_was(build, make_frames):
    engine = build("fp16")
    frames = make_frames(8)
    for _ in range(3):  # opened and closed, warm
        with TensorRTBackend(engine, SIZE) as runner:
            runner.infer({"frame": frames[0]})
    free_before, resident_before = free_bytes(), resident_bytes()
    until = time.monotonic() + LEAK_S
    while time.monotonic() < until:
        with TensorRTBackend(engine, SIZE) as runner:
            for index in range(2000):
                runner.infer({"frame": frames[index % len(frames)]})
    assert free_before - free_bytes() < 16 * MIB
    assert resident_bytes() - resident_before < 64 * MIB
