"""The fit of a whole frame inside the graph: on the device what `perception.stages.preprocess.fit_image` does on the host, by the same record.

Each step ends in whole grey levels, as on the host; without that 1 % of the values would be off by more than a level, 5 % at worst.
"""

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.helper import make_node

from perception.core.geometry import PADDING_VALUE, Letterbox, shrink_sizes
from perception.core.manifest import GRAPH_INPUT

# float32[1, H, W, 3], grey levels: what the graph behind it took as uint8 before
FITTED = "fit/frame"
WHY_FLOAT = "half has steps of 1/8 of a grey level from 128 on: 1 to 2 % more values would differ from the host's"
# Added before the fraction is cut off. OpenCV interpolates uint8 in fixed point and cuts off below quarters of a level, so it is 1/8 low on
# average; a picture of exactly twice the size it averages. Measured on noise at 250 pairs of sizes, up to 8 times too large: 91 % of the
# values become the host's and 0.004 % are off by more than a level (0.2 % at worst); with 1/2 throughout 80 % and 0.09 % (0.5 %).
INTERPOLATED, HALVED = 3 / 8, 1 / 2


def add_fit(model: ModelProto, fit: Letterbox) -> ModelProto:
    """A copy that takes one whole frame, ``uint8[1, H, W, 3]`` of ``fit.frame_wh``, and fits it itself, in float32."""
    whole = ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    weights: list[TensorProto] = []
    nodes = _fit_nodes(fit, weights)
    for node in graph.node:
        node.input[:] = [FITTED if name == GRAPH_INPUT else name for name in node.input]
        nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    (frame,) = (value for value in graph.input if value.name == GRAPH_INPUT)
    width, height = fit.frame_wh
    frame.CopyFrom(
        onnx.helper.make_tensor_value_info(GRAPH_INPUT, TensorProto.UINT8, [1, height, width, 3])
    )
    onnx.checker.check_model(whole, full_check=True)
    return whole


def fit_alone(model: ModelProto) -> ModelProto:
    """Of a graph that fits whole frames that part alone: its output is `FITTED`."""
    inferred = onnx.shape_inference.infer_shapes(model)
    return onnx.utils.Extractor(inferred).extract_model([GRAPH_INPUT], [FITTED])


def _fit_nodes(fit: Letterbox, weights: list[TensorProto]) -> list[NodeProto]:
    """The nodes from the frame to `FITTED`, in order; their weights are added to `weights`."""
    nodes: list[NodeProto] = []

    def add(operator: str, value: str, *names: str, **attributes: Any) -> str:  # noqa: ANN401 (as ONNX takes them)
        made = f"fit/{operator.lower()}{len(nodes)}"
        nodes.append(make_node(operator, [value, *names], [made], made, **attributes))
        return made

    def weight(values: object, dtype: type[np.generic]) -> str:
        name = f"fit/weight{len(weights)}"
        weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    value = add("Transpose", add("Cast", GRAPH_INPUT, to=TensorProto.FLOAT), perm=(0, 3, 1, 2))
    before = fit.frame_wh
    for width, height in shrink_sizes(fit.frame_wh, fit.content_wh):
        size = weight((1, 3, height, width), np.int64)
        linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        value = add("Resize", value, "", "", size, **linear)
        halved = before == (2 * width, 2 * height)
        raised = add("Add", value, weight(HALVED if halved else INTERPOLATED, np.float32))
        value = add("Floor", raised)
        before = (width, height)
    right, below = (m - c for m, c in zip(fit.model_wh, fit.content_wh, strict=True))
    if right or below:
        pads = weight((0, 0, 0, 0, 0, 0, below, right), np.int64)
        value = add("Pad", value, pads, weight(PADDING_VALUE, np.float32))
    nodes.append(make_node("Transpose", [value], [FITTED], FITTED, perm=(0, 2, 3, 1)))
    return nodes
