"""What a compiled plan promises, as JSON beside it, and the checks that can be made without loading it.

An engine file is code to the process that loads it. So only a plan whose hash its manifest names is given to a loader.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perception.core.config import adapter_json, build_config
from perception.core.errors import ConfigError, EngineError
from perception.core.geometry import Letterbox
from perception.core.manifest import GRAPH_INPUT, Engine, TensorSpec, sha256

FORMAT = 1  # of the manifest of a plan; a reader refuses any other
PLAN_SUFFIX = ".engine"
MANIFEST_SUFFIX = ".json"  # after the plan's own name
PRODUCTS = ("tensorrt", "tensorrt_rtx")
PRECISIONS = ("fp16", "fp32", "int8")
BUILD = "build it with: perception build"  # the way out of most refusals


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanManifest:
    """The contract of one compiled plan.

    Attributes:
        engine: name of the engine that it was built from.
        onnx_sha256: of that engine's ``model.onnx``.
        typed_sha256: of the typed graph that was compiled.
        plan_sha256, plan_bytes: of the plan beside this manifest.
        product, product_version: what compiled it, of `PRODUCTS`, and its full version: a plan loads in no other.
        compute_capabilities: of the GPUs that it runs on, ``"8.6"``.
        gpu: name of the GPU that it was tuned on; empty where it was compiled without one.
        hardware_compatibility: ``"none"`` or a level of TensorRT's that admits other GPUs.
        version_compatible: whether later versions of the product load it.
        stripped: whether it lacks its weights; the runner of this project does not load such plans.
        precision: of `PRECISIONS`.
        islands: part of the graph that stayed float32 -> why.
        inputs, outputs: names, dtypes and shapes; -1 where an axis is free within `profile`.
        profile: input -> lowest, best and highest shape; empty where every axis is fixed.
        box_classes, map_classes, channel_order: as in the engine's manifest.
        layers: what `perception.export.tensorrt.layers` counted.
        parity: how far the graph is from float32, by `perception.export.tensorrt.check`; empty where it was not checked.
        fit: of whole frames, which the plan does itself; ``None``: it takes frames that were fitted to the size of its input.
        build_s: time of the build, s.
        created: ISO date.
    """

    engine: str
    onnx_sha256: str
    typed_sha256: str
    plan_sha256: str
    plan_bytes: int
    product: str
    product_version: str
    compute_capabilities: tuple[str, ...]
    gpu: str
    hardware_compatibility: str
    version_compatible: bool
    stripped: bool
    precision: str
    islands: Mapping[str, str]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    profile: Mapping[str, tuple[tuple[int, ...], ...]]
    box_classes: tuple[str, ...]
    map_classes: tuple[str, ...]
    channel_order: str
    layers: Mapping[str, Any]
    build_s: float
    created: str
    parity: Mapping[str, Any] = field(default_factory=dict)
    fit: Letterbox | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        checks = (
            ("format", self.format, (FORMAT,)),
            ("product", self.product, PRODUCTS),
            ("precision", self.precision, PRECISIONS),
        )
        for name, got, known in checks:
            if got not in known:
                raise EngineError(
                    f"plan of {self.engine!r}: {name} is {got!r}, expected one of {list(known)}; {BUILD}"
                )
        if GRAPH_INPUT not in self.inputs:
            raise EngineError(
                f"plan of {self.engine!r}: it lacks the input {GRAPH_INPUT!r}; {BUILD}"
            )

    def fits(self, size_wh: tuple[int, int], frame_wh: tuple[int, int] | None = None) -> bool:
        """Whether it takes one frame that was fitted to this size, or does that fit itself, of whole frames of `frame_wh`."""
        if self.fit is not None:
            return (self.fit.model_wh, self.fit.frame_wh) == (size_wh, frame_wh)
        width, height = size_wh
        fixed = self.inputs[GRAPH_INPUT].shape
        low, _, high = self.profile.get(GRAPH_INPUT, (fixed, fixed, fixed))
        wanted = (1, height, width, 3)
        return all(a <= n <= b for a, n, b in zip(low, wanted, high, strict=True))


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan whose manifest was read and whose file is the one the manifest names."""

    path: Path
    manifest: PlanManifest


def manifest_path(plan: Path) -> Path:
    """``x.engine`` -> ``x.engine.json``."""
    return plan.with_name(plan.name + MANIFEST_SUFFIX)


def plan_manifest_text(manifest: PlanManifest) -> str:
    """The manifest as it stands in its file."""
    return json.dumps(json.loads(adapter_json(manifest)), indent=2) + "\n"


def read_plan_manifest(path: Path) -> PlanManifest:
    """Read the manifest of a plan, and nothing of the plan itself.

    Raises:
        EngineError: there is none that can be read.
    """
    beside = manifest_path(path)
    if not beside.is_file():
        raise EngineError(f"{beside}: no such file; {BUILD}")
    try:
        table = json.loads(beside.read_text(encoding="utf-8"))
        return build_config(PlanManifest, table, str(beside))
    except (OSError, ValueError, ConfigError) as error:
        raise EngineError(f"{beside}: not the manifest of a plan: {error}; {BUILD}") from error


def load_plan(path: Path, engine: Engine | None = None) -> Plan:
    """Read the manifest of a plan and check the file by it.

    Args:
        path: of the plan.
        engine: that it must have been built from.

    Raises:
        EngineError: no such file, no manifest that can be read, a file of another hash or length, or a plan of another model.
    """
    if not path.is_file():
        raise EngineError(f"{path}: no such file; {BUILD}")
    manifest = read_plan_manifest(path)
    length = path.stat().st_size
    if length != manifest.plan_bytes:
        raise EngineError(
            f"{path}: expected {manifest.plan_bytes} bytes, got {length}: it is truncated or another plan; {BUILD}"
        )
    got = sha256(path)
    if got != manifest.plan_sha256:
        raise EngineError(
            f"{path}: expected sha256 {manifest.plan_sha256[:12]}..., got {got[:12]}...: it is damaged or another plan; {BUILD}"
        )
    if engine is not None and manifest.onnx_sha256 != engine.manifest.onnx_sha256:
        raise EngineError(
            f"{path}: built from {manifest.engine!r} {manifest.onnx_sha256[:12]}..., expected "
            f"{engine.manifest.name!r} {engine.manifest.onnx_sha256[:12]}...; {BUILD} --engine {engine.manifest.name}"
        )
    return Plan(path, manifest)


def plans_of(engine: Engine, precision: str = "*") -> dict[Path, PlanManifest]:
    """The plans in an engine's folder by what their manifests say; they are not checked. Raises as `read_plan_manifest`."""
    paths = sorted(engine.folder.glob(f"{precision}-*{PLAN_SUFFIX}"))
    return {path: read_plan_manifest(path) for path in paths if manifest_path(path).is_file()}


def plan_bytes(plan: Plan) -> bytes:
    """The plan itself; raise `EngineError` where it is no longer the file that was checked."""
    content = plan.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != plan.manifest.plan_sha256:
        raise EngineError(f"{plan.path}: it was replaced while it was opened; open it again")
    return content


def find_plan(
    engine: Engine,
    size_wh: tuple[int, int],
    precision: str,
    frame_wh: tuple[int, int] | None = None,
) -> Plan:
    """The plan in an engine's folder for one frame of a size.

    Of several, one of a product that is installed, for whole frames, with fixed axes, by TensorRT, in this order.

    Args:
        engine: checked engine folder.
        size_wh: of what the network sees, px.
        precision: of `PRECISIONS`.
        frame_wh: of whole frames, px; ``None``: frames come fitted.

    Raises:
        EngineError: there is none, or it is refused by `load_plan`.
    """
    plans = plans_of(engine, precision)
    fitting = [
        path
        for path, found in plans.items()
        if found.fits(size_wh, frame_wh) and not found.stripped
    ]
    if not fitting:
        width, height = size_wh
        raise EngineError(
            f"{engine.folder}: no {precision} plan for {width}x{height}; found {[path.name for path in plans]}; "
            f"{BUILD} --engine {engine.manifest.name} --precision {precision} --size {width}x{height}"
        )

    def rank(path: Path) -> tuple[bool, bool, bool, int]:
        found = plans[path]
        absent = find_spec(found.product) is None
        return absent, found.fit is None, bool(found.profile), PRODUCTS.index(found.product)

    return load_plan(min(fitting, key=rank), engine)
