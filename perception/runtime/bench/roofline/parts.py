"""Which part of the network a node belongs to, and the operations it stands for.

A node with weights belongs to the module that its weights are named after. One without follows the last of its inputs, so what joins two
parts counts to the later one. What no weights come after is decoding: of boxes, where a box output needs it, else of the class map.
"""

import math
import re
from collections.abc import Iterable, Sequence

from perception.core.manifest import BOX_OUTPUTS
from perception.runtime.bench.roofline.wire import Node

BOXES = "box decoding"
MAP = "mask and arg-max"
OTHER = "other"

Shapes = Sequence[Sequence[int]]

_WEIGHT = re.compile(r"(?:model\.)?(?:(backbone|neck)|heads\.(\w+))\.")
_CONTRACTIONS = ("MatMul", "FusedMatMul", "Gemm")
# they give what they take under another shape: no data moves
VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
_MOVES = (
    *VIEWS, "Cast", "Concat", "Expand", "Gather", "GatherElements", "GatherND", "Pad", "ReorderInput", "ReorderOutput", "Slice",
    "Split", "Transpose", "Upsample", "Where",
)  # fmt: skip


def parts_of(nodes: Sequence[Node]) -> dict[str, str]:
    """Part by the name of each node and each value of a graph as it was exported, nodes in topological order."""
    weighted = {i: part for i, node in enumerate(nodes) if (part := _module(node.inputs))}
    before_weights = _needed_by(nodes, weighted)
    for_boxes = _needed_by(
        nodes, {i for i, node in enumerate(nodes) if {*BOX_OUTPUTS} & {*node.outputs}}
    )
    first = next(iter(weighted.values()), OTHER)
    found: dict[str, str] = {}
    last: dict[str, int] = {}  # value -> the last node with weights that it comes from
    for i, node in enumerate(nodes):
        origin = (
            i if i in weighted else max((last.get(name, -1) for name in node.inputs), default=-1)
        )
        if i in before_weights:
            part = weighted.get(origin, first)
        else:
            part = BOXES if i in for_boxes else MAP
        last |= dict.fromkeys(node.outputs, origin)
        found |= dict.fromkeys((node.name, *node.outputs), part)
    return found


def follow(nodes: Iterable[Node], known: dict[str, str]) -> dict[str, str]:
    """Part by node name of a graph after fusion, nodes in topological order.

    A fused node has kept the name of one of its nodes or values; one that was put in follows its input.

    Args:
        nodes: of the graph that ONNX Runtime made.
        known: of `parts_of`, for the graph before.
    """
    values = dict(known)
    found: dict[str, str] = {}
    for node in nodes:
        names = (node.name, node.name.removesuffix("_nchwc"), node.name.partition("/")[0])
        keys = (*names, *node.outputs, *node.inputs)
        part = next((values[key] for key in keys if key and key in values), OTHER)
        values |= dict.fromkeys(node.outputs, part)
        found[node.name] = part
    return found


def operations(op: str, inputs: Shapes, outputs: Shapes) -> int:
    """Floating-point operations of a node: exact for convolutions and products of matrices, where a multiply-add is two.

    Everything else that computes counts one for each element of its largest tensor, and what only moves counts none.
    """
    size = math.prod(outputs[0])
    if op == "Conv":
        return 2 * size * math.prod(inputs[1][1:])
    if op in _CONTRACTIONS:
        first, second, product = (math.prod(shape[-2:]) for shape in (*inputs[:2], outputs[0]))
        return 2 * size * math.isqrt(first * second // max(product, 1))  # whichever is transposed
    return 0 if op in _MOVES else max(math.prod(shape) for shape in (*inputs, *outputs))


def _module(inputs: Iterable[str]) -> str:
    for name in inputs:
        if found := _WEIGHT.match(name):
            return found[1] or f"{found[2]} head"
    return ""


def _needed_by(nodes: Sequence[Node], targets: Iterable[int]) -> set[int]:
    """Numbers of the targets and of everything that they need."""
    wanted = set(targets)
    values: set[str] = set()
    for i in range(len(nodes) - 1, -1, -1):
        if i in wanted or values & set(nodes[i].outputs):
            wanted.add(i)
            values |= set(nodes[i].inputs)
    return wanted
