"""The file of ranges of one network, ``calib/int8/NAME.json``: what was measured, on what, and what stays in float."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perception.core.config import adapter_json, build_config
from perception.core.errors import ConfigError, EngineError, OutputError

FORMAT = 1  # of the file; a reader refuses any other
CALIB_DIR = Path(__file__).parents[3] / "calib" / "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Ranges:
    """Ranges of one float graph.

    Attributes:
        engine: name of the engine.
        onnx_sha256: of the float graph that was measured.
        method: how the ranges were made of the values.
        frames: how many were looked at.
        data: ``SET:SPLIT``, training splits.
        kept_float: pattern of names of convolutions -> why they stay float32.
        versions: package -> version that measured.
        created: ISO date.
        ranges: tensor -> lowest and highest value.
        activations, weights: how the ranges are used.
        format: version of this schema.
    """

    engine: str
    onnx_sha256: str
    method: str
    frames: int
    data: tuple[str, ...]
    kept_float: Mapping[str, str]
    versions: Mapping[str, str]
    created: str
    ranges: Mapping[str, tuple[float, float]]
    activations: str = "asymmetric uint8 over [low, high] on the CPU; symmetric int8 over +-max(|low|, |high|) for TensorRT"
    weights: str = "symmetric int8, one scale for each output channel, over their largest value"
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise EngineError(
                f"ranges of {self.engine!r}: format {self.format}, this version reads {FORMAT}; measure them again"
            )
        for name, (low, high) in self.ranges.items():
            if not low <= high:
                raise EngineError(
                    f"ranges of {self.engine!r}: {name}: expected low <= high, got [{low}, {high}]; measure them again"
                )


def ranges_text(ranges: Int8Ranges) -> str:
    """As JSON, one tensor a line."""
    text = json.dumps(json.loads(adapter_json(ranges)), indent=2)
    return re.sub(r"\[\s+([-+.\de]+),\s+([-+.\de]+)\s+\]", r"[\1, \2]", text) + "\n"


def parse_ranges(text: str, origin: str) -> Int8Ranges:
    """Read what `ranges_text` wrote; `origin` names it in the message of an `EngineError`."""
    try:
        return build_config(Int8Ranges, json.loads(text), origin)
    except (ValueError, ConfigError) as error:
        raise EngineError(f"{origin}: not a file of ranges: {error}; measure them again") from error


def read_ranges(path: Path) -> Int8Ranges:
    """Read a file of ranges.

    Raises:
        EngineError: it is missing or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: cannot be read: {error}; measure the ranges again") from error
    return parse_ranges(text, str(path))


def write_ranges(path: Path, ranges: Int8Ranges) -> None:
    """Write a file of ranges; `OutputError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ranges_text(ranges), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot write the ranges: {error.strerror}") from error
