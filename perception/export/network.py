"""Which part of an exported graph is the network, and its tensors by the names of its layers: what every other precision starts from."""

from collections import Counter
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from perception.core.errors import ConfigError, EngineError

# what stands between two convolutions: its word in the names of tensors
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


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a convolution's name fits a pattern, in which ``*`` stands for any text; a whole prefix fits too."""
    return any(fnmatchcase(name, p) or fnmatchcase(name, f"{p}[.@]*") for p in patterns)


def check_patterns(model: ModelProto, patterns: Collection[str]) -> None:
    """Raise `ConfigError` for a pattern that fits no convolution of a prepared graph."""
    names = list(convolutions(model))
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise ConfigError(f"keep-float {pattern!r} fits no convolution; known: {names}")


def network_nodes(model: ModelProto) -> list[NodeProto]:
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
    for node in network_nodes(model):
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
    drop_unread(graph)


def _add(model: ModelProto, name: str, values: NDArray[np.floating[Any]]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))


def drop_unread(graph: GraphProto) -> None:
    """Remove the weights that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
