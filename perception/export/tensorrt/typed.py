"""The typed graph of an engine for each precision: what a plan is compiled from. It needs ONNX, not torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper
from onnx.helper import make_node

from perception.backends.plan import PRECISIONS
from perception.core.errors import ConfigError
from perception.core.geometry import Letterbox
from perception.core.manifest import FREE_AXES, GRAPH_INPUT, Engine
from perception.export.int8.engine import ranges_within
from perception.export.int8.graph import TENSORRT, chosen_nodes, insert_qdq
from perception.export.network import prepare
from perception.export.tensorrt.fit import WHY_FLOAT, add_fit
from perception.export.tensorrt.half import FLOAT, HALF_PARTS, PARTS, half_model, parts_of

HALF_SCALES_OPSET = 19  # from which on Q/DQ scales may be half; TensorRT 10.3 reads up to 20


@dataclass(frozen=True, slots=True)
class Typed:
    """A graph to compile.

    Attributes:
        model: every axis free that was free before; with a fit, none.
        precision: of `PRECISIONS`.
        islands: part of the graph that is float32 though the precision is lower -> why.
        fit: of whole frames, which it does itself; ``None``: it takes fitted ones.
    """

    model: ModelProto
    precision: str
    islands: Mapping[str, str]
    fit: Letterbox | None = None


def typed_graph(engine: Engine, precision: str) -> Typed:
    """Make the typed graph of an engine from its ``model.onnx``.

    Args:
        engine: checked engine folder; for ``"int8"`` with an INT8 graph, whose ranges are taken.
        precision: ``"fp16"``, ``"fp32"`` or ``"int8"``, in which what is not 8 bits is half.

    Raises:
        ConfigError: unknown precision.
        EngineError: there is no INT8 graph, or a weight is beyond the range of half precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"--precision {precision!r}: expected one of {list(PRECISIONS)}")
    prepared = _bytes_from_floats(prepare(onnx.load(engine.onnx_path)))
    if precision == "fp32":
        return Typed(prepared, precision, {})
    present = {part for _, part in parts_of(prepared)} - {*HALF_PARTS}
    islands = {part: why for part, why in PARTS.items() if part in present}
    if precision == "fp16":
        return Typed(half_model(prepared), precision, islands)
    ranges = ranges_within(engine)
    nodes = chosen_nodes(prepared, ranges.kept_float)
    quantised = insert_qdq(prepared, ranges.ranges, nodes, TENSORRT)
    raised = onnx.version_converter.convert_version(quantised, HALF_SCALES_OPSET)
    kept = {f"{name} (half)": why for name, why in ranges.kept_float.items()}
    return Typed(half_model(raised), precision, {**islands, **kept})


def _bytes_from_floats(model: ModelProto) -> ModelProto:
    """Keep bytes to the graph's edges, each output of them cast from floats: TensorRT's documents (DataType, 10.x) know no other use of uint8.

    Whole numbers up to 255 are the same in float32 and in half.
    """
    graph = model.graph
    given = {value.name for value in graph.input}
    for node in graph.node:
        if (
            node.op_type == "Cast"
            and node.attribute[0].i == TensorProto.UINT8
            and node.input[0] not in given
        ):
            node.attribute[0].i = FLOAT
    for tensor in (*graph.initializer, *_constants(graph)):
        if tensor.data_type == TensorProto.UINT8:
            floats = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(floats, tensor.name))
    outputs = {v.name for v in graph.output if v.type.tensor_type.elem_type == TensorProto.UINT8}
    for name in outputs:
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [f"{name}/float" if other == name else other for other in names]
        graph.node.append(make_node("Cast", [f"{name}/float"], [name], to=TensorProto.UINT8))
    del graph.value_info[:]  # they name the types of before
    return model


def _constants(graph: GraphProto) -> list[TensorProto]:
    return [node.attribute[0].t for node in graph.node if node.op_type == "Constant"]


def with_fit(typed: Typed, fit: Letterbox) -> Typed:
    """The typed graph behind the fit of whole frames, which is float32 in every precision."""
    islands = typed.islands if typed.precision == "fp32" else {"fit": WHY_FLOAT, **typed.islands}
    return replace(typed, model=add_fit(typed.model, fit), islands=islands, fit=fit)


def fix_axes(model: ModelProto, shape: tuple[int, ...]) -> ModelProto:
    """A copy whose input has this shape; -1 leaves an axis free."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    (frame,) = (value for value in fixed.graph.input if value.name == GRAPH_INPUT)
    for axis, (dim, length) in enumerate(zip(frame.type.tensor_type.shape.dim, shape, strict=True)):
        if length > 0:
            dim.dim_value = length
        else:
            dim.dim_param = FREE_AXES[axis]
    return fixed
