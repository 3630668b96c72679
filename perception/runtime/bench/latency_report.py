"""How a latency report is shown: a table, and a folder with JSON, CSV, picture and a page that needs nothing beside it."""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.box import SIMPLE
from rich.table import Table

from perception.core.errors import OutputError
from perception.core.types import Float64

LATENCY = ("n", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")
BRIEF = {  # what of a page's columns fits on a terminal
    "latency": ("p50", "p50 95 %", "p90", "p99", "p99.9", "max", "fps", "CPU ms", "late"),
    "stages": ("stage", "share", "p50", "p90", "p99", "max"),
    "ratios": ("against", "verdict", "ratio", "low", "high"),
    "GPU": ("GPU", "W", "W max", "SM MHz", "SM MHz min", "memory MHz", "C max", "throttled"),
}
INCHES = (11.0, 5.0)
STYLE = "body{font:15px sans-serif;margin:2em}td,th{padding:2px 10px;text-align:right}td:first-child,th:first-child{text-align:left}"

Rows = list[dict[str, Any]]


def latency_rows(report: dict[str, Any]) -> Rows:
    """One row for each configuration; what n is too small for is ``None``."""
    return [
        {
            "configuration": name,
            **{key: one["latency_ms"][key] for key in LATENCY},
            "p50 95 %": one["latency_ms"]["p50_interval"],
            "fps": one["throughput_fps"],
            "CPU ms": one["cpu_ms"],
            "late": one["late"],
        }
        for name, one in report["configurations"].items()
    ]


def stage_rows(report: dict[str, Any]) -> Rows:
    """One row for each stage of each configuration."""
    return [
        {
            "configuration": name,
            "stage": stage,
            "share": found["share"],
            **{key: found[key] for key in LATENCY},
        }
        for name, one in report["configurations"].items()
        for stage, found in one["stages"].items()
    ]


def ratio_rows(report: dict[str, Any]) -> Rows:
    """One row for each configuration after the first, and one for each that a baseline has."""
    parts = (("first configuration", "ratios"), ("baseline", "verdicts"))
    return [
        {"configuration": name, "against": against, "verdict": "", **found}
        for against, key in parts
        for name, found in report.get(key, {}).items()
    ]


def gpu_rows(report: dict[str, Any]) -> Rows:
    """One row for each GPU that was watched and each configuration: means where nothing else is said."""
    return [
        {
            "configuration": name,
            "GPU": gpu,
            "n": found["n"],
            "W": _of(found["power_w"], "mean"),
            "W max": _of(found["power_w"], "max"),
            "SM MHz": _of(found["sm_mhz"], "mean"),
            "SM MHz min": _of(found["sm_mhz"], "min"),
            "memory MHz": _of(found["memory_mhz"], "mean"),
            "C max": _of(found["temperature_c"], "max"),
            "throttled": found["throttled"],
        }
        for name, one in report["configurations"].items()
        for gpu, found in (one.get("gpu") or {}).items()
    ]


def tables(report: dict[str, Any]) -> dict[str, Rows]:
    """All of them, by title."""
    return {
        f"latency, ms, {report['scenario']}": latency_rows(report),
        "stages, ms": stage_rows(report),
        "ratios, 95 % interval": ratio_rows(report),
        "GPU, during the queries": gpu_rows(report),
    }


def rich_tables(report: dict[str, Any]) -> list[Table]:
    """For a terminal: configurations by number; those without rows are left out."""
    names = list(report["configurations"])
    shown = [Table("no.", "configuration", box=SIMPLE)]
    for number, name in enumerate(names, 1):
        shown[0].add_row(str(number), name)
    for title, rows in tables(report).items():
        if rows:
            columns = BRIEF[title.partition(",")[0]]
            table = Table("no.", *columns, title=title, box=SIMPLE)
            for row in rows:
                number = names.index(row["configuration"]) + 1
                table.add_row(str(number), *(_cell(row[column]) for column in columns))
            shown.append(table)
    return shown


def leave_report(out: Path, report: dict[str, Any], latency_ms: Mapping[str, Float64]) -> None:
    """Write ``latency.json``, ``latency.csv``, ``latency.png`` and ``latency.html``.

    Args:
        out: folder, made where it is missing.
        report: of `perception.runtime.bench.latency.bench_latency`.
        latency_ms: ``float64[n]`` by configuration.

    Raises:
        OutputError: the folder cannot be written.
    """
    picture = distribution_png(latency_ms)
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=2)
        (out / "latency.json").write_text(text + "\n", encoding="utf-8")
        (out / "latency.csv").write_text(_csv(latency_rows(report)), encoding="utf-8")
        (out / "latency.png").write_bytes(picture)
        (out / "latency.html").write_text(html_page(report, picture), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error


def distribution_png(latency_ms: Mapping[str, Float64]) -> bytes:
    """A PNG: the share of queries that had finished by a latency, for each configuration."""
    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, times in latency_ms.items():
        axes.ecdf(times, label=name)
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("share of queries")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def html_page(report: dict[str, Any], picture: bytes) -> str:
    """The report as one page, picture inside; it loads nothing."""
    machine = [{"machine": key, "": value} for key, value in report["machine"].items()]
    parts = {**tables(report), "machine": machine}
    body = "".join(
        f"<h2>{escape(title)}</h2>{_html_table(rows)}" for title, rows in parts.items() if rows
    )
    encoded = base64.b64encode(picture).decode("ascii")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Latency</title><style>{STYLE}</style>'
        f"<h1>Latency, {escape(report['scenario'])}</h1>{body}"
        f'<img alt="distribution of latencies" src="data:image/png;base64,{encoded}"></html>\n'
    )


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    head = "".join(f"<th>{escape(key)}</th>" for key in rows[0])
    lines = (
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _csv(rows: Rows) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _of(spread: dict[str, float] | None, key: str) -> float | None:
    return None if spread is None else spread[key]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " to ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(one)}" for key, one in value.items()) or "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
