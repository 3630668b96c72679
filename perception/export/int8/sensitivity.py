"""What quantising one convolution alone costs: the table by which the choice of what stays in float is made."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto
from rich.table import Table

from perception.backends.base import Tensors
from perception.backends.onnxruntime import arithmetic_options
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.types import UInt8
from perception.export.int8.engine import engine_feed
from perception.export.int8.graph import chosen_nodes, insert_qdq, single_nodes
from perception.export.int8.ranges import Int8Ranges
from perception.export.network import convolutions, prepare
from perception.export.parity import NO_THRESHOLD, Parity, share

ALL, CHOSEN = "all", "as chosen"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Agreement with float32 where only some convolutions are quantised.

    Attributes:
        name: of the convolutions; those that share weights are one.
        differing_pixels: share of the class maps' pixels, in [0, 1].
        unmatched_boxes: share of the boxes without a counterpart, in [0, 1].
        score: largest difference of a matched box's score.
    """

    name: str
    differing_pixels: float
    unmatched_boxes: float
    score: float


def sensitivity(
    engine: Engine,
    ranges: Int8Ranges,
    frames: Iterable[tuple[str, UInt8]],
    only: Collection[str] | None = None,
) -> list[Sensitivity]:
    """Quantise all convolutions, those that are chosen, and each alone; compare each time with float32.

    Args:
        engine: whose float graph is taken.
        ranges: of this graph.
        frames: name and ``uint8[H, W, 3]``; better not those that were measured.
        only: names of the convolutions to look at; ``None``: every one.

    Returns:
        First all and as chosen, then each convolution, the worst first.
    """
    model = onnx.load(engine.onnx_path)
    prepared = prepare(model)
    feeds = [engine_feed(engine, image) for _, image in frames]
    want = _run(model, feeds)
    groups: dict[str, list[str]] = {}
    for name in convolutions(prepared):
        shared = name.partition("@")[0]
        if only is None or shared in only:
            groups.setdefault(shared, []).append(name)
    nodes = {ALL: chosen_nodes(prepared, ()), CHOSEN: chosen_nodes(prepared, ranges.kept_float)}
    nodes |= {name: single_nodes(prepared, convs) for name, convs in groups.items()}
    rows = []
    for name, chosen in nodes.items():
        got = _run(insert_qdq(prepared, ranges.ranges, chosen), feeds)
        parity = Parity("onnxruntime", "int8")
        for mine, theirs in zip(want, got, strict=True):
            parity.add(name, mine, theirs, NO_THRESHOLD)
        rows.append(
            Sensitivity(
                name,
                1 - share(parity.equal, parity.pixels),
                1 - share(parity.matched, parity.boxes),
                parity.score,
            )
        )
    return rows[:2] + sorted(rows[2:], key=lambda row: -row.differing_pixels)


def sensitivity_table(rows: Sequence[Sensitivity]) -> Table:
    """The rows as a table."""
    table = Table(title="what differs from float32 where only this is int8")
    table.add_column("convolution", no_wrap=True)
    for column in ("pixels, %", "boxes, %", "score"):
        table.add_column(column, justify="right")
    for row in rows:
        shares = (f"{100 * value:.3f}" for value in (row.differing_pixels, row.unmatched_boxes))
        table.add_row(row.name, *shares, f"{row.score:.3f}")
    return table


def _run(model: ModelProto, feeds: Sequence[UInt8]) -> list[Tensors]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), arithmetic_options(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    results = []
    for feed in feeds:
        values = session.run(names, {GRAPH_INPUT: feed})
        results.append({n: np.asarray(v) for n, v in zip(names, values, strict=True)})
    return results
