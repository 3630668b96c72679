"""A half precision graph as a float32 one that rounds as half does: to see on a CPU what half costs.

ONNX Runtime's CPU provider computes half graphs in float32 and drops the casts between, so it would show no rounding and no overflow.
Here every tensor that a node computes in half is rounded to it, sums within a node are float32, as on tensor cores. A GPU's kernels
may still sum in another order or fuse nodes, and then round less often.
"""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, numpy_helper
from onnx.helper import make_node

from perception.export.tensorrt.half import FLOAT, HALF

# they move values and compute none: what is half stays half
MOVES = {
    "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Expand", "Gather", "GatherElements", "GatherND", "Concat", "Split",
    "Relu", "Max", "Min", "Clip", "MaxPool", "Where", "Identity", "Flatten",
}  # fmt: skip


def emulate_half(model: ModelProto) -> ModelProto:
    """The float32 graph that gives what `model` gives, its inputs and outputs not being half; `model` is not changed."""
    emulated = ModelProto()
    emulated.CopyFrom(model)
    graph = emulated.graph
    typed = onnx.shape_inference.infer_shapes(model).graph
    values = (*typed.value_info, *typed.input, *typed.output)
    half = {v.name for v in values if v.type.tensor_type.elem_type == HALF}
    for tensor in graph.initializer:
        if tensor.data_type == HALF:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    nodes: list[NodeProto] = []
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == HALF:
                attribute.i = FLOAT
        nodes.append(node)
        if node.op_type in MOVES:
            continue
        for index, name in enumerate(node.output):
            if name in half:
                node.output[index] = f"{name}/exact"
                nodes.append(make_node("Cast", [f"{name}/exact"], [f"{name}/rounded"], to=HALF))
                nodes.append(make_node("Cast", [f"{name}/rounded"], [name], to=FLOAT))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(emulated, full_check=True)
    return emulated
