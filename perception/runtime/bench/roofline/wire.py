"""The nodes of an ONNX file, and files of one node: what a roofline needs of the format, without the package `onnx`.

Source:
    onnx.proto of ONNX 1.17 (field numbers), and the encoding of Protocol Buffers, https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perception.core.errors import EngineError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
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
        graph = next(value for number, value in _fields(path.read_bytes()) if number == 7)
        return [_node(value) for number, value in _fields(graph) if number == 1]
    except (StopIteration, IndexError, ValueError) as error:
        raise EngineError(f"{path}: expected an ONNX graph, got something else") from error


def one_node_model(op: str) -> bytes:
    """An ONNX file that makes ``c`` of ``a`` and ``b``, float32 of any shape."""
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"c") + _field(4, op.encode())
    typed = _field(2, _field(1, _field(1, FLOAT)))
    inputs = b"".join(_field(11, _field(1, name) + typed) for name in (b"a", b"b"))
    graph = _field(1, node) + _field(2, b"one") + inputs + _field(12, _field(1, b"c") + typed)
    opset = _field(1, b"") + _field(2, OPSET)
    return _field(1, 8) + _field(7, graph) + _field(8, opset)


def _node(data: bytes) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for number, value in _fields(data):
        if number in texts:
            texts[number].append(value.decode())
    return Node("".join(texts[4]), "".join(texts[3]), tuple(texts[1]), tuple(texts[2]))


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field; numbers, which nobody asks for here, are passed over."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            _, at = _varint(data, at)
        elif kind in {FIXED64, FIXED32}:
            at += 8 if kind == FIXED64 else 4
        elif kind == BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("a field runs over the end")
            yield key >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3 | VARINT, value])  # all below 128
    length = bytearray()
    left = len(value)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | BYTES, *length, left]) + value
