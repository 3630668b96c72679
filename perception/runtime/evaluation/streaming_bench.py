"""The command ``perception bench streaming``: drives, detector, table, picture."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from perception.backends import DEFAULT_BACKEND, default_precision
from perception.backends.sized import SizedBackends
from perception.core.errors import OutputError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.manifest import load_engine
from perception.datasets.base import data_root
from perception.datasets.drives import LabelledDrive, kitti_tracks, rendered_drives
from perception.metrics.evaluator import Evaluator
from perception.runtime.evaluation.evaluate import build_evaluator, run_frame
from perception.runtime.evaluation.streaming import (
    FIGURES,
    StreamingConfig,
    oracle,
    streaming_accuracy,
)

KITTI = "kitti_tracking"
KITTI_BLOCK_S = 4.5  # of one drive: neighbouring moments are alike
ORACLE = "labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingBench:
    """What to run.

    Attributes:
        drives: root of rendered drives; ``None``: the labels of KITTI tracking, whose pictures are not at hand.
        labels: take the labels for what a detector finds; always so for KITTI tracking.
        engine, backend, precision: of the detector on rendered drives.
        latencies_ms: of the simulated clock.
        tracker: whose speeds move the boxes on.
        out: folder for the figures and the picture; ``None``: only the table.
    """

    drives: Path | None
    labels: bool
    engine: str
    backend: str
    precision: str
    latencies_ms: tuple[float, ...]
    tracker: str
    out: Path | None


def bench_streaming(bench: StreamingBench) -> dict[str, Any]:
    """Measure, show the table on stderr, and leave the picture.

    Returns:
        As `perception.runtime.evaluation.streaming.streaming_accuracy`, with ``"detector"``, ``"source"`` and, for an engine, ``"device"``.

    Raises:
        ConfigError, InputError, EngineError: of the drives or the engine.
        OutputError: the folder cannot be written.
    """
    if bench.drives is None:
        drives, source, block_s = kitti_tracks(data_root() / KITTI), KITTI, KITTI_BLOCK_S
    else:
        drives, source = rendered_drives(bench.drives), str(bench.drives)
        block_s = len(drives[0].moments_s) * float(drives[0].moments_s[1])  # the whole drive
    of = _of_labels if bench.labels or bench.drives is None else _of_engine
    summary = {"source": source, **of(bench, drives, block_s)}
    Console(stderr=True).print(_table(summary))
    if bench.out is not None:
        _leave(bench.out, summary)
    return summary


def _of_labels(
    bench: StreamingBench, drives: Sequence[LabelledDrive], block_s: float
) -> dict[str, Any]:
    found = streaming_accuracy(
        drives,
        oracle,
        lambda: Evaluator(MAP_CLASSES, BOX_CLASSES),
        StreamingConfig(
            latencies_ms=bench.latencies_ms,
            measured=False,
            tracker=bench.tracker,
            score_threshold=0.5,  # every label has 1
            block_s=block_s,
        ),
    )
    return {"detector": ORACLE, **found}


def _of_engine(
    bench: StreamingBench, drives: Sequence[LabelledDrive], block_s: float
) -> dict[str, Any]:
    engine = load_engine(bench.engine)
    backend = bench.backend or DEFAULT_BACKEND
    precision = bench.precision or default_precision(backend, engine)
    console = Console(stderr=True)

    def tell(drive: LabelledDrive) -> None:
        console.print(f"{drive.name}: {len(drive.moments_s)} frames", highlight=False)

    with SizedBackends(backend, engine, precision) as backends:
        found = streaming_accuracy(
            drives,
            lambda sample: run_frame(backends, sample.image),
            lambda: build_evaluator(engine.manifest),
            StreamingConfig(
                latencies_ms=bench.latencies_ms,
                measured=True,
                tracker=bench.tracker,
                score_threshold=engine.manifest.score_threshold,
                block_s=block_s,
            ),
            progress=tell,
        )
        device = ", ".join(backends.devices())
    return {
        "detector": engine.manifest.name,
        "backend": backend,
        "precision": precision,
        "device": device,
        **found,
    }


def _table(summary: dict[str, Any]) -> Table:
    table = Table(
        title=f"{summary['detector']} on {summary['source']}: {summary['frames']} moments",
        caption="what is in hand at each moment against the labels of that moment; 95 % intervals by blocks of moments",
    )
    table.add_column("latency", no_wrap=True)
    table.add_column("boxes")
    table.add_column("age, ms", justify="right")
    for name in FIGURES:
        table.add_column(name, justify="right")
    table.add_column("ap50 gained by it", justify="right")
    for row in summary["conditions"]:
        spread = row["intervals"]
        gain = spread.get("ap50_gain")
        table.add_row(
            f"{row['latency']}"
            if row["latency"] != "measured"
            else f"measured, {row['latency_ms']:.0f} ms",
            "moved on" if row["forecast"] else "as found",
            f"{row['age_ms']:.0f}" if row["age_ms"] is not None else "",
            *(_cell(row.get(name), spread.get(name)) for name in FIGURES),
            "{:+.3f} to {:+.3f}".format(*gain) if gain else "",
        )
    return table


def _cell(value: float | None, spread: tuple[float, float] | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" + (" ({:.3f} to {:.3f})".format(*spread) if spread else "")


def _leave(out: Path, summary: dict[str, Any]) -> None:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = sorted(summary["conditions"], key=lambda row: row["latency_ms"])
    for ahead, label, style in ((False, "as found", "o--"), (True, "moved on", "o-")):
        line = [r for r in rows if r["forecast"] == ahead or r["latency_ms"] == 0]
        ms, ap50 = [r["latency_ms"] for r in line], [r["ap50"] for r in line]
        axes.plot(ms, ap50, style, label=f"boxes {label}")
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("streaming AP50")
    axes.set_title(f"{summary['detector']} on {summary['source']}, {summary['frames']} moments")
    axes.legend()
    try:
        out.mkdir(parents=True, exist_ok=True)
        figure.savefig(out / "streaming.png", format="png", dpi=110)
        text = json.dumps(summary, indent=2)
        (out / "streaming.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
