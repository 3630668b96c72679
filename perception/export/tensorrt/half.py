"""From a float32 graph to a typed one: parts of it in half precision, the others islands that stay float32.

TensorRT builds strongly typed networks: what is half in the file is computed in half, and nothing else is; there is no builder flag
for it. Batch norms were folded in float32 before (`perception.export.network.prepare`): folded first, the error is smaller.
"""

from collections.abc import Collection, Iterable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.helper import make_node

from perception.core.errors import EngineError
from perception.core.manifest import (
    BOX_OUTPUTS,
    EVALUATION_OUTPUTS,
    GRAPH_INPUT,
    GRAPH_OUTPUTS,
)
from perception.export.network import ACTIVATIONS, drop_unread

# The parts of a graph in the order of the data, and why they stay float32 where they do. `perception build --sensitivity 12` measures
# what each would cost; engines/EXPERIMENTS.md, section 20, has the table.
PARTS = {
    "frame": "a pixel less its mean loses bits in half: more pixels and boxes change than by all convolutions, and it is one kernel",
    "network": "",
    "boxes": "half has no fractions of a px above 1024, and the mask shows every shift: its largest cost by far",
    "mask": "coordinates again: steps of 2 px above 2048; at 1248 px it would cost nothing, and it is 0.1 % of the arithmetic",
    "class_map": "",
    "tasks": "coordinates, offsets in px, logarithms of metres and vectors that are compared: all lose in half",
}
HALF_PARTS = ("network", "class_map")
HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
LARGEST = float(np.finfo(np.float16).max)
DATA_INPUTS = {"Resize": 1}  # operator -> how many of its inputs follow the precision; others: all
ALWAYS_FLOAT = {"Constant", "ConstantOfShape", "Range"}  # operators that make values of themselves


def half_model(prepared: ModelProto, parts: Collection[str] = HALF_PARTS) -> ModelProto:
    """The typed graph of a prepared float32 one; inputs and outputs keep their types.

    Args:
        prepared: by `perception.export.network.prepare`; it is not changed.
        parts: of `PARTS`, those that are computed in half.

    Raises:
        EngineError: a weight is beyond the range of half precision.
    """
    model = ModelProto()
    model.CopyFrom(prepared)
    halving = _Halving(model)
    for node, part in parts_of(model):
        halving.add(node, half=part in parts and node.op_type not in ALWAYS_FLOAT)
    halving.finish()
    onnx.checker.check_model(model, full_check=True)
    return model


def parts_of(model: ModelProto) -> list[tuple[NodeProto, str]]:
    """Every node with the name of its part in `PARTS`, in order."""
    nodes = list(model.graph.node)
    convolved = {node.output[0] for node in nodes if node.op_type == "Conv"}
    above, below = _reached(nodes, convolved), _reached(nodes[::-1], convolved, up=True)
    seen = _reached(nodes, [GRAPH_INPUT])
    network = convolved | {
        node.output[0]
        for node in nodes
        if node.output[0] in above & below
        or (node.op_type in ACTIVATIONS and node.input[0] in convolved)
        or node.output[0] in below - seen  # weights that are made of 8 bits
    }
    boxes = _reached(nodes[::-1], BOX_OUTPUTS, up=True)
    # what the network gives to neither itself nor the boxes are the scores of the map's classes
    others = [n for n in nodes if n.output[0] not in network | boxes and n.op_type != "Shape"]
    scores = network & {name for node in others for name in node.input}
    enlarged = _reached(nodes, scores)
    contract = _reached(nodes[::-1], (*GRAPH_OUTPUTS, *EVALUATION_OUTPUTS), up=True)
    parts = []
    for node in nodes:
        name = node.output[0]
        if name in network:
            part = "network"
        elif name in below:
            part = "frame"
        elif name in boxes:
            part = "boxes"
        elif name not in contract and node.op_type != "Shape":
            part = "tasks"
        else:
            part = "class_map" if name in enlarged else "mask"
        parts.append((node, part))
    return parts


def _reached(nodes: Iterable[NodeProto], start: Iterable[str], *, up: bool = False) -> set[str]:
    """The tensors that depend on `start`; with `up` and the nodes in reverse, those that `start` depends on. Sizes are no data."""
    reached = set(start)
    for node in nodes:
        if node.op_type == "Shape":
            continue
        known, new = (node.output, node.input) if up else (node.input, node.output)
        if reached.intersection(known):
            reached.update(new)
    return reached


class _Halving:
    """Rewrites the nodes of a model one by one, in order, with a cast where a tensor crosses from one precision to the other."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        typed = onnx.shape_inference.infer_shapes(model).graph
        values = (*typed.value_info, *typed.input, *typed.output)
        self._floats = {v.name for v in values if v.type.tensor_type.elem_type == FLOAT}
        self._weights = {t.name: t for t in model.graph.initializer if t.data_type == FLOAT}
        self._floats.update(self._weights)
        self._half: set[str] = set()  # names of the old graph that are half in the new one
        self._crossed: dict[str, str] = {}  # name -> the same tensor in the other precision
        self._nodes: list[NodeProto] = []

    def add(self, node: NodeProto, *, half: bool) -> None:
        """Take the next node, to be computed in half or in float32."""
        followed = DATA_INPUTS.get(node.op_type, len(node.input)) if half else len(node.input)
        for index, name in enumerate(node.input):
            wanted = half and index < followed
            if name in self._floats and node.op_type != "Shape" and wanted != (name in self._half):
                node.input[index] = self._cross(name, HALF if wanted else FLOAT)
        if half:
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.i == FLOAT:
                    attribute.i = HALF
            self._half.update(self._floats.intersection(node.output))
        self._nodes.append(node)

    def finish(self) -> None:
        """Put the new nodes into the model; outputs are float32 as they were."""
        for value in self._graph.output:
            if value.name in self._half:
                inner = f"{value.name}/half"
                for node in self._nodes:
                    node.input[:] = [inner if n == value.name else n for n in node.input]
                    node.output[:] = [inner if n == value.name else n for n in node.output]
                self._nodes.append(make_node("Cast", [inner], [value.name], to=FLOAT))
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(self._nodes)
        drop_unread(self._graph)

    def _cross(self, name: str, to: int) -> str:
        if name not in self._crossed:
            self._crossed[name] = crossed = f"{name}/{'half' if to == HALF else 'float'}"
            if name in self._weights:
                self._graph.initializer.append(_half_weight(self._weights[name], crossed))
            else:
                self._nodes.append(make_node("Cast", [name], [crossed], to=to))
        return self._crossed[name]


def _half_weight(weight: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(weight)
    if not np.all(np.abs(values) <= LARGEST):
        raise EngineError(
            f"weight {weight.name!r}: expected at most {LARGEST:g} for half precision, "
            f"got {np.abs(values).max():g}; build with --precision fp32"
        )
    return numpy_helper.from_array(values.astype(np.float16), name)
