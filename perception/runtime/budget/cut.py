"""An engine without its segmentation, cut from the shipped files into a cache: the nodes that the boxes need, unchanged.

ONNX Runtime computes every node of a graph, whichever outputs are asked for. The files are cut as Protocol Buffers on the wire, so that this needs no ONNX
package. Source of the field numbers: onnx.proto of ONNX, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import hashlib
import os
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from perception.core.errors import EngineError, OutputError
from perception.core.manifest import (
    BOX_OUTPUTS,
    INT8_FILE,
    ONNX_FILE,
    Engine,
    load_engine,
    write_manifest,
)
from perception.runtime.protobuf import encode, fields

CACHE_DIR = Path("runs") / "cache"

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_OUTPUT, GRAPH_VALUE_INFO = 1, 5, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_ATTRIBUTE = 1, 2, 5
ATTRIBUTE_GRAPHS = {6, 11}
TENSOR_NAME, VALUE_NAME = 8, 1


def boxes_engine(engine: Engine, cache: Path = CACHE_DIR) -> Engine:
    """The engine with its box outputs alone, made once and kept; it also has an INT8 graph where the engine has one.

    Args:
        engine: checked engine folder, with boxes and class map.
        cache: folder of what was made before.

    Raises:
        EngineError: a file of the engine cannot be read as ONNX.
        OutputError: the cache cannot be written.
    """
    manifest = engine.manifest
    digest = f"{manifest.onnx_sha256[:8]}{manifest.int8_sha256[:8]}"
    folder = cache / f"{manifest.name}-{digest}-boxes"
    try:
        return load_engine(folder)
    except EngineError:  # not made yet, or damaged since
        pass
    files = {ONNX_FILE: engine.onnx_path}
    if manifest.int8_sha256:
        files[INT8_FILE] = engine.graph_path("int8")
    cuts = {name: _cut_file(path) for name, path in files.items()}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in cuts.items()}
    cut_manifest = replace(
        manifest,
        name=folder.name,
        task="detection",
        outputs={name: manifest.outputs[name] for name in BOX_OUTPUTS},
        onnx_sha256=hashes[ONNX_FILE],
        int8_sha256=hashes.get(INT8_FILE, ""),
        weights_sha256="",
    )
    making = folder.with_name(f"{folder.name}.{os.getpid()}")  # another process may make the same
    try:
        making.mkdir(parents=True, exist_ok=True)
        for name, data in cuts.items():
            (making / name).write_bytes(data)
        write_manifest(making, cut_manifest)
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        if not (folder / ONNX_FILE).is_file():  # the other process was no quicker either
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    return load_engine(folder)


def _cut_file(path: Path) -> bytes:
    try:
        return cut_graph(path.read_bytes(), BOX_OUTPUTS)
    except (OSError, ValueError, IndexError) as error:
        raise EngineError(f"{path}: cannot be cut to its boxes: {error}") from error


def cut_graph(model: bytes, outputs: Collection[str]) -> bytes:
    """An ONNX file with only some outputs, and only what they are computed from.

    Args:
        model: the file; its nodes are in the order of their use, as ONNX demands.
        outputs: names that stay.

    Raises:
        ValueError: it is not ONNX, lacks an output, or has nodes with graphs inside.
    """
    parts = [
        encode(MODEL_GRAPH, _cut(field.value, outputs)) if field.number == MODEL_GRAPH else field.whole
        for field in fields(model)
    ]  # fmt: skip
    return b"".join(parts)


def _cut(graph: bytes, outputs: Collection[str]) -> bytes:
    parts = list(fields(graph))
    needed = {name.encode() for name in outputs}  # an empty name is none
    missing = needed - {_name(f.value, VALUE_NAME) for f in parts if f.number == GRAPH_OUTPUT}
    if missing:
        raise ValueError(f"expected the outputs {sorted(outputs)}, found no {sorted(missing)}")
    kept: list[bytes] = []
    for field in reversed(parts):
        if field.number != GRAPH_NODE:
            continue
        inputs, made = _ends(field.value)
        if needed & made:
            needed |= inputs
            kept.append(field.whole)
    kept.reverse()
    names = {GRAPH_INITIALIZER: TENSOR_NAME, GRAPH_OUTPUT: VALUE_NAME}
    wanted = {GRAPH_INITIALIZER: needed, GRAPH_OUTPUT: {name.encode() for name in outputs}}
    for field in parts:
        number = field.number
        if number in names and _name(field.value, names[number]) not in wanted[number]:
            continue
        # shapes of tensors between, which the loader finds again, may be of nodes that are gone
        if number not in {GRAPH_NODE, GRAPH_VALUE_INFO}:
            kept.append(field.whole)
    return b"".join(kept)


def _ends(node: bytes) -> tuple[set[bytes], set[bytes]]:
    """Names of the tensors that go into a node, and of those that it makes."""
    inputs, made = set(), set()
    for field in fields(node):
        if field.number == NODE_INPUT and field.value:
            inputs.add(field.value)
        elif field.number == NODE_OUTPUT:
            made.add(field.value)
        elif field.number == NODE_ATTRIBUTE and any(
            inner.number in ATTRIBUTE_GRAPHS for inner in fields(field.value)
        ):
            raise ValueError("a node holds a graph of its own, which may use any tensor")
    return inputs, made


def _name(message: bytes, number: int) -> bytes:
    return next((field.value for field in fields(message) if field.number == number), b"")
