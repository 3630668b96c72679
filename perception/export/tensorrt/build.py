"""Engine folder -> typed graph -> plan and its manifest: what `perception build` and `tools/build_engine.py` call."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from perception.backends.device import open_device
from perception.backends.plan import (
    Plan,
    PlanManifest,
    load_plan,
    manifest_path,
    plan_manifest_text,
)
from perception.backends.products import DTYPES, find_product
from perception.core.errors import OutputError
from perception.core.manifest import GRAPH_INPUT, Engine, TensorSpec
from perception.export.tensorrt.check import check_typed
from perception.export.tensorrt.compile import compile_network, parse, write_file
from perception.export.tensorrt.layers import Layer, list_layers, summarise
from perception.export.tensorrt.options import BuildOptions, plan_name
from perception.export.tensorrt.typed import Typed, fix_axes, typed_graph, with_fit

# GeForce 30, 40 and 50. For 7.5 TensorRT-RTX 1.7 swells depthwise layers: 342 MB where the others take 9
RTX_CAPABILITIES = ("8.6", "8.9", "12.0")


@dataclass(frozen=True, slots=True)
class Built:
    """A plan that was built, and the layers that it was built from."""

    plan: Plan
    layers: tuple[Layer, ...]


def build_plan(engine: Engine, folder: Path, options: BuildOptions) -> Built:
    """Compile an engine and write the plan with its manifest; a build that is killed leaves none that would be loaded.

    Raises:
        ConfigError: an option that the product does not have, or that contradicts another.
        EngineError: the graph differs too much from float32, does not parse or does not build.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: the user ended the build.
    """
    product = find_product(options.product)
    if not product.needs_gpu and not options.capabilities:
        options = replace(options, capabilities=RTX_CAPABILITIES)
    gpu, capability = _gpu_at_hand() if product.needs_gpu else ("", "")
    low, high = options.shapes(engine.manifest.max_pixels)
    fit = options.fit(engine.manifest.max_pixels)
    typed = typed_graph(engine, options.precision)
    if fit is not None:
        typed = with_fit(typed, fit)
    shape = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
    parity = check_typed(engine, typed, options.check_frames)
    model = fix_axes(typed.model, shape)
    _describe(model, engine, typed)
    data = model.SerializeToString(deterministic=True)
    if options.save_onnx is not None:
        write_file(options.save_onnx, data)
    start = time.monotonic()
    parsed = parse(product, data)
    compiled = compile_network(product, parsed, options, (low, high))
    content = compiled.plan
    layers = list_layers(parsed.network, model)
    if low != high:  # the arithmetic of the largest input
        whole = fix_axes(typed.model, high)
        layers = list_layers(parse(product, whole.SerializeToString()).network, whole)
    manifest = PlanManifest(
        engine=engine.manifest.name,
        onnx_sha256=engine.manifest.onnx_sha256,
        typed_sha256=hashlib.sha256(data).hexdigest(),
        plan_sha256=hashlib.sha256(content).hexdigest(),
        plan_bytes=len(content),
        product=product.name,
        product_version=product.version,
        compute_capabilities=(capability,) if capability else options.capabilities,
        gpu=gpu,
        hardware_compatibility=options.hardware_compatibility,
        version_compatible=options.version_compatible,
        stripped=options.strip,
        precision=options.precision,
        islands=typed.islands,
        inputs=_specs(parsed.network.get_input, parsed.network.num_inputs),
        outputs=_specs(parsed.network.get_output, parsed.network.num_outputs),
        profile={GRAPH_INPUT: (low, high, high)} if low != high else {},
        box_classes=engine.manifest.box_classes,
        map_classes=engine.manifest.map_classes,
        channel_order=engine.manifest.channel_order,
        layers=summarise(layers),
        parity=parity,
        fit=fit,
        build_s=round(time.monotonic() - start, 2),
        created=datetime.now(UTC).date().isoformat(),
    )
    path = folder / plan_name(options, low, high, product.name, fit)
    _write(path, content, manifest)
    if options.timing_cache is not None:
        write_file(options.timing_cache, compiled.timing_cache)
    return Built(load_plan(path, engine), tuple(layers))


def write_layers(path: Path, layers: Sequence[Layer]) -> None:
    """Write every layer on a line: precision, arithmetic, kind, name; raise `OutputError` where that fails."""
    lines = [f"{x.precision or '-':5} {x.flop:>14,} {x.kind:20} {x.name}\n" for x in layers]
    write_file(path, "".join(lines).encode())


def _gpu_at_hand() -> tuple[str, str]:
    """Name and compute capability of the GPU that TensorRT compiles on and for."""
    with open_device() as device:
        return device.gpu, device.capability


def _describe(model: ModelProto, engine: Engine, typed: Typed) -> None:
    """Note in the graph itself what it is and where it comes from."""
    manifest = engine.manifest
    onnx.helper.set_model_props(
        model,
        {
            "engine": manifest.name,
            "onnx_sha256": manifest.onnx_sha256,
            "precision": typed.precision,
            "fp32_islands": ", ".join(typed.islands),
            "box_classes": ", ".join(manifest.box_classes),
            "map_classes": ", ".join(manifest.map_classes),
            "channel_order": manifest.channel_order,
        },
    )


def _specs(tensor_of: Any, count: int) -> dict[str, TensorSpec]:  # noqa: ANN401 (of an untyped module)
    tensors = [tensor_of(index) for index in range(count)]
    return {
        t.name: TensorSpec(DTYPES.get(t.dtype.name, t.dtype.name.lower()), tuple(t.shape))
        for t in tensors
    }


def _write(path: Path, content: bytes, manifest: PlanManifest) -> None:
    """The plan first, then its manifest, each in one step: between both, the old manifest refuses the new plan."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, data in (
            (path, content),
            (manifest_path(path), plan_manifest_text(manifest).encode()),
        ):
            partial = target.with_name(f".{target.name}.part")
            try:
                partial.write_bytes(data)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
