"""The INT8 graph of an engine folder: made from a file of ranges, kept beside the float graph, with the ranges inside it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import onnx
from onnx import ModelProto

from perception.core.errors import EngineError, OutputError
from perception.core.geometry import choose_model_size, fit_letterbox
from perception.core.manifest import INT8_FILE, Engine, load_engine, sha256, write_manifest
from perception.core.types import UInt8
from perception.export.int8.calibrate import measure_ranges
from perception.export.int8.graph import chosen_nodes, insert_qdq
from perception.export.int8.ranges import Int8Ranges, parse_ranges, ranges_text
from perception.export.network import check_patterns, convolutions, matches, prepare
from perception.stages.preprocess import fit_image

# pattern -> why, where nothing else is asked for
KEPT_FLOAT = {
    "backbone.features.stem.0.0": "the largest error of the class map, and no time saved: a change of layout costs as much",
    "heads.detection.convolutions.1": "its result makes the boxes: in 256 steps it cost a half-trained network a point of AP50",
    "heads.detection.predict": "makes coordinates and scores, and takes hardly any time",
    "heads.segmentation.classify": "makes the scores of the classes, and takes hardly any time",
}
RANGES_KEY = "int8_ranges"  # of the metadata of the INT8 graph


def measure_engine(
    engine: Engine,
    frames: Iterable[tuple[str, UInt8]],
    *,
    method: str,
    data: tuple[str, ...],
    kept_float: Mapping[str, str] | None = None,
) -> Int8Ranges:
    """Run the float graph of an engine on frames as the loop would, and note the ranges.

    Args:
        engine: whose graph is measured.
        frames: name and ``uint8[H, W, 3]``.
        method: of `perception.export.int8.calibrate.METHODS`.
        data: where the frames are from, ``SET:SPLIT``.
        kept_float: pattern of names of convolutions -> why they are to stay float32; ``None``: what of `KEPT_FLOAT` fits.

    Raises:
        ConfigError: a pattern fits no convolution, or the method is unknown.
        InputError: there was no frame.
    """
    prepared = prepare(onnx.load(engine.onnx_path))
    if kept_float is None:
        names = convolutions(prepared)
        kept_float = {
            p: why for p, why in KEPT_FLOAT.items() if any(matches(n, [p]) for n in names)
        }
    check_patterns(prepared, kept_float)
    count = 0

    def feeds() -> Iterable[UInt8]:
        nonlocal count
        for _, image in frames:
            count += 1
            yield engine_feed(engine, image)

    ranges = measure_ranges(prepared, feeds(), method)
    return Int8Ranges(
        engine=engine.manifest.name,
        onnx_sha256=engine.manifest.onnx_sha256,
        method=method,
        frames=count,
        data=data,
        kept_float=kept_float,
        versions={name: version(name) for name in ("onnx", "onnxruntime")},
        created=datetime.now(UTC).date().isoformat(),
        ranges=ranges,
    )


def engine_feed(engine: Engine, image: UInt8) -> UInt8:
    """``uint8[H, W, 3]`` -> ``uint8[1, h, w, 3]``, fitted to the size that the engine takes for such frames."""
    frame_wh = (image.shape[1], image.shape[0])
    size = choose_model_size(frame_wh, engine.manifest.max_pixels)
    return fit_image(image, fit_letterbox(frame_wh, size))[None]


def int8_model(model: ModelProto, ranges: Int8Ranges) -> ModelProto:
    """The INT8 graph of a float graph, with the ranges among its metadata; the same input gives the same bytes.

    The float graph may be another than the measured one, with more outputs, if it is of the same network.

    Raises:
        ConfigError: a pattern of what stays float32 fits no convolution.
        EngineError: the ranges are of another network.
    """
    prepared = prepare(model)
    check_patterns(prepared, ranges.kept_float)
    quantised = insert_qdq(prepared, ranges.ranges, chosen_nodes(prepared, ranges.kept_float))
    onnx.helper.set_model_props(quantised, {RANGES_KEY: ranges_text(ranges)})
    return quantised


def write_int8(engine: Engine, ranges: Int8Ranges, *, default: bool | None = None) -> Engine:
    """Write ``model.int8.onnx`` into an engine folder and its hash into the manifest; see `int8_model`.

    With `default`, the manifest names it as what CPU backends run where no precision is asked for; ``None`` leaves that as it is.

    Raises:
        OutputError: the folder cannot be written.
    """
    data = int8_model(onnx.load(engine.onnx_path), ranges).SerializeToString(deterministic=True)
    path = engine.folder / INT8_FILE
    try:
        path.write_bytes(data)
        precision = {None: engine.manifest.cpu_precision, True: "int8", False: "fp32"}[default]
        manifest = replace(engine.manifest, int8_sha256=sha256(path), cpu_precision=precision)
        write_manifest(engine.folder, manifest)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return load_engine(engine.folder)


def check_measured_on(engine: Engine, ranges: Int8Ranges) -> None:
    """Raise `EngineError` unless the ranges were measured on the float graph of this engine."""
    mine, theirs = engine.manifest.onnx_sha256, ranges.onnx_sha256
    if mine != theirs:
        raise EngineError(
            f"the ranges are of another graph: expected sha256 {mine[:12]}..., got {theirs[:12]}...; "
            f"measure them again with: perception quantize --engine {engine.manifest.name}"
        )


def ranges_within(engine: Engine) -> Int8Ranges:
    """The ranges from which the engine's INT8 graph was made, taken from it.

    Raises:
        EngineError: there is no INT8 graph, it is not the one of the manifest, or it holds no ranges.
    """
    path = engine.graph_path("int8")
    found = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    if RANGES_KEY not in found:
        raise EngineError(
            f"{path}: it holds no ranges; make it again with: perception quantize --engine {engine.manifest.name}"
        )
    return parse_ranges(found[RANGES_KEY], str(path))
