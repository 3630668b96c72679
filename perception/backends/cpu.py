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
    return _entry(cpuinfo, "model name") or platform.processor() or platform.machine()


@cache
def int8_sums_overflow(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = "") -> bool:
    """Whether this CPU adds products of uint8 and int8 in 16 bits, which overflow: x86 that does not say it has VNNI.

    Args:
        cpuinfo: where Linux tells the abilities of the processor.
        machine: its architecture; empty: this machine's.
    """
    flags = _entry(cpuinfo, "flags").split()
    x86 = (machine or platform.machine()).lower() in {"x86_64", "amd64"}
    return x86 and not {"avx512_vnni", "avx_vnni"} & set(flags)


def _entry(cpuinfo: Path, wanted: str) -> str:
    """The first entry of a name; empty where the file lacks it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == wanted:
                return value.strip()
    return ""


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
