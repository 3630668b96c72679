"""Protocol Buffers on the wire: as much as the parts of ONNX files need that are read or cut without the package `onnx`.

Source: https://protobuf.dev/programming-guides/encoding/. Which field has which number stands with who asks for it, from onnx.proto of ONNX.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, LENGTH_DELIMITED = 0, 2  # wire types
FIXED_BYTES = {1: 8, 5: 4}  # wire type -> bytes


class Field(NamedTuple):
    """One field of a message: its number, its whole bytes, and the bytes of its value where it has a length."""

    number: int
    whole: bytes
    value: bytes


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in their order; raise `ValueError` or `IndexError` where it is none."""
    at = 0
    while at < len(message):
        begin = at
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            _, at = _varint(message, at)
            yield Field(number, message[begin:at], b"")
        elif wire == LENGTH_DELIMITED:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("the file is truncated")
            yield Field(number, message[begin : at + length], message[at : at + length])
            at += length
        elif wire in FIXED_BYTES:
            at += FIXED_BYTES[wire]
            yield Field(number, message[begin:at], b"")
        else:
            raise ValueError(f"no Protocol Buffers: wire type {wire}")


def encode(number: int, value: int | bytes) -> bytes:
    """A field with a number of at least 0, or with bytes."""
    if isinstance(value, int):
        return _encode_varint(number << 3 | VARINT) + _encode_varint(value)
    return _encode_varint(number << 3 | LENGTH_DELIMITED) + _encode_varint(len(value)) + value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
