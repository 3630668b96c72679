"""The commands of ``perception bench``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.cli.calibrate import bench_mounting
from perception.cli.latency import (
    batch,
    budget,
    distance,
    latency,
    loadgen,
    roofline,
    undistort,
)
from perception.cli.options import (
    ENGINE,
    BackendOption,
    EngineOption,
    PrecisionOption,
    SizeOption,
    ThreadsOption,
    close,
)

if TYPE_CHECKING:
    from perception.backends.base import Backend

bench_app = typer.Typer(help="Time an engine and the loop around it.", no_args_is_help=True)
bench_app.command()(latency)
bench_app.command()(batch)
bench_app.command()(budget)
bench_app.command()(distance)
bench_app.command()(loadgen)
bench_app.command()(roofline)
bench_app.command("mounting")(bench_mounting)
bench_app.command()(undistort)


@bench_app.command("loop")
def bench_loop(
    source: Annotated[str, typer.Option(help="a recording")] = "demo",
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    size: SizeOption = "",
    frames: Annotated[int, typer.Option(help="in each segment")] = 60,
    rounds: Annotated[int, typer.Option(help="of every way to run")] = 3,
    threads: ThreadsOption = None,
) -> None:
    """What the loop costs: its rate over that of the inference alone, and CPU time by stage, in turn."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.bench import loop

    config = loop.BenchConfig(
        source=source,
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        frames=frames,
        rounds=rounds,
        threads=threads,
    )
    close({"bench": "loop", **loop.bench_loop(config)})


@bench_app.command("live")
def bench_live(
    source: Annotated[str, typer.Option(help="a recording, repeated")] = "demo",
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    size: SizeOption = "",
    fps: Annotated[float, typer.Option(help="at which the recording is played")] = 30.0,
    duration_s: Annotated[float, typer.Option(help="seconds")] = 60.0,
    threads: ThreadsOption = None,
) -> None:
    """How old live results are, beyond the work itself, and whether that grows."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.bench import loop

    config = loop.BenchConfig(
        source=source,
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        fps=fps,
        duration_s=duration_s,
        threads=threads,
    )
    close({"bench": "live", **loop.bench_live(config)})


@bench_app.command("plan")
def bench_plan(
    engine: EngineOption = ENGINE,
    precision: Annotated[str, typer.Option(help="of the plan: fp16, fp32 or int8")] = "fp16",
    size: Annotated[str, typer.Option(help="of the input, WIDTHxHEIGHT")] = "1248x384",
    frame: Annotated[
        str, typer.Option(help="of whole frames, which the plan fits to --size itself")
    ] = "",
    frames: Annotated[int, typer.Option(help="timed, in each of two ways")] = 500,
) -> None:
    """A TensorRT plan on this GPU: latency with the GPU's own times, and rate with two frames in flight."""
    from rich.console import Console

    from perception.core.manifest import load_engine
    from perception.runtime.bench.plan import bench_plan as time_plan
    from perception.runtime.bench.plan import plan_table

    summary = time_plan(
        load_engine(engine), precision=precision, size=size, frame=frame, frames=frames
    )
    Console(stderr=True).print(plan_table(summary))
    close({"bench": "plan", **summary})


@bench_app.command("reference")
def bench_reference(
    engine: EngineOption = ENGINE,
    preset: Annotated[
        str, typer.Option(help="instead of an engine: the untrained network of a preset")
    ] = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of that preset")
    ] = None,
    backend: BackendOption = "",
    precision: PrecisionOption = "fp32",
    size: SizeOption = "640x384",
    pairs: Annotated[int, typer.Option(help="forward passes of each network")] = 60,
    threads: ThreadsOption = None,
) -> None:
    """The forward pass in units of torchvision's ResNet-18 with a feature pyramid of 96 channels and no heads, in turn."""
    from perception.backends import DEFAULT_BACKEND, default_precision
    from perception.core.manifest import load_engine
    from perception.export.forward_times import as_ratio
    from perception.export.reference import reference_engine
    from perception.export.variants import CACHE_DIR, untrained_engine
    from perception.runtime.bench.compare import compare_engines
    from perception.training.config import load_train_config

    if preset:
        timed = untrained_engine(load_train_config(preset, assignments or []))
    else:
        timed = load_engine(engine)
    reference = reference_engine(CACHE_DIR)
    backend = backend or DEFAULT_BACKEND
    precision = precision or default_precision(backend, timed)
    found = compare_engines(
        timed,
        reference,
        pairs,
        backend=backend,
        precision=precision,
        size=size,
        threads=threads,
    )
    close(
        {
            "bench": "reference",
            "engine": timed.manifest.name,
            "reference": reference.manifest.name,
            "backend": backend,
            "precision": precision,
            "size": size,
            "n": found.n,
            "engine_ms": found.first_ms,
            "reference_ms": found.second_ms,
            **as_ratio(found),
        }
    )


@bench_app.command("mask")
def bench_mask(
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "fp32",
    size: SizeOption = "1248x384",
    pairs: Annotated[int, typer.Option(help="forward passes of each graph")] = 60,
    threads: ThreadsOption = None,
) -> None:
    """What the box mask costs: the forward pass with it minus the one without, in turn."""
    from dataclasses import asdict

    from perception.backends import DEFAULT_BACKEND, default_precision
    from perception.core.manifest import load_engine
    from perception.export.variants import unmasked_variant
    from perception.runtime.bench.compare import compare_engines

    masked = load_engine(engine)
    precision = precision or default_precision(backend or DEFAULT_BACKEND, masked)
    result = compare_engines(
        masked,
        unmasked_variant(masked),
        pairs,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        threads=threads,
    )
    close(
        {"bench": "mask", "engine": engine, "size": size, "precision": precision, **asdict(result)}
    )


@bench_app.command("precision")
def bench_precision(
    engine: EngineOption = ENGINE,
    first: Annotated[str, typer.Option(help="BACKEND:PRECISION")] = "onnxruntime:int8",
    second: Annotated[str, typer.Option(help="BACKEND:PRECISION")] = "onnxruntime:fp32",
    size: SizeOption = "640x384",
    pairs: Annotated[int, typer.Option(help="forward passes of each")] = 60,
    threads: ThreadsOption = None,
) -> None:
    """The forward pass of one engine in two backends or precisions, in turn."""
    from dataclasses import asdict

    import numpy as np

    from perception.backends import open_backend
    from perception.core.errors import ConfigError
    from perception.core.geometry import parse_size
    from perception.core.manifest import GRAPH_INPUT, load_engine
    from perception.runtime.bench.compare import compare

    def opening(text: str) -> "Backend":
        backend, colon, precision = text.partition(":")
        if not colon:
            raise ConfigError(f"{text!r}: expected BACKEND:PRECISION, for example openvino:bf16")
        return open_backend(backend, loaded, (width, height), precision=precision, threads=threads)

    loaded = load_engine(engine)
    width, height = parse_size(size)
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    feeds = {GRAPH_INPUT: frame}
    with opening(first) as one, opening(second) as other:
        result = compare(lambda: one.infer(feeds), lambda: other.infer(feeds), pairs)
    close(
        {
            "bench": "precision",
            "engine": loaded.manifest.name,
            "first": first,
            "second": second,
            "size": size,
            **asdict(result),
        }
    )


@bench_app.command("streaming")
def bench_streaming(
    drives: Annotated[
        Path | None,
        typer.Option(
            help="folder with val/DRIVE, as perception render --out FOLDER/val leaves them; without: the labels of KITTI tracking"
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", help="of the drives in place of an engine: a detector without a fault"
        ),
    ] = False,
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    latency_ms: Annotated[
        list[float] | None,
        typer.Option(help="of the simulated clock, as often as you like; default: 100 and 300"),
    ] = None,
    tracker: Annotated[str, typer.Option(help="whose speeds move the boxes on")] = "bytetrack",
    out: Annotated[
        Path | None, typer.Option(help="folder for streaming.json and streaming.png")
    ] = None,
) -> None:
    """How good the newest finished result is at each moment, against its latency, with and without forecasting."""
    from perception.runtime.evaluation.streaming_bench import StreamingBench, bench_streaming

    bench = StreamingBench(
        drives=drives,
        labels=labels,
        engine=engine,
        backend=backend,
        precision=precision,
        latencies_ms=tuple(latency_ms or (100.0, 300.0)),
        tracker=tracker,
        out=out,
    )
    close({"bench": "streaming", **bench_streaming(bench)})
