"""From a float graph and ranges to a graph with Q/DQ pairs: a pure function, so the same ranges give the same bytes.

Only the convolutions and what stands between them (activations, sums, joins, upsampling) are quantised: weights to int8, one scale
for each output channel, activations to uint8, where products on VNNI units are exact. Everything behind the network stays float32.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from perception.core.errors import ConfigError, EngineError

Span = tuple[float, float]

# what stands between two convolutions and is computed in 8 bits with them: its word in the names of tensors
BETWEEN = {
    "Relu": "relu",
    "Clip": "relu",
    "Add": "sum",
    "Concat": "join",
    "Resize": "up",
    "MaxPool": "pool",
}
ACTIVATIONS = {"Relu", "Clip"}
WEIGHT, PREFIX = ".weight", "model."


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


def prepare(model: ModelProto) -> ModelProto:
    """A copy of a float graph, ready to be measured and quantised.

    Batch norm is folded into the convolution before it, and every tensor of the network is named after the convolution that it comes
    from (``backbone.features.stem.0.0``, ``... .relu``), which is the same in every graph that is exported from the same network.

    Raises:
        EngineError: there is no convolution in it.
    """
    prepared = ModelProto()
    prepared.CopyFrom(model)
    _fold_batch_norms(prepared)
    _name_tensors(prepared)
    if not convolutions(prepared):
        raise EngineError("this graph has no convolution; expected a network to quantise")
    return prepared


def convolutions(model: ModelProto) -> dict[str, NodeProto]:
    """The convolutions of a prepared graph by name, in order."""
    return {node.name: node for node in model.graph.node if node.op_type == "Conv"}


def measured_tensors(model: ModelProto) -> list[str]:
    """The tensors of a prepared graph whose ranges are needed: what the nodes of the network read and write.

    Left out is what only an activation reads: both are one node in 8 bits.
    """
    readers: dict[str, set[str]] = {value.name: {"a user"} for value in model.graph.output}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    names: dict[str, None] = {}
    for node in _network_nodes(model):
        inputs = node.input if node.op_type in {"Add", "Concat"} else node.input[:1]
        names.update(dict.fromkeys((*inputs, node.output[0])))
    return [name for name in names if not readers[name] <= ACTIVATIONS]


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a convolution's name fits a pattern, in which ``*`` stands for any text; a whole prefix fits too."""
    return any(fnmatchcase(name, p) or fnmatchcase(name, f"{p}[.@]*") for p in patterns)


def check_patterns(model: ModelProto, patterns: Collection[str]) -> None:
    """Raise `ConfigError` for a pattern that fits no convolution of a prepared graph."""
    names = list(convolutions(model))
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise ConfigError(f"keep-float {pattern!r} fits no convolution; known: {names}")


def chosen_nodes(prepared: ModelProto, float_names: Collection[str]) -> list[str]:
    """Names of the nodes to quantise: all convolutions but those that a pattern keeps in float, and what stands between them."""
    chosen: set[str] = set()
    feeding: set[str] = set()  # tensors that something quantised reads
    for node in reversed(_network_nodes(prepared)):
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


def _network_nodes(model: ModelProto) -> list[NodeProto]:
    """The convolutions, the nodes between them (what a convolution reads, directly or not), the activations right behind them."""
    by_output = {node.output[0]: node for node in model.graph.node}
    wanted: set[str] = set()
    stack = [node for node in model.graph.node if node.op_type == "Conv"]
    while stack:
        node = stack.pop()
        if node.output[0] in wanted:
            continue
        wanted.add(node.output[0])
        above = (by_output.get(name) for name in node.input)
        stack += [n for n in above if n is not None and n.op_type in {"Conv", *BETWEEN}]
    convs = {name for name, node in by_output.items() if node.op_type == "Conv"}
    return [
        node
        for node in model.graph.node
        if node.output[0] in wanted or (node.op_type in ACTIVATIONS and node.input[0] in convs)
    ]


def _name_tensors(model: ModelProto) -> None:
    new: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for node in _network_nodes(model):
        if node.op_type == "Conv":
            if not new:  # the first one sees the normalised frame
                new[node.input[0]] = "input"
            base = node.input[1].rpartition("/")[2].removeprefix(PREFIX).removesuffix(WEIGHT)
        else:
            base = f"{new.get(node.input[0], 'input')}.{BETWEEN[node.op_type]}"
        name = f"{base}@{seen[base]}" if seen[base] else base
        seen[base] += 1
        node.name = name
        new[node.output[0]] = name
    for value in model.graph.output:  # what the graph gives keeps its name
        new.pop(value.name, None)
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]


def _fold_batch_norms(model: ModelProto) -> None:
    """Give each convolution before a batch norm weights of its own that do both; exact but for rounding."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    convs = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    readers = Counter(name for node in graph.node for name in node.input)
    for norm in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = convs.get(norm.input[0])
        if conv is None or readers[norm.input[0]] > 1:
            continue
        scale, shift, mean, variance = (numpy_helper.to_array(tensors[n]) for n in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + np.float32(epsilon))
        weight = numpy_helper.to_array(tensors[conv.input[1]])
        bias = numpy_helper.to_array(tensors[conv.input[2]]) if len(conv.input) > 2 else 0 * mean
        names = f"{conv.output[0]}/{conv.input[1]}", f"{conv.output[0]}/bias"
        _add(model, names[0], weight * factor.reshape(-1, *[1] * (weight.ndim - 1)))
        _add(model, names[1], (bias - mean) * factor + shift)
        conv.input[:] = [conv.input[0], *names]
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)
    _drop_unread(model)


def _add(model: ModelProto, name: str, values: NDArray[np.floating[Any]]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))


def _drop_unread(model: ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
