"""What the CPU backends share: the name of the CPU, the check of a graph against its manifest."""

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from perception.core.errors import EngineError
from perception.core.manifest import Engine, TensorSpec


@cache
def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the processor for reports; on boards that do not tell it, the architecture."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def check_graph(
    engine: Engine, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec]
) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """The promised inputs and outputs as the graph has them.

    Args:
        engine: the engine folder.
        inputs: what the backend found in the graph; axes that it does not fix are -1.
        outputs: the same for the outputs.

    Raises:
        EngineError: the graph lacks a tensor that the manifest promises, or has it with another type or shape.
    """
    manifest = engine.manifest
    for kind, promised, found in (
        ("input", manifest.inputs, inputs),
        ("output", manifest.outputs, outputs),
    ):
        for name, spec in promised.items():
            if name not in found:
                raise EngineError(
                    f"{engine.onnx_path}: expected the {kind} {name!r}, got {sorted(found)}; export it again"
                )
            got = found[name]
            if got.dtype != spec.dtype or not _shape_fits(got.shape, spec.shape):
                raise EngineError(
                    f"{engine.onnx_path}: {kind} {name!r}: expected {spec.dtype}{list(spec.shape)}, "
                    f"got {got.dtype}{list(got.shape)}; export it again"
                )
    return {n: inputs[n] for n in manifest.inputs}, {n: outputs[n] for n in manifest.outputs}


def _shape_fits(got: tuple[int, ...], promised: tuple[int, ...]) -> bool:
    return len(got) == len(promised) and all(
        -1 in (a, b) or a == b for a, b in zip(got, promised, strict=True)
    )
