"""The commands of ``perception bench``."""

from typing import Annotated

import typer

from perception.cli.options import (
    ENGINE,
    BackendOption,
    EngineOption,
    PrecisionOption,
    SizeOption,
    ThreadsOption,
    close,
)

bench_app = typer.Typer(help="Time an engine and the loop around it.", no_args_is_help=True)


@bench_app.command("loop")
def bench_loop(
    source: Annotated[str, typer.Option(help="a recording")] = "demo",
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "fp32",
    size: SizeOption = "",
    frames: Annotated[int, typer.Option(help="in each segment")] = 60,
    rounds: Annotated[int, typer.Option(help="of every way to run")] = 3,
    threads: ThreadsOption = None,
) -> None:
    """What the loop costs: its rate over that of the inference alone, and CPU time by stage, in turn."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime import bench

    config = bench.BenchConfig(
        source=source,
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        frames=frames,
        rounds=rounds,
        threads=threads,
    )
    close({"bench": "loop", **bench.bench_loop(config)})


@bench_app.command("live")
def bench_live(
    source: Annotated[str, typer.Option(help="a recording, repeated")] = "demo",
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "fp32",
    size: SizeOption = "",
    fps: Annotated[float, typer.Option(help="at which the recording is played")] = 30.0,
    duration_s: Annotated[float, typer.Option(help="seconds")] = 60.0,
    threads: ThreadsOption = None,
) -> None:
    """How old live results are, beyond the work itself, and whether that grows."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime import bench

    config = bench.BenchConfig(
        source=source,
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        fps=fps,
        duration_s=duration_s,
        threads=threads,
    )
    close({"bench": "live", **bench.bench_live(config)})


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
    from perception.backends import DEFAULT_BACKEND
    from perception.core.manifest import load_engine
    from perception.export.reference import reference_engine
    from perception.export.variants import CACHE_DIR, untrained_engine
    from perception.runtime.compare import compare_engines
    from perception.training.config import load_train_config

    if preset:
        timed = untrained_engine(load_train_config(preset, assignments or []))
    else:
        timed = load_engine(engine)
    reference = reference_engine(CACHE_DIR)
    backend = backend or DEFAULT_BACKEND
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
            "ratio": 1 + found.share,
            "ratio_low": 1 + found.share_low,
            "ratio_high": 1 + found.share_high,
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

    from perception.backends import DEFAULT_BACKEND
    from perception.core.manifest import load_engine
    from perception.export.variants import unmasked_variant
    from perception.runtime.compare import compare_engines

    masked = load_engine(engine)
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
