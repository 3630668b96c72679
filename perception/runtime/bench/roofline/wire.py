"""The nodes of an ONNX file, and files of one node: what a roofline needs of the format, without the package `onnx`.

Source:
    onnx.proto of ONNX 1.17 (field numbers).
"""

from dataclasses import dataclass
from pathlib import Path

from perception.core.errors import EngineError
from perception.runtime.protobuf import encode, fields

FLOAT = 1  # TensorProto.FLOAT
OPSET = 17


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a graph; names of values, empty where an optional one is left out."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_nodes(path: Path) -> list[Node]:
    """The nodes of an ONNX file, in their order, which is topological.

    Raises:
        EngineError: it is no ONNX file.
    """
    try:
        graph = next(f.value for f in fields(path.read_bytes()) if f.number == 7)
        return [_node(f.value) for f in fields(graph) if f.number == 1]
    except (StopIteration, IndexError, ValueError) as error:
        raise EngineError(f"{path}: expected an ONNX graph, got something else") from error


def one_node_model(op: str) -> bytes:
    """An ONNX file that makes ``c`` of ``a`` and ``b``, float32 of any shape."""
    node = encode(1, b"a") + encode(1, b"b") + encode(2, b"c") + encode(4, op.encode())
    typed = encode(2, encode(1, encode(1, FLOAT)))
    inputs = b"".join(encode(11, encode(1, name) + typed) for name in (b"a", b"b"))
    graph = encode(1, node) + encode(2, b"one") + inputs + encode(12, encode(1, b"c") + typed)
    opset = encode(1, b"") + encode(2, OPSET)
    return encode(1, 8) + encode(7, graph) + encode(8, opset)


def _node(data: bytes) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for field in fields(data):
        if field.number in texts:
            texts[field.number].append(field.value.decode())
    return Node("".join(texts[4]), "".join(texts[3]), tuple(texts[1]), tuple(texts[2]))
