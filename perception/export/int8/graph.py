"""From a float graph and ranges to a graph with Q/DQ pairs: a pure function, so the same ranges give the same bytes.

Only the convolutions and what stands between them (activations, sums, joins, upsampling) are quantised: weights to int8, one scale
for each output channel, activations to uint8, where products on VNNI units are exact. Everything behind the network stays float32.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from perception.core.errors import EngineError
from perception.export.network import (
    ACTIVATIONS,
    BETWEEN,
    convolutions,
    matches,
    network_nodes,
)

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How 8 bits are used on one kind of hardware.

    Attributes:
        activations: their type; int8 is symmetric around zero, uint8 is not.
        operators: which are quantised.
        options: of ONNX Runtime's quantiser.
    """

    activations: QuantType
    operators: tuple[str, ...]
    options: Mapping[str, Any]


# uint8: after an activation all 256 values are used, and ONNX Runtime makes one node of convolution and activation.
# Measured at 640x384 on one core: 36 ms, with symmetric int8 61 ms (OpenVINO 34 and 40 ms).
CPU = Scheme(QuantType.QUInt8, ("Conv", *BETWEEN), {"ActivationSymmetric": False})
# TensorRT takes only symmetric int8, float biases, and a pair of its own for each convolution
TENSORRT = Scheme(
    QuantType.QInt8,
    ("Conv",),
    {
        "ActivationSymmetric": True,
        "QuantizeBias": False,
        "DedicatedQDQPair": True,
        "OpTypesToExcludeOutputQuantization": ["Conv"],
    },
)


def measured_tensors(model: ModelProto) -> list[str]:
    """The tensors of a prepared graph whose ranges are needed: what the nodes of the network read and write.

    Left out is what only an activation reads: both are one node in 8 bits.
    """
    readers: dict[str, set[str]] = {value.name: {"a user"} for value in model.graph.output}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    names: dict[str, None] = {}
    for node in network_nodes(model):
        inputs = node.input if node.op_type in {"Add", "Concat"} else node.input[:1]
        names.update(dict.fromkeys((*inputs, node.output[0])))
    return [name for name in names if not readers[name] <= ACTIVATIONS]


def chosen_nodes(prepared: ModelProto, float_names: Collection[str]) -> list[str]:
    """Names of the nodes to quantise: all convolutions but those that a pattern keeps in float, and what stands between them."""
    chosen: set[str] = set()
    feeding: set[str] = set()  # tensors that something quantised reads
    for node in reversed(network_nodes(prepared)):
        if node.op_type == "Conv":
            if matches(node.name, float_names):
                continue
        elif node.output[0] not in feeding:
            if node.op_type in ACTIVATIONS:  # goes with the convolution before it
                chosen.add(node.name)
            continue
        chosen.add(node.name)
        feeding.update(node.input)
    return [node.name for node in prepared.graph.node if node.name in chosen]


def single_nodes(prepared: ModelProto, convs: Collection[str]) -> list[str]:
    """Names of some convolutions and of the activations right behind them: to see what quantising only these costs."""
    made = {node.output[0] for name, node in convolutions(prepared).items() if name in convs}
    behind = [n for n in prepared.graph.node if n.op_type in ACTIVATIONS and n.input[0] in made]
    return [*convs, *(node.name for node in behind)]


def insert_qdq(
    prepared: ModelProto,
    ranges: Mapping[str, Span],
    nodes: Collection[str],
    scheme: Scheme | None = None,
) -> ModelProto:
    """Put Q/DQ pairs around nodes of a prepared graph.

    Args:
        prepared: by `prepare`; it is not changed.
        ranges: name of a tensor -> lowest and highest value.
        nodes: by `chosen_nodes` or `single_nodes`.
        scheme: for which hardware; ``None``: `CPU`.

    Raises:
        EngineError: the range of a tensor is missing: the ranges are of another network.
    """
    missing = sorted(set(measured_tensors(prepared)) - set(ranges))
    if missing:
        raise EngineError(
            f"the ranges lack {missing[:3]}: they are of another network; measure them again with: perception quantize"
        )
    if not nodes:  # the quantiser would take an empty list for all
        return prepared
    scheme = scheme or CPU
    # 0 must be a value of the 8 bits: convolutions pad with it
    spans = {
        k: (np.float32(min(low, 0)), np.float32(max(high, 0))) for k, (low, high) in ranges.items()
    }
    # what only an activation reads becomes one with what it gives, but the quantiser asks for its range too
    for node in prepared.graph.node:
        if node.op_type in ACTIVATIONS and node.output[0] in spans:
            spans.setdefault(node.input[0], spans[node.output[0]])
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(prepared),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=scheme.activations,
        tensors_range=TensorsData(CalibrationMethod.MinMax, spans),
        nodes_to_quantize=list(nodes),
        nodes_to_exclude=[],
        op_types_to_quantize=scheme.operators,
        extra_options={"WeightSymmetric": True, **scheme.options},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantised: ModelProto = quantizer.model.model
    del quantised.graph.value_info[:]
    onnx.checker.check_model(quantised, full_check=True)
    return quantised
