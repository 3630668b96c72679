"""ONNX Runtime on the CPU, in float32 or with convolutions in 8 bits, and its providers for NVIDIA GPUs."""

from collections.abc import Mapping
from typing import Any, ClassVar

import onnxruntime
from numpy.typing import NDArray

from perception.backends.base import Backend, Tensors
from perception.backends.cpu import check_graph, cpu_name, int8_sums_overflow
from perception.core.errors import ConfigError, EngineError
from perception.core.manifest import FREE_AXES, Engine, TensorSpec
from perception.core.process import usable_cores

QUIET = 3  # errors only: they come as exceptions, warnings about the graph are not the user's
_DTYPES = {
    "tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(uint8)": "uint8", "tensor(bool)": "bool",
}  # fmt: skip


class OnnxRuntimeBackend(Backend):
    """An engine opened by ONNX Runtime. Every call returns fresh arrays.

    Args:
        engine: checked engine folder.
        size_wh: width and height of the input, px.
        precision: of `precisions`.
        threads: of the inference; ``None`` is every core.
        frame_wh: of no meaning here.

    Attributes:
        provider: what ONNX Runtime computes on, by its own name.
        precisions: that it has.
    """

    name: ClassVar[str] = "onnxruntime"
    provider: ClassVar[str] = "CPUExecutionProvider"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "int8")

    def __init__(
        self,
        engine: Engine,
        size_wh: tuple[int, int],
        *,
        precision: str = "fp32",
        threads: int | None = None,
        frame_wh: tuple[int, int] | None = None,  # noqa: ARG002 (of every backend)
    ) -> None:
        if precision not in self.precisions:
            raise ConfigError(
                f"backend {self.name!r}: expected a precision of {list(self.precisions)}, got {precision!r}; "
                "'openvino' has bf16, 'tensorrt' fp16 and int8"
            )
        path = engine.graph_path(precision)
        self.precision = precision
        self.device = self.device_name()
        options = session_options(size_wh, threads or usable_cores())
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=[self.provider]
            )
        except Exception as error:  # ONNX Runtime's own classes share no other base
            reason = str(error).strip().splitlines()[0]
            raise EngineError(
                f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it: {reason}"
            ) from error
        if (got := self._session.get_providers()[0]) != self.provider:
            raise ConfigError(
                f"backend {self.name!r}: ONNX Runtime could not start {self.provider} and would compute on {got}; "
                "its log says which library or driver it lacks"
            )
        inputs = {node.name: _spec(node) for node in self._session.get_inputs()}
        outputs = {node.name: _spec(node) for node in self._session.get_outputs()}
        inputs, self.outputs = check_graph(engine, inputs, outputs)
        width, height = size_wh
        self.inputs = {n: TensorSpec(s.dtype, (1, height, width, 3)) for n, s in inputs.items()}

    @classmethod
    def device_name(cls) -> str:
        """What it computes on, for reports; raise `PerceptionError` where it cannot."""
        return cpu_name()

    def _infer(self, feeds: Mapping[str, NDArray[Any]]) -> Tensors:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))

    def close(self) -> None:
        """Free the session."""
        self.__dict__.pop("_session", None)


class OnnxRuntimeCudaBackend(OnnxRuntimeBackend):
    """An engine opened by ONNX Runtime's CUDA provider: a second way onto an NVIDIA GPU. The first is a plan (`perception.backends.tensorrt`).

    Float32 only. The TensorRT providers would make half precision by a switch for the whole graph, box decoding included, which moves boxes
    by up to a pixel (engines/EXPERIMENTS.md, section 20); in a plan the parts that need float32 keep it.
    """

    name: ClassVar[str] = "onnxruntime_cuda"
    provider: ClassVar[str] = "CUDAExecutionProvider"
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    install: ClassVar[str] = "onnxruntime-gpu in place of onnxruntime"

    @classmethod
    def default_precision(cls, engine: Engine) -> str:  # noqa: ARG003 (of every backend)
        """Float32."""
        return "fp32"

    @classmethod
    def device_name(cls) -> str:
        """The provider; raise `ConfigError` where this ONNX Runtime was built without it."""
        known = onnxruntime.get_available_providers()
        if cls.provider not in known:
            raise ConfigError(
                f"backend {cls.name!r}: ONNX Runtime {onnxruntime.__version__} is built without {cls.provider}, it has {known}; "
                f"install {cls.install}"
            )
        return f"{cls.provider} of ONNX Runtime {onnxruntime.__version__}"

    @classmethod
    def probe(cls) -> str:
        """The provider."""
        return cls.device_name()


class OnnxRuntimeTensorRTBackend(OnnxRuntimeCudaBackend):
    """An engine opened by ONNX Runtime's TensorRT provider, which compiles it when it is opened."""

    name: ClassVar[str] = "onnxruntime_tensorrt"
    provider: ClassVar[str] = "TensorrtExecutionProvider"
    install: ClassVar[str] = "onnxruntime-gpu in place of onnxruntime, and TensorRT"


class OnnxRuntimeRtxBackend(OnnxRuntimeCudaBackend):
    """An engine opened by ONNX Runtime's provider for TensorRT-RTX, which compiles it when it is opened."""

    name: ClassVar[str] = "onnxruntime_rtx"
    provider: ClassVar[str] = "NvTensorRTRTXExecutionProvider"
    install: ClassVar[str] = "an ONNX Runtime that is built with TensorRT-RTX"


def arithmetic_options() -> onnxruntime.SessionOptions:
    """Options with which INT8 sums are exact on this CPU: where they would overflow, by instructions that take twice the time."""
    options = onnxruntime.SessionOptions()
    if int8_sums_overflow():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def session_options(
    size_wh: tuple[int, int], threads: int, batch: int = 1
) -> onnxruntime.SessionOptions:
    """Options of a session for so many frames a call, of one size, px."""
    options = arithmetic_options()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = threads
    for axis, length in zip(FREE_AXES, (batch, size_wh[1], size_wh[0]), strict=True):
        options.add_free_dimension_override_by_name(axis, length)
    # Threads that spin while they wait take the cores from reading and encoding. Measured on 2 cores at 1248x384: the loop is as
    # fast on an idle machine (10.4 and 10.3 fps), and beside one other busy process it makes 5.6 instead of 3.8.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _spec(node: onnxruntime.NodeArg) -> TensorSpec:
    shape = tuple(n if isinstance(n, int) else -1 for n in node.shape)
    return TensorSpec(_DTYPES.get(node.type, node.type), shape)
