"""The commands of ``perception bench`` that measure engines on this machine: ``latency``, ``batch``, ``budget``, ``distance``, ``loadgen``, ``roofline``, ``undistort``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from perception.cli.options import (
    ENGINE,
    BackendOption,
    CameraOption,
    EngineOption,
    PrecisionOption,
    SizeOption,
    ThreadsOption,
    close,
    parse_data,
)
from perception.core.errors import ConfigError, ExitCode

LISTS = "a comma list, or as often as you like"
STILL_FRAMES = ("camvid:val", "kitti_road:val")
ListOption = Annotated[list[str] | None, typer.Option(help=LISTS)]


def latency(
    source: Annotated[str, typer.Option(help="a recording")] = "demo",
    engine: ListOption = None,
    backend: ListOption = None,
    precision: ListOption = None,
    size: ListOption = None,
    threads: ListOption = None,
    queries: Annotated[int, typer.Option(help="of each configuration, at least")] = 1000,
    seconds: Annotated[float, typer.Option(help="of the whole run, at least")] = 0.0,
    warmup: Annotated[int, typer.Option(help="queries that are left out")] = 20,
    fps: Annotated[
        float | None,
        typer.Option(help="constant stream: queries are due at this rate; empty: back to back"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for latency.json, .csv, .png and .html")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="a latency.json of before; exit code 1 where one is worse")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0.0, help="share that a change must exceed; empty: 0.03")
    ] = None,
) -> None:
    """The latency of engines from frame to result, every combination of the lists in turn: percentiles, stages, ratios."""
    from rich.console import Console

    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.bench import baseline as past
    from perception.runtime.bench.latency import LatencyConfig, bench_latency
    from perception.runtime.bench.latency_report import leave_report, rich_tables

    before = past.read_baseline(baseline) if baseline is not None else None
    config = LatencyConfig(
        source=source,
        engines=split_list(engine, ENGINE),
        backends=split_list(backend, DEFAULT_BACKEND),
        precisions=split_list(precision, ""),
        sizes=split_list(size, ""),
        threads=tuple(map(_count, split_list(threads, ""))),
        queries=queries,
        seconds=seconds,
        warmup=warmup,
        fps=fps,
    )
    report, latency_ms = bench_latency(config, before)
    if before is not None:
        allowed = past.TOLERANCE if tolerance is None else tolerance
        report["verdicts"] = past.judge_reports(before, report, allowed)
    for table in rich_tables(report):
        Console(stderr=True).print(table)
    if out is not None:
        leave_report(out, report, latency_ms)
    close({"bench": "latency", **report})
    if any(found["verdict"] == "worse" for found in report.get("verdicts", {}).values()):
        raise typer.Exit(ExitCode.FAILED)


def budget(
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="SET:SPLIT of single frames; default: camvid:val and kitti_road:val, with --drives none"
        ),
    ] = None,
    drives: Annotated[
        Path | None,
        typer.Option(
            help="folder with val/DRIVE, as perception render --out FOLDER/val leaves them"
        ),
    ] = None,
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    share: Annotated[
        list[float] | None,
        typer.Option(
            help="budgets, of the median time without one, as often as you like; default: 1, 0.75, 0.5, 0.25"
        ),
    ] = None,
    frames: Annotated[int, typer.Option(help="of each set, at most")] = 300,
    passes: Annotated[int, typer.Option(help="over the frames in each run")] = 2,
    threads: ThreadsOption = None,
    out: Annotated[Path | None, typer.Option(help="JSON file")] = None,
) -> None:
    """How well time budgets are kept, and what they cost in accuracy: `run --budget-ms` on labelled frames."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.budget.bench import BudgetBench, bench_budget

    config = BudgetBench(
        data=() if drives and not data else parse_data(data or list(STILL_FRAMES)),
        drives=drives,
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        shares=tuple(share or (1.0, 0.75, 0.5, 0.25)),
        frames=frames,
        passes=passes,
        threads=threads,
        out=out,
    )
    close({"bench": "budget", **bench_budget(config)})


def loadgen(
    scenario: Annotated[
        str, typer.Option(help="single-stream, multi-stream or server")
    ] = "single-stream",
    source: Annotated[str, typer.Option(help="a recording")] = "demo",
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    size: SizeOption = "",
    threads: ThreadsOption = None,
    queries: Annotated[
        int, typer.Option(help="at least; 0: what LoadGen needs for a verdict, 64 or 662")
    ] = 0,
    seconds: Annotated[float, typer.Option(help="at least; a submission to MLPerf has 600")] = 60.0,
    fps: Annotated[float, typer.Option(help="server: mean rate of Poisson arrivals")] = 10.0,
    latency_ms: Annotated[
        float, typer.Option(help="server: what 99 % of latencies must stay under")
    ] = 100.0,
    samples: Annotated[int, typer.Option(help="multi-stream: frames of a query")] = 8,
    out: Annotated[Path | None, typer.Option(help="folder for LoadGen's own logs")] = None,
) -> None:
    """An engine under MLPerf's load generator, whose verdict counts: exit code 1 where it is INVALID."""
    from rich.console import Console

    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.bench import BENCHES

    bench = BENCHES["loadgen"]
    from perception.runtime.bench.loadgen import LoadgenConfig

    config = LoadgenConfig(
        scenario=scenario,
        source=source,
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        threads=threads,
        queries=queries,
        seconds=seconds,
        fps=fps,
        bound_ms=latency_ms,
        samples=samples,
        out=out,
    )
    report = bench(config)
    Console(stderr=True).print(loadgen_line(report))
    close({"bench": "loadgen", **report})
    if report["loadgen"]["result"] != "VALID":
        raise typer.Exit(ExitCode.FAILED)


def roofline(
    engine: EngineOption = ENGINE,
    backend: BackendOption = "onnxruntime",
    precision: PrecisionOption = "fp32",
    size: Annotated[str, typer.Option(help="of the input, WIDTHxHEIGHT")] = "1248x384",
    threads: ThreadsOption = None,
    frames: Annotated[int, typer.Option(help="timed")] = 100,
    out: Annotated[
        Path | None, typer.Option(help="folder for roofline.json and roofline.png")
    ] = None,
) -> None:
    """Work and traffic of each part of the graph, and how near it comes to what the machine can do."""
    from rich.console import Console

    from perception.core.manifest import load_engine
    from perception.runtime.bench.roofline.measure import bench_roofline
    from perception.runtime.bench.roofline.report import leave_roofline, roofline_table

    report = bench_roofline(
        load_engine(engine),
        backend=backend,
        precision=precision,
        size=size,
        threads=threads,
        frames=frames,
    )
    Console(stderr=True).print(roofline_table(report))
    if out is not None:
        leave_roofline(out, report)
    close({"bench": "roofline", **report})


def loadgen_line(report: dict[str, Any]) -> str:
    """LoadGen's verdict and what it rests on."""
    found = report["loadgen"]
    missed = [name for name, satisfied in found["satisfied"].items() if not satisfied]
    reason = f"not satisfied: {', '.join(missed)}; " if missed else ""
    p90, p99 = (found["latency_ms"][key] for key in ("p90", "p99"))
    return f"LoadGen, {report['scenario']}: {found['result']}; {reason}latency p90 {p90:.2f} ms, p99 {p99:.2f} ms"


def split_list(texts: list[str] | None, default: str) -> tuple[str, ...]:
    """``["a,b", "c"]`` -> ``("a", "b", "c")``."""
    return tuple(part.strip() for text in texts or [default] for part in text.split(","))


def _count(text: str) -> int | None:
    if text and not text.isdecimal():
        raise ConfigError(f"--threads: expected a number, got {text!r}")
    return int(text) if text else None


def batch(
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    size: SizeOption = "640x384",
    frames: Annotated[int, typer.Option(help="of one batch: one a camera")] = 6,
    pairs: Annotated[int, typer.Option(help="of a batch and its frames one by one")] = 30,
    threads: ThreadsOption = None,
) -> None:
    """One call with the frames of several cameras against one call for each, in turn; CPU backends."""
    from perception.backends import DEFAULT_BACKEND
    from perception.core.manifest import load_engine
    from perception.runtime.bench.batch import bench_batch as time_batch

    summary = time_batch(
        load_engine(engine),
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        frames=frames,
        pairs=pairs,
        threads=threads,
    )
    close({"bench": "batch", **summary})


def undistort(
    camera: CameraOption = "",
    frame: Annotated[str, typer.Option(help="size of the frames, WIDTHxHEIGHT")] = "1280x720",
    size: SizeOption = "640x384",
    pairs: Annotated[int, typer.Option(help="of each way")] = 300,
) -> None:
    """What undoing a lens costs: one remap against the fit alone, and against undistorting before it, in turn; empty camera: a usual dashcam."""
    from perception.core.camera import find_camera
    from perception.core.geometry import parse_size
    from perception.runtime.bench.undistort import USUAL, bench_undistort

    measured = find_camera(camera) if camera else USUAL
    summary = bench_undistort(measured, parse_size(frame, 1), parse_size(size), pairs)
    close({"bench": "undistort", "camera": camera or "usual dashcam", **summary})


def distance(
    drives: Annotated[
        Path | None,
        typer.Option(
            help="folder with DRIVE, as perception render --out leaves them, measured besides KITTI object"
        ),
    ] = None,
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
) -> None:
    """Distances of boxes against true ones: error by distance, and how often the stated interval holds; labels and an engine's boxes."""
    from rich.console import Console

    from perception.runtime.evaluation.distance import bench_distance, distance_table

    summary = bench_distance(engine, drives, backend=backend, precision=precision)
    Console(stderr=True).print(distance_table(summary))
    close({"bench": "distance", **summary})
