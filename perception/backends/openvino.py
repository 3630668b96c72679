"""OpenVINO on the CPU, in float32, with convolutions in 8 bits, or, where asked for and the CPU has it, in bfloat16."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.backends.base import Backend, Tensors
from perception.backends.cpu import check_graph, cpu_name, int8_sums_overflow
from perception.core.errors import ConfigError, EngineError
from perception.core.manifest import GRAPH_INPUT, Engine, TensorSpec
from perception.core.process import usable_cores

# OpenVINO's conversion tools, which its package imports, report each import over the network if this package is there.
# Without it they use their own stub.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None means "not to be imported"

import openvino  # noqa: E402 (after the line above)

# ours -> what OpenVINO computes in where the graph does not say 8 bits; left to itself it would take bf16 there
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoBackend(Backend):
    """An engine opened by OpenVINO. Outputs are views that the next call overwrites.

    Args:
        engine: checked engine folder.
        size_wh: width and height of the input, px.
        precision: ``"fp32"``, ``"bf16"`` or ``"int8"``.
        threads: of the inference; ``None`` is every core.
        frame_wh: of no meaning here.
    """

    name: ClassVar[str] = "openvino"

    def __init__(
        self,
        engine: Engine,
        size_wh: tuple[int, int],
        *,
        precision: str = "fp32",
        threads: int | None = None,
        frame_wh: tuple[int, int] | None = None,  # noqa: ARG002 (of every backend)
    ) -> None:
        core = openvino.Core()
        _check_precision(core, precision)
        self.precision = precision
        self.device = cpu_name()
        width, height = size_wh
        path = engine.graph_path(precision)
        try:
            model = core.read_model(path)
            model.reshape({GRAPH_INPUT: [1, height, width, 3]})
            compiled = core.compile_model(model, "CPU", compile_options(precision, threads))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = _reason(error)
            raise EngineError(
                f"{path}: OpenVINO {openvino.__version__.split('-')[0]} cannot load it: {reason}"
            ) from error
        self.inputs, self.outputs = check_graph(
            engine, _specs(compiled.inputs), _specs(compiled.outputs)
        )
        self._request = compiled.create_infer_request()

    def _infer(self, feeds: Mapping[str, NDArray[Any]]) -> Tensors:
        results = self._request.infer(dict(feeds), share_inputs=True, share_outputs=True)
        return {name: results[name] for name in self.outputs}

    def close(self) -> None:
        """Free the request and the compiled graph."""
        self.__dict__.pop("_request", None)


def _check_precision(core: openvino.Core, precision: str) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(
            f"backend 'openvino': expected a precision of {sorted(PRECISIONS)}, got {precision!r}"
        )
    if precision == "int8" and int8_sums_overflow():
        raise ConfigError(
            f"backend 'openvino': {cpu_name()} has no VNNI, without which int8 sums overflow; "
            "use the backend 'onnxruntime', which computes them otherwise, or precision 'fp32'"
        )
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in abilities:
        raise ConfigError(
            f"backend 'openvino': {cpu_name()} has no bf16 (it has {sorted(abilities)}); use precision 'fp32' or 'int8'"
        )


def compile_options(precision: str, threads: int | None) -> dict[str, Any]:
    """How a graph is compiled for the CPU."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
        # the export has no denormal weights; this would change the arithmetic of the whole process, the user's NumPy included
        "CPU_DENORMALS_OPTIMIZATION": False,
    }


def _specs(ports: Iterable[Any]) -> dict[str, TensorSpec]:
    """Every name of every port: one may have several, where OpenVINO joined nodes."""
    return {name: _spec(port) for port in ports for name in port.get_names()}


def _spec(port: Any) -> TensorSpec:  # noqa: ANN401 (openvino.ConstOutput, which has no types)
    shape = port.get_partial_shape()
    lengths = tuple(int(n.get_length()) if n.is_static else -1 for n in shape)
    return TensorSpec(np.dtype(port.get_element_type().to_dtype()).name, lengths)


def _reason(error: BaseException) -> str:
    """The last line of OpenVINO's message that says something; those before name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
