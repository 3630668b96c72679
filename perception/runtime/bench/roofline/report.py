"""How a roofline is shown: a table, and a folder with JSON and picture."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.box import SIMPLE
from rich.table import Table

from perception.core.errors import OutputError

# as many as a terminal of 80 columns holds; the rest is in the JSON
COLUMNS = {
    "ms": "{:.2f}", "gflop": "{:.3f}", "mib": "{:.1f}", "gflops_per_s": "{:.1f}", "share_of_roof": "{:.0%}", "bound": "{}",
}  # fmt: skip
HEADINGS = ("stage", "ms", "GFLOP", "MiB", "GFLOP/s", "of roof", "bound")
INCHES = (8.0, 5.5)
LOWEST = 1e-2  # FLOP a byte that is drawn; a part that only moves data lies left of it


def roofline_table(report: dict[str, Any]) -> Table:
    """One row for each part, and the sum."""
    peaks = report["peaks"]
    table = Table(
        *HEADINGS,
        title=f"{report['engine']} {report['precision']} {report['size']}, {report['threads']} threads",
        caption=f"peaks: {peaks['gflops_per_s']:.1f} GFLOP/s, {peaks['gb_per_s']:.1f} GB/s; {report['device']}",
        box=SIMPLE,
    )
    for row in (*report["stages"], report["total"]):
        table.add_row(row["stage"], *(form.format(row[key]) for key, form in COLUMNS.items()))
    return table


def leave_roofline(out: Path, report: dict[str, Any]) -> None:
    """Write ``roofline.json`` and ``roofline.png``.

    Args:
        out: folder, made where it is missing.
        report: of `perception.runtime.bench.roofline.measure.bench_roofline`.

    Raises:
        OutputError: the folder cannot be written.
    """
    picture = roofline_png(report)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "roofline.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (out / "roofline.png").write_bytes(picture)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error


def roofline_png(report: dict[str, Any]) -> bytes:
    """A PNG: operations a second against operations a byte, both logarithmic; the roof, and a dot for each part that computes."""
    peaks = report["peaks"]
    drawn = [row for row in report["stages"] if row["flops_per_byte"] >= LOWEST]
    ridge = peaks["ridge_flops_per_byte"]
    right = 3 * max([ridge, *(row["flops_per_byte"] for row in drawn)])
    left = min([ridge, *(row["flops_per_byte"] for row in drawn)]) / 3
    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    line = np.geomspace(left, right, 200)
    roof = np.minimum(peaks["gflops_per_s"], line * peaks["gb_per_s"])
    label = f"roof: {peaks['gflops_per_s']:.0f} GFLOP/s, {peaks['gb_per_s']:.1f} GB/s"
    axes.loglog(line, roof, color="black", label=label)
    for row in drawn:
        x, y = row["flops_per_byte"], row["gflops_per_s"]
        text = f"{row['stage']}: {row['ms']:.1f} ms, {row['share_of_roof']:.0%} of the roof"
        (dot,) = axes.loglog([x], [y], "o", markersize=9, label=text)
        axes.vlines(x, y, row["roof_gflops_per_s"], color=dot.get_color(), linestyle=":")
    axes.set_xlabel("operations a byte, FLOP/byte")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(f"{report['engine']} {report['precision']} {report['size']}, {report['device']}")
    axes.grid(which="both", alpha=0.2)
    axes.legend(loc="lower right", fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
