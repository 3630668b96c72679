"""What a compiler was given to build: each layer with its type and arithmetic, and the shares of both by precision.

Read from the parsed network, which is strongly typed: the compiler must keep these types, though it fuses layers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from onnx import ModelProto
from rich.table import Table

MULTIPLIED = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
NAMES = {"HALF": "fp16", "FLOAT": "fp32", "INT8": "int8", "BF16": "bf16"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a parsed network.

    Attributes:
        name, kind: as the parser calls them.
        precision: ``"fp32"``, ``"fp16"``, ``"int8"``; empty where it computes no floats.
        flop: multiplications and additions of one frame; one for each value where it is not a product of tensors.
    """

    name: str
    kind: str
    precision: str
    flop: int


def list_layers(network: Any, model: ModelProto) -> list[Layer]:  # noqa: ANN401 (of an untyped module)
    """The layers of a parsed network; its axes are fixed. `model` is what was parsed."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    products = {node.name: node for node in model.graph.node if node.op_type in MULTIPLIED}
    quantised = set()  # tensors that were 8 bits
    layers = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        result = layer.get_output(0)
        kind = layer.type.name
        if kind == "DEQUANTIZE":
            quantised.add(result.name)
        inputs = [t for t in map(layer.get_input, range(layer.num_inputs)) if t is not None]
        precision = NAMES.get(result.dtype.name, "")
        if layer.name in products and inputs and inputs[0].name in quantised:
            precision = "int8"
        flop = abs(prod(result.shape)) if precision else 0
        if layer.name in products:
            flop *= 2 * _terms(products[layer.name], weights, made, inputs)
        layers.append(Layer(layer.name, kind, precision, flop))
    return layers


def _terms(node: Any, weights: Any, made: Any, inputs: Sequence[Any]) -> int:  # noqa: ANN401
    """Products that are summed for one value of the result."""
    name = node.input[1]
    while name not in weights and name in made:  # behind its Q/DQ pair or cast
        name = made[name].input[0]
    if name in weights and node.op_type != "MatMul":
        return prod(weights[name][1:])  # channels of a group x kernel
    return int(inputs[0].shape[-1])


def summarise(layers: Sequence[Layer]) -> dict[str, Any]:
    """Counts and shares by precision, and what stayed float32, ready for JSON."""
    floats = [layer for layer in layers if layer.precision]
    total = sum(layer.flop for layer in floats)
    flops = Counter[str]()
    counts = Counter[str]()
    for layer in floats:
        flops[layer.precision] += layer.flop
        counts[layer.precision] += 1
    return {
        "layers": len(layers),
        "count": dict(counts),
        "gflop": round(total / 1e9, 3),
        "flop_share": {name: round(part / total, 5) for name, part in flops.items()},
        "fp32_operators": dict(Counter(x.kind for x in floats if x.precision == "fp32")),
    }


def layers_table(summary: dict[str, Any]) -> Table:
    """The summary as a table."""
    table = Table(title=f"{summary['layers']} layers before fusion, {summary['gflop']:.2f} GFLOP")
    table.add_column("precision")
    table.add_column("layers", justify="right")
    table.add_column("of the FLOP, %", justify="right")
    for name, count in sorted(summary["count"].items()):
        table.add_row(name, str(count), f"{100 * summary['flop_share'][name]:.2f}")
    return table
