"""Every backend keeps one contract; damaged and wrong engines are refused in one line."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from perception.backends import BACKENDS, CPU_BACKENDS, DEFAULT_BACKEND, open_backend
from perception.backends.cpu import int8_sums_overflow
from perception.core.errors import ConfigError, EngineError
from perception.core.manifest import ONNX_FILE, Engine, TensorSpec

SIZE_WH = (96, 64)


@pytest.fixture(params=sorted(CPU_BACKENDS))
def name(request):
    return request.param


@pytest.fixture
def backend(name, tiny_engine):
    with open_backend(name, tiny_engine, SIZE_WH) as opened:
        yield opened


def picture(value=0):
    return np.full((1, SIZE_WH[1], SIZE_WH[0], 3), value, np.uint8)


def test_an_opened_backend_says_what_it_is(backend, name):
    assert (backend.name, backend.precision, backend.size_wh) == (name, "fp32", SIZE_WH)
    assert backend.device
    assert backend.inputs == {"frame": TensorSpec("uint8", (1, 64, 96, 3))}
    assert backend.outputs["class_map"] == TensorSpec("uint8", (1, 64, 96))


def test_outputs_have_the_promised_names_types_and_shapes(backend, tiny_engine):
    outputs = backend.infer({"frame": picture()})
    assert set(outputs) == set(tiny_engine.manifest.outputs)
    for output, spec in backend.outputs.items():
        assert (outputs[output].dtype.name, outputs[output].shape) == (spec.dtype, spec.shape)


def test_outputs_belong_to_the_frame_that_was_given(backend):
    first = backend.infer({"frame": picture(3)})
    assert (first["class_map"] == 3).all()
    assert first["boxes_xyxy"][0, 0].tolist() == [11, 4, 27, 20]
    second = backend.infer({"frame": picture(5)})
    assert (second["class_map"] == 5).all()


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        pytest.param({"image": picture()}, r"expected \['frame'\], got \['image'\]", id="name"),
        pytest.param({"frame": picture().astype(np.float32)}, "got float32", id="dtype"),
        pytest.param({"frame": picture()[:, :32]}, r"got uint8\[1, 32, 96, 3\]", id="shape"),
        pytest.param({}, "got \\[\\]", id="nothing"),
    ],
)
def test_wrong_feeds_are_refused(backend, feeds, message):
    with pytest.raises(ValueError, match=message):
        backend.infer(feeds)


def test_closing_twice_does_nothing(name, tiny_engine):
    backend = open_backend(name, tiny_engine, SIZE_WH)
    backend.close()
    backend.close()


def test_the_number_of_threads_does_not_change_the_result(name, tiny_engine):
    with open_backend(name, tiny_engine, SIZE_WH, threads=1) as backend:
        assert (backend.infer({"frame": picture(2)})["class_map"] == 2).all()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: b"no ONNX at all" * 9, id="garbage"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_a_damaged_onnx_file_is_refused_in_one_line(name, tiny_engine, tmp_path, damage):
    # past load_engine's check of the hash: the file was damaged before its manifest was written
    (tmp_path / ONNX_FILE).write_bytes(damage(tiny_engine.onnx_path.read_bytes()))
    with pytest.raises(EngineError, match=str(tmp_path)) as caught:
        open_backend(name, Engine(tmp_path, tiny_engine.manifest), SIZE_WH)
    assert "\n" not in str(caught.value)


def promise(tiny_engine, output, spec):
    return {**tiny_engine.manifest.outputs, output: spec}


@pytest.mark.parametrize(
    ("output", "spec", "message"),
    [
        pytest.param("road_score", TensorSpec("uint8", (-1, -1, -1)), "expected the output 'road_score'", id="missing"),
        pytest.param("scores", TensorSpec("uint8", (-1, 4)), r"expected uint8\[-1, 4\], got float32", id="dtype"),
        pytest.param("scores", TensorSpec("float32", (-1, 9)), r"expected float32\[-1, 9\]", id="shape"),
        pytest.param("scores", TensorSpec("float32", (-1, 4, 1)), r"expected float32\[-1, 4, 1\]", id="rank"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_what_its_manifest_promises_is_refused(
    name, tiny_engine, make_engine, output, spec, message
):
    engine = make_engine(outputs=promise(tiny_engine, output, spec))
    with pytest.raises(EngineError, match=message):
        open_backend(name, engine, SIZE_WH)


def test_a_graph_with_another_input_is_refused(name, make_engine):
    engine = make_engine(rename=("frame", "picture"))
    with pytest.raises(EngineError, match="frame"):
        open_backend(name, engine, SIZE_WH)


@pytest.mark.parametrize(
    ("backend_name", "options", "message"),
    [
        pytest.param("onnxruntime", {"precision": "bf16"}, "'openvino' has bf16", id="ort-bf16"),
        pytest.param("openvino", {"precision": "fp17"}, "got 'fp17'", id="openvino-unknown"),
        pytest.param("onnxruntim", {}, "did you mean 'onnxruntime'", id="misspelt"),
        pytest.param("onnxruntime", {"threads": 0}, "at least 1, got 0", id="no-threads"),
    ],
)
def test_what_a_backend_does_not_have_is_a_usage_error(tiny_engine, backend_name, options, message):
    with pytest.raises(ConfigError, match=message):
        open_backend(backend_name, tiny_engine, SIZE_WH, **options)


def test_bf16_is_refused_where_the_cpu_has_none(tiny_engine, monkeypatch):
    module = pytest.importorskip("perception.backends.openvino")
    monkeypatch.setattr(module.openvino.Core, "get_property", lambda *_: ["FP32"])
    with pytest.raises(ConfigError, match="has no bf16"):
        open_backend("openvino", tiny_engine, SIZE_WH, precision="bf16")


@pytest.mark.parametrize(
    ("flags", "machine", "overflow"),
    [
        pytest.param("fpu avx512f avx512_vnni", "x86_64", False, id="avx512-vnni"),
        pytest.param("fpu avx2 avx_vnni", "x86_64", False, id="avx-vnni"),
        pytest.param("fpu avx2", "x86_64", True, id="avx2"),
        pytest.param("", "AMD64", True, id="nothing-known"),
        pytest.param("", "aarch64", False, id="arm"),
    ],
)
def test_int8_sums_overflow_on_x86_without_vnni(tmp_path, flags, machine, overflow):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: Some\nflags\t\t: {flags}\n")
    assert int8_sums_overflow(path, machine) is overflow


def test_openvino_refuses_int8_where_its_sums_overflow(tiny_engine, monkeypatch):
    module = pytest.importorskip("perception.backends.openvino")
    monkeypatch.setattr(module, "int8_sums_overflow", lambda: True)
    with pytest.raises(ConfigError, match="has no VNNI"):
        open_backend("openvino", tiny_engine, SIZE_WH, precision="int8")


def test_int8_is_refused_where_the_engine_has_none(name, tiny_engine, monkeypatch):
    module = sys.modules[f"perception.backends.{name}"]
    monkeypatch.setattr(module, "int8_sums_overflow", lambda: False)
    with pytest.raises(EngineError, match="perception quantize --engine tiny"):
        open_backend(name, tiny_engine, SIZE_WH, precision="int8")


def test_the_default_backend_is_one_of_the_base_install():
    assert DEFAULT_BACKEND in BACKENDS
    assert DEFAULT_BACKEND == "onnxruntime"


def test_opening_openvino_does_not_load_its_telemetry():
    code = (
        "import sys, perception.backends.openvino\n"
        "loaded = [m for m, v in sys.modules.items() if m.startswith('openvino_telemetry') and v]\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", list(CPU_BACKENDS))
def test_a_backend_leaves_the_arithmetic_of_the_process_alone(tiny_engine, name):
    with open_backend(name, tiny_engine, (64, 32)) as backend:
        backend.infer({"frame": np.zeros((1, 32, 64, 3), np.uint8)})
        assert np.float32(1e-38) / np.float32(1e3) > 0, "denormals are still numbers"


GPU_PROVIDERS = ["onnxruntime_cuda", "onnxruntime_tensorrt", "onnxruntime_rtx"]


@pytest.mark.parametrize("name", GPU_PROVIDERS)
def test_a_provider_that_was_not_built_in_is_told_with_what_to_install(name, tiny_engine):
    for use in (BACKENDS[name].probe, lambda: open_backend(name, tiny_engine, SIZE_WH)):
        with pytest.raises(ConfigError, match=r"is built without \w+Provider, .*; install "):
            use()


@pytest.mark.parametrize("name", GPU_PROVIDERS)
def test_a_provider_that_does_not_start_is_no_silent_cpu(name, tiny_engine, monkeypatch):
    """ONNX Runtime itself would go on with the CPU."""
    provider = BACKENDS[name].provider
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider])
    with (
        pytest.warns(UserWarning, match="not in available provider"),
        pytest.raises(ConfigError, match=f"could not start {provider} and would compute on CPU"),
    ):
        open_backend(name, tiny_engine, SIZE_WH)


def test_a_gpu_provider_has_no_half_precision(tiny_engine):
    with pytest.raises(ConfigError, match="'tensorrt' fp16"):
        open_backend("onnxruntime_tensorrt", tiny_engine, SIZE_WH, precision="fp16")
