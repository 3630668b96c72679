"""What an engine promises, as JSON beside it, and the check that the files keep the promise."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception.core.config import adapter_json, build_config
from perception.core.errors import ConfigError, EngineError
from perception.core.types import CHANNEL_ORDER

FORMAT = 1  # of manifest.json; a reader refuses any other
ENGINES_DIR = Path(__file__).parents[2] / "engines"
DEFAULT_ENGINE = "road-lean"

ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"  # of the same network, its convolutions in 8 bits
PARITY_FILE = "parity.json"
PARITY_PAGE = "parity.md"
WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: numpy dtype name and shape, -1 where an axis is free."""

    dtype: str
    shape: tuple[int, ...]


# the exported graph; K is chosen at export and stands in the manifest
GRAPH_INPUT = "frame"
FREE_AXES = ("batch", "height", "width")  # of the input, by their names in the ONNX file
BOX_OUTPUTS = ("boxes_xyxy", "scores", "class_ids")
MAP_OUTPUTS = ("class_map",)
GRAPH_OUTPUTS = (*BOX_OUTPUTS, *MAP_OUTPUTS)  # of the cascade and of every network with both heads
TASK_OUTPUTS = {"detection": BOX_OUTPUTS, "segmentation": MAP_OUTPUTS, "features": ()}
ROAD_SCORE_OUTPUT = "road_score"  # only in graphs exported with it
# what an evaluation needs besides, in graphs made for one
EVALUATION_OUTPUTS = (ROAD_SCORE_OUTPUT, "class_map_unmasked", "road_score_masked")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineManifest:
    """The contract of one engine.

    Attributes:
        name: folder name of the engine.
        inputs, outputs: tensor name -> dtype and shape, -1 where free.
        box_classes, map_classes: index = class id.
        channel_order: of the uint8 frame.
        mask_form: form of the box mask in the graph: ``"hard"``, ``"soft"`` or ``"none"``; ``config`` has its other settings.
        mask_threshold: tau of the box mask, in [0, 1].
        score_threshold: boxes below it are not shown, in [0, 1].
        max_pixels: frames with more pixels are scaled down to this many unless a size is asked for.
        onnx_sha256, weights_sha256: of the files beside the manifest.
        int8_sha256: of ``model.int8.onnx`` beside the manifest; empty where there is none.
        cpu_precision: ``"fp32"`` or ``"int8"``: what CPU backends run where none is asked for, the fastest that was measured to
            keep the accuracy.
        task: ``detection | segmentation | parallel | cascade``, or ``features`` for a network without heads, which is only timed.
        trained_on: data sets, with their licences.
        versions: package -> version that made the files.
        created: ISO date.
        config: the resolved training configuration.
        format: version of this schema.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    box_classes: tuple[str, ...]
    map_classes: tuple[str, ...]
    mask_form: str
    mask_threshold: float
    score_threshold: float
    max_pixels: int
    onnx_sha256: str
    weights_sha256: str
    task: str
    trained_on: tuple[str, ...]
    versions: Mapping[str, str]
    created: str
    int8_sha256: str = ""
    cpu_precision: str = "fp32"
    precision: str = "fp32"
    channel_order: str = CHANNEL_ORDER
    config: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise EngineError(
                f"engine {self.name!r}: manifest format {self.format}, this version reads {FORMAT}; export it again"
            )
        if self.channel_order != CHANNEL_ORDER:
            raise EngineError(
                f"engine {self.name!r}: wants {self.channel_order} frames, expected {CHANNEL_ORDER}"
            )
        for key in ("mask_threshold", "score_threshold"):
            value = getattr(self, key)
            if not 0 <= value <= 1:
                raise EngineError(f"engine {self.name!r}: {key} is {value}, expected [0, 1]")
        if self.max_pixels < 1:
            raise EngineError(
                f"engine {self.name!r}: max_pixels is {self.max_pixels}, expected at least 1"
            )
        if self.cpu_precision not in {"fp32", "int8"} or (
            self.cpu_precision == "int8" and not self.int8_sha256
        ):
            raise EngineError(
                f"engine {self.name!r}: cpu_precision is {self.cpu_precision!r}, expected 'fp32', or 'int8' with an INT8 graph"
            )
        promised = TASK_OUTPUTS.get(self.task, GRAPH_OUTPUTS)
        missing = [n for n in promised if n not in self.outputs]
        if missing or GRAPH_INPUT not in self.inputs:
            raise EngineError(
                f"engine {self.name!r}: the manifest lacks {missing or [GRAPH_INPUT]}; export it again"
            )


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine folder whose manifest was read and whose ONNX is the one the manifest names."""

    folder: Path
    manifest: EngineManifest

    @property
    def onnx_path(self) -> Path:
        """The checked ONNX file."""
        return self.folder / ONNX_FILE

    def graph_path(self, precision: str) -> Path:
        """The file that a backend opens for a precision: for ``"int8"`` a graph of its own, checked here.

        Raises:
            EngineError: the engine has no INT8 graph, or the file is not the one that the manifest names.
        """
        if precision != "int8":
            return self.onnx_path
        path = self.folder / INT8_FILE
        way_out = f"make it with: perception quantize --engine {self.manifest.name}"
        if not self.manifest.int8_sha256:
            raise EngineError(f"engine {self.manifest.name!r} has no INT8 graph; {way_out}")
        if not path.is_file():
            raise EngineError(f"{path}: no such file; {way_out}")
        _check_hash(path, self.manifest.int8_sha256, way_out)
        return path

    @property
    def weights_path(self) -> Path:
        """The float16 weights from which torch starts again."""
        return self.folder / WEIGHTS_FILE


def sha256(path: Path) -> str:
    """Hash of a file as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: EngineManifest) -> None:
    """Write ``manifest.json`` into the engine folder."""
    text = json.dumps(json.loads(adapter_json(manifest)), indent=2)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def load_engine(name_or_path: str | Path) -> Engine:
    """Read an engine folder, given as a name under ``engines/`` or as a path, and check its files.

    Raises:
        EngineError: no such engine, a manifest that cannot be read, or an ONNX file of another hash.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        folder = ENGINES_DIR / name_or_path
    if not (folder / MANIFEST_FILE).is_file():
        known = sorted(p.parent.name for p in ENGINES_DIR.glob(f"*/{MANIFEST_FILE}"))
        raise EngineError(
            f"engine {str(name_or_path)!r}: no {MANIFEST_FILE} there; known engines: {known}"
        )
    path = folder / MANIFEST_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        manifest = build_config(EngineManifest, table, str(path))
    except (OSError, ValueError, ConfigError) as error:
        raise EngineError(f"{path}: not a manifest: {error}; export the engine again") from error
    onnx_path = folder / ONNX_FILE
    if not onnx_path.is_file():
        raise EngineError(f"{onnx_path}: no such file; export the engine again")
    _check_hash(onnx_path, manifest.onnx_sha256, "restore it or export again")
    return Engine(folder, manifest)


def _check_hash(path: Path, expected: str, way_out: str) -> None:
    got = sha256(path)
    if got != expected:
        raise EngineError(
            f"{path}: not the file the manifest names: expected sha256 {expected[:12]}..., "
            f"got {got[:12]}...; it is truncated or of another model: {way_out}"
        )
