"""Other graphs of the weights of an engine, made once and kept: with the outputs of an evaluation, without the mask."""

from collections.abc import Sequence
from pathlib import Path

from perception.core.errors import EngineError
from perception.core.manifest import EVALUATION_OUTPUTS, Engine, load_engine
from perception.export.onnx import export_variant

CACHE_DIR = Path("runs") / "cache"


def evaluation_variant(engine: Engine, cache: Path = CACHE_DIR) -> Engine:
    """The engine with all outputs that an evaluation can use."""
    return _cached(engine, cache, "evaluation", extras=EVALUATION_OUTPUTS, mask=None)


def unmasked_variant(engine: Engine, cache: Path = CACHE_DIR) -> Engine:
    """The engine without the box mask."""
    return _cached(engine, cache, "unmasked", extras=(), mask="none")


def _cached(
    engine: Engine, cache: Path, kind: str, *, extras: Sequence[str], mask: str | None
) -> Engine:
    manifest = engine.manifest
    folder = cache / f"{manifest.name}-{manifest.onnx_sha256[:12]}-{kind}"
    try:
        return load_engine(folder)
    except EngineError:  # not made yet, or its making was interrupted
        return export_variant(engine, folder, extras=extras, mask=mask)
