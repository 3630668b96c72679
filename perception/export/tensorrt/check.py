"""Does a typed graph still do its task? Compared on the CPU with the float32 graph, on frames of the shipped drive: no torch, no data."""

from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto
from rich.table import Table

from perception.backends.base import Tensors
from perception.backends.onnxruntime import arithmetic_options
from perception.core.errors import EngineError
from perception.core.geometry import Letterbox
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.types import UInt8
from perception.export.int8.engine import engine_feed
from perception.export.network import prepare
from perception.export.parity import NO_THRESHOLD, Parity
from perception.export.tensorrt.emulate import emulate_half
from perception.export.tensorrt.fit import FITTED, add_fit, fit_alone
from perception.export.tensorrt.half import HALF_PARTS, PARTS, half_model, parts_of
from perception.export.tensorrt.typed import Typed
from perception.sources import DEMO, open_source
from perception.stages.preprocess import fit_image

KEPT = ("frames", "equal_pixels", "road_iou", "worst_road_iou", "matched_boxes", "box_px", "score", "judged")  # fmt: skip
FIT_WITHIN_1 = 0.995  # smallest share of values that a fit in the graph gives within a grey level of the host's


def drive_feeds(engine: Engine, count: int, fit: Letterbox | None = None) -> list[UInt8]:
    """So many frames of the shipped drive, evenly apart, ``uint8[1, h, w, 3]``: fitted to the engine, or as whole as `fit` takes them."""

    def feed(image: UInt8) -> UInt8:
        if fit is None:
            return engine_feed(engine, image)
        return cv2.resize(image, fit.frame_wh, interpolation=cv2.INTER_CUBIC)[None]  # type: ignore[return-value]  # uint8 stays uint8

    with open_source(DEMO) as source:
        length = source.length or count
        wanted = {i * length // count for i in range(count)}
        return [feed(frame.image) for index, frame in enumerate(source) if index in wanted]


def check_typed(engine: Engine, typed: Typed, count: int) -> dict[str, Any]:
    """Compare a typed graph, rounded as it says, with the engine's float32 graph; one that fits whole frames, with the same fit before it.

    Such a fit is compared with the host's by itself, in grey levels: one level in 6 % of the values changes 0.2 % of the class map, which is
    more than half precision does and would hide what that does.

    Args:
        engine: whose ``model.onnx`` is the measure.
        typed: made from it.
        count: of frames; 0: nothing is compared.

    Returns:
        The figures of `perception.export.parity.Parity`, and with a fit ``fit_equal`` and ``fit_within_1``, shares of the values of the fitted
        frames; empty where nothing was compared.

    Raises:
        EngineError: the graphs differ by more than `perception.export.parity.TOLERANCES` allow, or the fits by more than `FIT_WITHIN_1`.
    """
    if not count:
        return {}
    feeds = drive_feeds(engine, count, typed.fit)
    exact = onnx.load(engine.onnx_path)
    fit_figures = {}
    if typed.fit is not None:
        exact = add_fit(exact, typed.fit)
        fit_figures = _check_fit(exact, typed.fit, feeds)
    parity = _compare(_run(exact, feeds), typed.model, typed.precision, feeds)
    if parity.violations():
        raise EngineError(
            f"engine {engine.manifest.name!r} in {typed.precision} differs from float32: {', '.join(parity.violations())}; "
            "build with --precision fp32, or see what each part costs with --sensitivity 8"
        )
    figures = parity.figures()
    return {**{name: figures[name] for name in KEPT}, **fit_figures}


def _check_fit(model: ModelProto, fit: Letterbox, feeds: Sequence[UInt8]) -> dict[str, float]:
    """How the fit in a graph compares with the host's; raise `EngineError` where it does not do the same."""
    fitted = _run(fit_alone(model), feeds)
    differences = [
        np.abs(found[FITTED][0] - fit_image(feed[0], fit))
        for found, feed in zip(fitted, feeds, strict=True)
    ]
    equal = fmean(float((d == 0).mean()) for d in differences)
    within = fmean(float((d <= 1).mean()) for d in differences)
    if within < FIT_WITHIN_1:
        raise EngineError(
            f"fit of {fit.frame_wh[0]}x{fit.frame_wh[1]}: {within:.6g} of the values are within a grey level of the host's, expected at least "
            f"{FIT_WITHIN_1:g}: OpenCV {cv2.__version__} rounds otherwise; build without --frame"
        )
    return {"fit_equal": equal, "fit_within_1": within}


def sensitivity_table(engine: Engine, count: int) -> Table:
    """What it costs to compute each part of the graph in half precision beside the network, and all of them."""
    feeds = drive_feeds(engine, count)
    prepared = prepare(onnx.load(engine.onnx_path))
    want = _run(prepared, feeds)
    table = Table(title="what differs from float32 where these parts are half")
    table.add_column("parts", no_wrap=True)
    for column in ("pixels, %", "road, %", "boxes, %", "score"):
        table.add_column(column, justify="right")
    present = {part for _, part in parts_of(prepared)}
    others = [part for part in PARTS if part in present and part not in HALF_PARTS]
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
