"""The TensorRT runner over a stand-in for TensorRT: memory, order, refusals. What plans compute, only a GPU can show."""

import ctypes
import shutil
import threading

import cv2
import numpy as np
import pytest

import perception
from perception.backends import default_precision, open_backend
from perception.backends.device import DEVICES
from perception.backends.device.base import DeviceError
from perception.backends.plan import find_plan, manifest_path
from perception.backends.tensorrt import SLOTS, TensorRTBackend
from perception.core.errors import ConfigError, EngineError
from perception.core.manifest import TensorSpec
from perception.runtime.account import report_table
from perception.runtime.bench.plan import bench_plan, plan_table
from perception.runtime.opening import RunConfig, open_for
from perception.runtime.pipeline import Pipeline
from perception.sources import DEMO, open_source
from tests.backends.device.conftest import FIT, SIZE
from tests.backends.device.fake_tensorrt import LEAN, IExecutionContext
from tests.runtime.loop import FakeSource

pytestmark = [pytest.mark.double]


@pytest.fixture
def runner(make_plan, binding):
    with TensorRTBackend(make_plan(), SIZE, binding=binding) as opened:
        yield opened


def check_equal(got, want):
    assert set(got) == set(want)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)


def test_every_frame_gets_its_own_outputs(runner, make_frames, expected):
    for frame in make_frames(3):
        check_equal(runner.infer({"frame": frame}), expected(frame))
        assert set(runner.device_ms) == {"upload", "compute", "download"}
        assert min(runner.device_ms.values()) >= 0


def test_frames_in_flight_come_back_in_order(runner, make_frames, expected):
    frames = make_frames(5)
    got = []
    for frame in frames:
        if len(got) + SLOTS <= len(frames) and len(runner._flying) == SLOTS:
            got.append({name: array.copy() for name, array in runner.collect().items()})
        fed = frame.copy()
        runner.submit({"frame": fed})
        fed[...] = 0  # the caller may do with it what it likes
    while len(got) < len(frames):
        got.append({name: array.copy() for name, array in runner.collect().items()})
    for frame, outputs in zip(frames, got, strict=True):
        check_equal(outputs, expected(frame))


def test_outputs_last_until_the_call_after_next(runner, make_frames, expected):
    first, second = make_frames(2)
    kept = runner.infer({"frame": first})
    runner.infer({"frame": second})
    check_equal(kept, expected(first))


def test_a_frame_in_flight_is_not_mistaken_for_the_next(runner, make_frames):
    frame = make_frames(1)[0]
    runner.submit({"frame": frame})
    with pytest.raises(ValueError, match="collect what was submitted"):
        runner.infer({"frame": frame})
    runner.collect()


def test_of_two_plans_that_fit_that_of_an_installed_product_is_taken(make_plan):
    engine = make_plan()
    plan = next(engine.folder.glob("*.engine"))
    other = plan.with_name("fp16-160x96-rtx.engine")
    shutil.copy(plan, other)
    text = manifest_path(plan).read_text()
    manifest_path(other).write_text(text.replace('"tensorrt"', '"tensorrt_rtx"'))
    assert find_plan(engine, SIZE, "fp16").path == plan


def test_no_more_frames_than_slots(runner, make_frames):
    frame = make_frames(1)[0]
    for _ in range(SLOTS):
        runner.submit({"frame": frame})
    with pytest.raises(ValueError, match="at most 2 frames in flight"):
        runner.submit({"frame": frame})
    for _ in range(SLOTS):
        runner.collect()
    with pytest.raises(ValueError, match="expected a frame in flight"):
        runner.collect()


@pytest.mark.parametrize(
    "feeds",
    [
        pytest.param({"image": np.zeros((1, 96, 160, 3), np.uint8)}, id="name"),
        pytest.param({"frame": np.zeros((1, 96, 160, 3), np.float32)}, id="dtype"),
        pytest.param({"frame": np.zeros((1, 96, 128, 3), np.uint8)}, id="shape"),
    ],
)
def test_a_wrong_feed_is_refused_before_anything_is_queued(runner, feeds):
    with pytest.raises(ValueError, match="expected"):
        runner.infer(feeds)
    assert not runner._flying


def test_it_runs_in_another_thread_than_it_was_opened_in(runner, make_frames, expected):
    frame = make_frames(1)[0]
    results = []
    thread = threading.Thread(target=lambda: results.append(runner.infer({"frame": frame})))
    thread.start()
    thread.join()
    check_equal(results[0], expected(frame))


def test_memory_is_allocated_once_and_freed_once(make_plan, binding, make_frames, driver):
    before = driver.live()
    runner = TensorRTBackend(make_plan(), SIZE, binding=binding)
    held = driver.live()
    blocks = SLOTS * (1 + 4)  # one input and four outputs
    graphs = SLOTS if binding == "cuda" else 0
    new = [a - b for a, b in zip(held, before, strict=True)]
    assert new == [blocks, blocks, 3, 4 * SLOTS, graphs]
    for frame in make_frames(4):
        runner.infer({"frame": frame})
    assert driver.live() == held
    runner.submit({"frame": make_frames(1)[0]})  # and closed with a frame in flight
    runner.close()
    runner.close()
    assert driver.live() == before


def test_it_computes_by_graphs_where_the_binding_records_them(runner, binding):
    recorded = [slot.graph is not None for slot in runner._slots]
    assert recorded == [binding == "cuda"] * SLOTS


def test_a_driver_that_refuses_graphs_is_told_of_and_does_without(
    make_plan, make_frames, expected, monkeypatch, caplog
):
    monkeypatch.setenv("CUDA_DOUBLE_NO_GRAPHS", "1")
    frame = make_frames(1)[0]
    with TensorRTBackend(make_plan(), SIZE, binding="cuda") as runner:
        assert [slot.graph for slot in runner._slots] == [None] * SLOTS
        check_equal(runner.infer({"frame": frame}), expected(frame))
    assert "computing without a CUDA graph: CUDA, by cuda.bindings" in caplog.text


def test_a_product_that_cannot_be_recorded_does_without(
    make_plan, make_frames, expected, caplog, monkeypatch
):
    whole = IExecutionContext.execute_async_v3

    def refusing(context, handle):
        recording = context._double.double_capturing(ctypes.c_void_p(handle))
        return not recording and whole(context, handle)

    monkeypatch.setattr(IExecutionContext, "execute_async_v3", refusing)
    frame = make_frames(1)[0]
    with TensorRTBackend(make_plan(), SIZE, binding="cuda") as runner:
        check_equal(runner.infer({"frame": frame}), expected(frame))
    assert "computing without a CUDA graph" in caplog.text


def test_a_context_that_cannot_be_recorded_is_not(make_plan, monkeypatch):
    monkeypatch.setattr(
        IExecutionContext, "is_stream_capturable", lambda _context, _handle: False, raising=False
    )
    with TensorRTBackend(make_plan(), SIZE, binding="cuda") as runner:
        assert [slot.graph for slot in runner._slots] == [None] * SLOTS


def test_a_gpu_without_enough_memory_is_one_clear_error_and_nothing_is_left(
    make_plan, binding, monkeypatch
):
    engine = make_plan()
    monkeypatch.setenv(
        "CUDA_DOUBLE_BYTES", str(100_000)
    )  # the first slot fits, the second does not
    with pytest.raises(DeviceError, match="out of memory"):
        TensorRTBackend(engine, SIZE, binding=binding)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"product_version": "10.16.1"}, "built by tensorrt 10.16.1, got 10.3.0", id="version"),
        pytest.param({"compute_capabilities": ("8.9", "12.0")}, "capability 8.9, 12.0, got 8.6", id="another GPU"),
        pytest.param({"stripped": True}, "no fp16 plan for 160x96", id="stripped"),
        pytest.param({"product_version": "10.16.1", "version_compatible": True}, "built by tensorrt 10.16.1", id="later version"),
        pytest.param({"product_version": "9.9.1", "version_compatible": True}, "built by tensorrt 9.9.1", id="other major version"),
        pytest.param({"content": b"no plan"}, "refuses it: magicTag does not match", id="foreign"),
        pytest.param({"outputs": {"class_map": TensorSpec("int32", (1, 96, 160))}}, "tensor 'class_map': expected", id="dtype"),
        pytest.param({"outputs": {"lanes": TensorSpec("uint8", (1, 96, 160))}}, "tensor 'lanes': expected .*nothing", id="name"),
        pytest.param({"onnx_sha256": "f" * 64}, "built from 'road-lean' ffff", id="another model"),
    ],
)  # fmt: skip
def test_a_plan_that_does_not_belong_here_is_refused(make_plan, binding, changes, words):
    with pytest.raises(EngineError, match=words) as caught:
        TensorRTBackend(make_plan(**changes), SIZE, binding=binding)
    assert "perception build" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {
                "product_version": "10.0.1",
                "version_compatible": True,
                "content": LEAN,
            },
            id="version",
        ),
        pytest.param(
            {"compute_capabilities": ("8.0",), "hardware_compatibility": "ampere_plus"}, id="GPU"
        ),
    ],
)
def test_a_plan_that_was_built_for_others_too_is_taken(make_plan, binding, changes, graph_bytes):
    if "content" in changes:
        changes = {**changes, "content": changes["content"] + graph_bytes}
    TensorRTBackend(make_plan(**changes), SIZE, binding=binding).close()


def test_a_size_without_a_plan_names_the_command_that_makes_one(make_plan):
    with pytest.raises(
        EngineError, match=r"no fp16 plan for 640x384; found .*160x96.* --size 640x384"
    ):
        TensorRTBackend(make_plan(), (640, 384))


def test_without_a_binding_it_says_what_to_install(make_plan, monkeypatch):
    monkeypatch.setattr("perception.backends.device._installed", lambda _package: False)
    with pytest.raises(ConfigError, match="pip install 'perception"):
        TensorRTBackend(make_plan(), SIZE)


def test_the_first_binding_that_is_installed_is_taken(make_plan):
    assert next(iter(DEVICES)) == "pycuda"
    with TensorRTBackend(make_plan(), SIZE) as runner:
        assert runner._device.name == "pycuda"


def test_the_account_of_the_loop_has_the_times_of_the_device(make_plan):
    engine = make_plan()
    with open_backend("tensorrt", engine, SIZE) as runner:
        report = Pipeline(FakeSource(3), runner, engine.manifest).run()
    summary = report.summary()
    assert summary["frames"] == 3
    assert {part: times["n"] for part, times in summary["device_ms"].items()} == {
        "upload": 3,
        "compute": 3,
        "download": 3,
    }
    rows = list(report_table(report).columns[0].cells)
    assert "  infer, on the GPU: compute" in rows


@pytest.mark.parametrize("frames", [1, 5])
def test_the_benchmark_times_a_plan_in_two_ways(make_plan, frames):
    summary = bench_plan(make_plan(), precision="fp16", size="160x96", frames=frames, warmup=1)
    assert summary["latency_ms"]["n"] == summary["device_ms"]["compute"]["n"] == frames
    assert summary["fps"] > 0
    assert summary["fps_single"] > 0
    assert plan_table(summary).row_count == 4


@pytest.fixture
def make_pictures(tmp_path):
    """A folder with two frames of the shipped drive, enlarged."""

    def make(size_wh):
        folder = tmp_path / "x".join(map(str, size_wh))
        folder.mkdir()
        with open_source(DEMO) as source:
            for index, frame in zip(range(2), source, strict=False):
                picture = cv2.resize(frame.image, size_wh, interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(folder / f"{index}.png"), picture)
        return folder

    return make


def scenes_of(folder, engine):
    """What fitted the frames, and what was seen in them."""
    config = RunConfig(source=str(folder), backend="tensorrt", size="x".join(map(str, SIZE)))
    with open_source(config.source) as source, open_for(source, engine, config) as runner:
        assert runner.size_wh == SIZE
        return runner.fit, list(Pipeline(source, runner, engine.manifest).scenes())


def test_whole_frames_give_the_scenes_of_fitted_ones(make_plan, make_pictures):
    folder = make_pictures(FIT.frame_wh)
    by_host, wanted = scenes_of(folder, make_plan())
    by_device, got = scenes_of(folder, make_plan(fit=FIT))  # beside the other, and preferred
    assert (by_host, by_device) == (None, FIT)
    assert len(wanted) == len(got) == 2
    for one, other in zip(wanted, got, strict=True):
        assert (one.class_map == other.class_map).mean() > 0.99
        assert len(one.detections) == len(other.detections)
        np.testing.assert_allclose(
            one.detections.boxes_xyxy, other.detections.boxes_xyxy, atol=12
        )  # a px of the network
        np.testing.assert_allclose(one.detections.scores, other.detections.scores, atol=0.02)


def test_whole_frames_reach_the_graph_as_they_are(make_plan, binding, expected_of_whole):
    width, height = FIT.frame_wh
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    with TensorRTBackend(
        make_plan(fit=FIT), SIZE, frame_wh=FIT.frame_wh, binding=binding
    ) as runner:
        check_equal(runner.infer({"frame": frame}), expected_of_whole(frame))
        with pytest.raises(ValueError, match=r"expected uint8\[1, 1080, 1920, 3\]"):
            runner.infer({"frame": np.zeros((1, SIZE[1], SIZE[0], 3), np.uint8)})


def test_frames_of_another_size_are_fitted_by_the_host(make_plan, make_pictures):
    make_plan(fit=FIT)
    by, scenes = scenes_of(make_pictures((960, 540)), make_plan())
    assert by is None
    assert {scene.class_map.shape for scene in scenes} == {(540, 960)}


def test_the_benchmark_of_whole_frames_does_not_time_another_plan(make_plan):
    asked = {"precision": "fp16", "size": "160x96", "frame": "1920x1080", "frames": 1, "warmup": 0}
    with pytest.raises(EngineError, match=r"no fp16 plan that fits 1920x1080 .*--frame 1920x1080"):
        bench_plan(make_plan(), **asked)
    assert bench_plan(make_plan(fit=FIT), **asked)["frame"] == "1920x1080"


def test_it_is_a_backend_like_the_others(make_plan, make_frames):
    engine = make_plan()
    assert default_precision("tensorrt", engine) == "fp16"
    with open_backend("tensorrt", engine, SIZE) as runner:
        assert (runner.name, runner.precision, runner.size_wh) == ("tensorrt", "fp16", SIZE)
        assert "test double, tensorrt 10.3.0" in runner.device
    assert "test double" in TensorRTBackend.probe()
    with perception.load(engine.folder, backend="tensorrt") as scenes:
        assert scenes(make_frames(1)[0][0]).class_map.shape == (SIZE[1], SIZE[0])
