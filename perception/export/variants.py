"""Engines beside the shipped one, made once and kept: with the outputs of an evaluation, without the mask, rounded, untrained.

The variant of an engine with an INT8 graph has one too, made from the same ranges.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from perception import models
from perception.core.config import dump_config
from perception.core.errors import EngineError, OutputError
from perception.core.manifest import (
    EVALUATION_OUTPUTS,
    ONNX_FILE,
    Engine,
    load_engine,
    write_manifest,
)
from perception.export.int8.engine import ranges_within, write_int8
from perception.export.int8.ranges import Int8Ranges
from perception.export.onnx import ExportOptions, export_network, export_variant
from perception.export.tensorrt.emulate import emulate_half
from perception.export.tensorrt.typed import typed_graph
from perception.models.multitask import MultiTaskModel
from perception.training.config import TrainConfig

CACHE_DIR = Path("runs") / "cache"
MODELS_DIR = Path(models.__file__).parent


def evaluation_variant(engine: Engine, cache: Path = CACHE_DIR) -> Engine:
    """The engine with all outputs that an evaluation can use."""
    return _cached(engine, cache, "evaluation", extras=EVALUATION_OUTPUTS, mask=None)


def unmasked_variant(engine: Engine, cache: Path = CACHE_DIR) -> Engine:
    """The engine without the box mask."""
    return _cached(engine, cache, "unmasked", extras=(), mask="none")


def emulated_variant(engine: Engine, precision: str, cache: Path = CACHE_DIR) -> Engine:
    """An engine whose float32 graph gives what TensorRT's typed graph of `engine` gives, with the rounding of half precision.

    Args:
        engine: checked engine folder.
        precision: ``"fp16"`` or ``"int8"``.
        cache: folder of what was made before.

    Raises:
        OutputError: the folder cannot be written.
    """
    data = emulate_half(typed_graph(engine, precision).model).SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()
    folder = cache / f"{engine.manifest.name}-{digest[:12]}-emulated-{precision}"
    try:
        return load_engine(folder)
    except EngineError:  # not made yet, or its making was interrupted
        manifest = replace(
            engine.manifest,
            name=folder.name,
            onnx_sha256=digest,
            int8_sha256="",
            cpu_precision="fp32",
            precision=precision,
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ONNX_FILE).write_bytes(data)
            write_manifest(folder, manifest)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
        return load_engine(folder)


def untrained_engine(config: TrainConfig, cache: Path = CACHE_DIR) -> Engine:
    """The network of a preset with random weights: how long it takes does not depend on what it learnt."""
    graph = replace(config.graph, mask=config.graph.mask if config.model.has_detection else "none")
    config = replace(config, model=replace(config.model, pretrained=False), graph=graph)
    table = {"model": dump_config(config.model), "graph": dump_config(config.graph)}
    digest = _digest(json.dumps(table, sort_keys=True))
    folder = cache / f"untrained-{config.model.backbone}-{digest}"
    try:
        return load_engine(folder)
    except EngineError:  # not made yet, or its making was interrupted
        torch.manual_seed(0)
        network = MultiTaskModel(config.model)
        return export_network(network, config, folder, ExportOptions(), trained_on=())


def _cached(
    engine: Engine, cache: Path, kind: str, *, extras: Sequence[str], mask: str | None
) -> Engine:
    manifest = engine.manifest
    folder = cache / f"{manifest.name}-{_digest(manifest.onnx_sha256)}-{kind}"
    try:
        variant = load_engine(folder)
    except EngineError:  # not made yet, or its making was interrupted
        variant = export_variant(engine, folder, extras=extras, mask=mask)
    if not manifest.int8_sha256:
        return variant
    ranges = ranges_within(engine)
    return variant if _made_from(variant, ranges) else write_int8(variant, ranges)


def _digest(made_from: str) -> str:
    """Of what an engine is made from, and of the code that makes it: whoever changes a network or a mask times it next."""
    digest = hashlib.sha256(made_from.encode())
    for path in sorted(MODELS_DIR.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _made_from(variant: Engine, ranges: Int8Ranges) -> bool:
    try:
        return ranges_within(variant) == ranges
    except EngineError:  # not made yet, or its making was interrupted
        return False
