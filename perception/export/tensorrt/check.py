"""Does a typed graph still do its task? Compared on the CPU with the float32 graph, on frames of the shipped drive: no torch, no data."""

from collections.abc import Collection, Sequence
from typing import Any

import onnx
import onnxruntime
from onnx import ModelProto
from rich.table import Table

from perception.backends.base import Tensors
from perception.backends.onnxruntime import arithmetic_options
from perception.core.errors import EngineError
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.types import UInt8
from perception.export.int8.engine import engine_feed
from perception.export.network import prepare
from perception.export.parity import NO_THRESHOLD, Parity
from perception.export.tensorrt.emulate import emulate_half
from perception.export.tensorrt.half import HALF_PARTS, PARTS, half_model
from perception.export.tensorrt.typed import Typed
from perception.sources import DEMO, open_source

KEPT = ("frames", "equal_pixels", "road_iou", "worst_road_iou", "matched_boxes", "box_px", "score", "judged")  # fmt: skip


def drive_feeds(engine: Engine, count: int) -> list[UInt8]:
    """So many frames of the shipped drive, evenly apart, fitted to the engine: ``uint8[1, h, w, 3]`` each."""
    with open_source(DEMO) as source:
        length = source.length or count
        wanted = {i * length // count for i in range(count)}
        return [
            engine_feed(engine, frame.image)
            for index, frame in enumerate(source)
            if index in wanted
        ]


def check_typed(engine: Engine, typed: Typed, count: int) -> dict[str, Any]:
    """Compare a typed graph, rounded as it says, with the engine's float32 graph.

    Args:
        engine: whose ``model.onnx`` is the measure.
        typed: made from it.
        count: of frames; 0: nothing is compared.

    Returns:
        The figures of `perception.export.parity.Parity`; empty where nothing was compared.

    Raises:
        EngineError: the graphs differ by more than `perception.export.parity.TOLERANCES` allow.
    """
    if not count:
        return {}
    feeds = drive_feeds(engine, count)
    parity = _compare(_run(onnx.load(engine.onnx_path), feeds), typed.model, typed.precision, feeds)
    if parity.violations():
        raise EngineError(
            f"engine {engine.manifest.name!r} in {typed.precision} differs from float32: {', '.join(parity.violations())}; "
            "build with --precision fp32, or see what each part costs with --sensitivity 8"
        )
    figures = parity.figures()
    return {name: figures[name] for name in KEPT}


def sensitivity_table(engine: Engine, count: int) -> Table:
    """What it costs to compute each part of the graph in half precision beside the network, and all of them."""
    feeds = drive_feeds(engine, count)
    prepared = prepare(onnx.load(engine.onnx_path))
    want = _run(prepared, feeds)
    table = Table(title="what differs from float32 where these parts are half")
    table.add_column("parts", no_wrap=True)
    for column in ("pixels, %", "road, %", "boxes, %", "score"):
        table.add_column(column, justify="right")
    others = [part for part in PARTS if part not in HALF_PARTS]
    rows: list[tuple[str, Collection[str]]] = [("as built", HALF_PARTS)]
    rows += [(f"and {part}", (*HALF_PARTS, part)) for part in others]
    rows += [("all", tuple(PARTS))]
    for name, parts in rows:
        figures = _compare(want, half_model(prepared, parts), "fp16", feeds).figures()
        shares = (figures[key] for key in ("equal_pixels", "road_iou", "matched_boxes"))
        table.add_row(name, *(f"{100 * (1 - s):.3f}" for s in shares), f"{figures['score']:.4f}")
    return table


def _compare(
    want: Sequence[Tensors], model: ModelProto, precision: str, feeds: Sequence[UInt8]
) -> Parity:
    parity = Parity("tensorrt, emulated", precision)
    for index, (mine, theirs) in enumerate(
        zip(want, _run(emulate_half(model), feeds), strict=True)
    ):
        parity.add(str(index), mine, theirs, NO_THRESHOLD)
    return parity


def _run(model: ModelProto, feeds: Sequence[UInt8]) -> list[Tensors]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), arithmetic_options(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return [
        dict(zip(names, session.run(names, {GRAPH_INPUT: feed}), strict=True)) for feed in feeds
    ]
