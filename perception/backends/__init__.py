"""What runs an engine. `open_backend` opens one for frames of one size."""

from perception.backends.base import Backend
from perception.core.errors import ConfigError
from perception.core.manifest import Engine
from perception.core.registry import Registry

BACKENDS = Registry(
    "backend",
    {
        "onnxruntime": "perception.backends.onnxruntime:OnnxRuntimeBackend",
        "openvino": "perception.backends.openvino:OpenVinoBackend",
        "tensorrt": "perception.backends.tensorrt:TensorRTBackend",
        "onnxruntime_cuda": "perception.backends.onnxruntime:OnnxRuntimeCudaBackend",
        "onnxruntime_tensorrt": "perception.backends.onnxruntime:OnnxRuntimeTensorRTBackend",
        "onnxruntime_rtx": "perception.backends.onnxruntime:OnnxRuntimeRtxBackend",
    },
    extras={"openvino": "openvino"},
)
CPU_BACKENDS = ("onnxruntime", "openvino")
DEFAULT_BACKEND = "onnxruntime"  # of the base install; see README for the figures of both


def default_precision(name: str, engine: Engine) -> str:
    """What a backend runs where no precision is asked for."""
    chosen: str = BACKENDS[name].default_precision(engine)
    return chosen


def open_backend(
    name: str,
    engine: Engine,
    size_wh: tuple[int, int],
    *,
    precision: str = "",
    threads: int | None = None,
    frame_wh: tuple[int, int] | None = None,
) -> Backend:
    """Open an engine for frames of one size.

    Args:
        name: of the backend, in `BACKENDS`.
        engine: checked engine folder.
        size_wh: width and height of the input, px, multiples of 32.
        precision: ``"fp32"``, ``"int8"`` where the engine has such a graph, ``"bf16"`` where backend and CPU have it, ``"fp16"`` with
            ``"tensorrt"``; empty: see `default_precision`.
        threads: of the inference; ``None`` is every core that this process may use.
        frame_wh: width and height of the frames before they are fitted, px: a backend that has the means takes them whole and says so by its
            `fit`; ``None``: only fitted frames will come.

    Raises:
        ConfigError: unknown backend, or it does not have this precision.
        EngineError: the ONNX file does not load or is not what its manifest promises.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads: expected at least 1, got {threads}")
    chosen = precision or default_precision(name, engine)
    backend: Backend = BACKENDS[name](
        engine, size_wh, precision=chosen, threads=threads, frame_wh=frame_wh
    )
    return backend
