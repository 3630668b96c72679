"""The runner and its CUDA bindings: on the driver's test double (``make test-double``), or on a GPU (``pytest -m gpu``).

Both run the tests of the bindings. The double runs the runner's besides: it checks sizes, the life of memory, and the order of what is queued; what a plan computes there is
ONNX Runtime's, by a stand-in for TensorRT (`fake_tensorrt`). It cannot show that TensorRT runs, what it gives, or how fast.
"""

import ctypes
import hashlib
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import onnx
import onnxruntime
import pytest

from perception.backends.device import DEVICES
from perception.backends.plan import PlanManifest, manifest_path, plan_manifest_text
from perception.core.geometry import fit_letterbox
from perception.core.manifest import DEFAULT_ENGINE, TensorSpec, load_engine
from perception.export.tensorrt.fit import add_fit
from tests.backends.device import fake_tensorrt

SIZE = (160, 96)
FIT = fit_letterbox((1920, 1080), SIZE)
HOW = "run these tests with: make test-double (or, on a GPU: pytest -m gpu)"


@dataclass(frozen=True)
class Driver:
    """The driver that is loaded; `double` is None where it is NVIDIA's."""

    double: ctypes.CDLL | None

    def live(self):
        """Device blocks, pinned blocks, streams, events, graphs."""
        if self.double is None:
            return [0] * 5
        counts = (ctypes.c_long * 5)()
        self.double.double_live(counts)
        return [*list(counts)[:4], self.double.double_graphs()]  # the fifth: retained contexts


@pytest.fixture(scope="session")
def driver():
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        pytest.fail(f"{error}; {HOW}")
    return Driver(library if hasattr(library, "double_live") else None)


@pytest.fixture(autouse=True)
def nothing_is_left(driver):
    """What a test allocated is freed at its end, exactly once: a second time would be an error of the driver."""
    before = driver.live()
    yield
    assert driver.live() == before


@pytest.fixture(params=list(DEVICES))
def binding(request, driver):
    if driver.double is None and find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed here; the double has both")
    return request.param


@pytest.fixture
def product(driver, monkeypatch):
    """The stand-in for TensorRT on the double."""
    module = fake_tensorrt.make_module(driver.double)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


@pytest.fixture(scope="session")
def graph_bytes():
    """The shipped model's graph with its axes fixed: what the stand-in takes as a plan."""
    model = onnx.load(load_engine(DEFAULT_ENGINE).onnx_path)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for dim, length in zip(dims, (1, SIZE[1], SIZE[0], 3), strict=True):
        dim.dim_value = length
    return model.SerializeToString()


@pytest.fixture(scope="session")
def whole_bytes(graph_bytes):
    """The same graph behind the fit of whole frames."""
    return add_fit(onnx.load_from_string(graph_bytes), FIT).SerializeToString()


def run_by_onnxruntime(graph):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]

    def run(frame):
        return dict(zip(names, session.run(names, {"frame": frame}), strict=True))

    return run


@pytest.fixture(scope="session")
def expected(graph_bytes):
    """What ONNX Runtime gives for a frame."""
    return run_by_onnxruntime(graph_bytes)


@pytest.fixture(scope="session")
def expected_of_whole(whole_bytes):
    """What it gives for a whole frame."""
    return run_by_onnxruntime(whole_bytes)


@pytest.fixture
def make_plan(product, graph_bytes, whole_bytes, tmp_path):
    """Make an engine folder with a plan for the stand-in; keywords change its manifest, `content` its file. With `fit` it takes whole frames."""

    def make(content=None, fit=None, **changes):
        if content is None:
            content = graph_bytes if fit is None else whole_bytes
        shipped = load_engine(DEFAULT_ENGINE)
        folder = tmp_path / "engine"
        shutil.copytree(shipped.folder, folder, dirs_exist_ok=True)
        width, height = SIZE
        whole_width, whole_height = SIZE if fit is None else fit.frame_wh
        fields = {
            "engine": shipped.manifest.name,
            "onnx_sha256": shipped.manifest.onnx_sha256,
            "typed_sha256": "",
            "plan_sha256": hashlib.sha256(content).hexdigest(),
            "plan_bytes": len(content),
            "product": "tensorrt",
            "product_version": product.__version__,
            "compute_capabilities": ("8.6",),
            "gpu": "test double",
            "hardware_compatibility": "none",
            "version_compatible": False,
            "stripped": False,
            "precision": "fp16",
            "islands": {},
            "inputs": {"frame": TensorSpec("uint8", (1, whole_height, whole_width, 3))},
            "outputs": {
                "boxes_xyxy": TensorSpec("float32", (1, 100, 4)),
                "scores": TensorSpec("float32", (1, 100)),
                "class_ids": TensorSpec("int32", (1, 100)),
                "class_map": TensorSpec("uint8", (1, height, width)),
            },
            "profile": {},
            "box_classes": shipped.manifest.box_classes,
            "map_classes": shipped.manifest.map_classes,
            "channel_order": shipped.manifest.channel_order,
            "layers": {},
            "build_s": 0.0,
            "created": "2026-01-01",
            "fit": fit,
        }
        path = folder / f"fp16-{whole_width}x{whole_height}.engine"
        path.write_bytes(content)
        manifest_path(path).write_text(plan_manifest_text(PlanManifest(**{**fields, **changes})))
        return load_engine(folder)

    return make


@pytest.fixture
def make_frames():
    """So many different frames, ``uint8[1, H, W, 3]`` each."""

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        return [rng.integers(0, 256, (1, SIZE[1], SIZE[0], 3), np.uint8) for _ in range(count)]

    return make
