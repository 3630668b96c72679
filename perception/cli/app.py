"""The commands, but those of ``bench`` and ``render``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from perception import __version__
from perception.cli.archive import archive
from perception.cli.bench import bench_app
from perception.cli.build import ManyValues, build, quantize
from perception.cli.calibrate import calibrate_app
from perception.cli.evaluate import data, evaluate, verify
from perception.cli.options import (
    ENGINE,
    BackendOption,
    CameraOption,
    EngineOption,
    PrecisionOption,
    SizeOption,
    ThreadsOption,
    close,
)
from perception.cli.render import render_app
from perception.cli.training import pretrain, study, train
from perception.core.errors import ExitCode

app = typer.Typer(
    name="perception",
    help="Road perception: train one multi-task network, export it, run it on a camera, know its latency.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench_app, name="bench")
app.add_typer(calibrate_app, name="calibrate")
app.add_typer(render_app, name="render")
app.command()(archive)
app.command()(quantize)
app.command(cls=ManyValues)(build)
app.command()(evaluate)
app.command()(data)
app.command()(train)
app.command()(study)
app.command()(pretrain)
app.command()(verify)


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Road perception: train one multi-task network, export it, run it on a camera, know its latency."""


@app.command()
def run(
    source: Annotated[
        list[str],
        typer.Option(
            help="PATH, folder of pictures, camera:N, gst:PIPELINE, rtsp://..., http://..., udp://..., synthetic, or demo; "
            "given again: one more camera"
        ),
    ],
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="overlay=FILE.mp4, jsonl=FILE, mcap=FILE, rerun=FILE or window; as often as you like"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder for latency.json and latency.png, and results where no sink is named"
        ),
    ] = None,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--lossless",
            "--realtime/",
            help="keep the newest frame, a recording at its own rate; or lose none; default: as the source is",
        ),
    ] = None,
    transport: Annotated[
        str | None, typer.Option(help="of RTSP: tcp, or udp; default: tcp")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="the file is still being written: wait for more at its end"),
    ] = False,
    patience: Annotated[
        float | None,
        typer.Option(
            help="seconds in which a lost camera or stream may come back; 0: its loss is the end; default: 30"
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="with --live, play a recording at this rate")
    ] = None,
    size: SizeOption = "",
    budget_ms: Annotated[
        float | None,
        typer.Option(
            help="ms for a frame at p95: heads and size are chosen frame by frame; default: all, at full size"
        ),
    ] = None,
    camera: CameraOption = "",
    tracker: Annotated[
        str,
        typer.Option(
            help="bytetrack: boxes of one object keep one number, and have a speed; empty: none"
        ),
    ] = "",
    trace: Annotated[
        Path | None,
        typer.Option(help="JSON file of all stages of all frames, for Chrome or Perfetto"),
    ] = None,
    web: Annotated[
        str,
        typer.Option(
            help="serve a page that shows the run, at PORT of this machine or at HOST:PORT with a token"
        ),
    ] = "",
    metrics: Annotated[
        str, typer.Option(help="PORT, or HOST:PORT for others than this machine, for Prometheus")
    ] = "",
    limit: Annotated[int | None, typer.Option(help="frames to finish")] = None,
    warmup: Annotated[int, typer.Option(help="frames left out of the percentiles")] = 10,
    threads: ThreadsOption = None,
) -> None:
    """Stream a source through an engine into sinks, and account for the time."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.opening import RunConfig
    from perception.runtime.run import run as run_loop
    from perception.sources import LiveOptions
    from perception.sources.video import StreamOptions

    stream = StreamOptions(follow=follow, **({"transport": transport} if transport else {}))
    patient = {} if patience is None else {"patience_s": patience}
    summary = run_loop(
        RunConfig(
            source=tuple(source),
            engine=engine,
            backend=backend or DEFAULT_BACKEND,
            precision=precision,
            size=size,
            sinks=tuple(sink or ()),
            live=live,
            fps=fps,
            options=LiveOptions(stream=stream, **patient),
            camera=camera,
            tracker=tracker,
            trace=trace,
            metrics=metrics,
            web=web,
            budget_ms=budget_ms,
            limit=limit,
            warmup=warmup,
            threads=threads,
            out=out,
        )
    )
    if out is not None:
        print("\n".join(str(path) for path in sorted(out.iterdir())), file=sys.stderr)
    close(summary)
    if any(camera["lost"] for camera in summary["cameras"]):
        raise typer.Exit(ExitCode.INPUT)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Option(help="best.ckpt of a training run")],
    name: Annotated[str, typer.Option(help="of the engine: the folder is engines/NAME")],
    out: Annotated[Path | None, typer.Option(help="another folder")] = None,
    with_road_score: Annotated[
        bool, typer.Option("--with-road-score", help="also give road_score, before the mask")
    ] = False,
    score_threshold: Annotated[
        float, typer.Option(help="boxes below it are not shown, in [0, 1]")
    ] = 0.4,
    mask: Annotated[
        str | None, typer.Option(help="form of the box mask: hard, soft, none; default: as trained")
    ] = None,
    mask_threshold: Annotated[
        float | None,
        typer.Option(help="tau: boxes of at least this score cut the road; default: as trained"),
    ] = None,
    mask_strength: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            help="of the soft mask, for vehicle, pedestrian, cyclist; default: as trained"
        ),
    ] = None,
) -> None:
    """Make an engine folder from a checkpoint."""
    from perception.core.manifest import ENGINES_DIR, ROAD_SCORE_OUTPUT
    from perception.export.onnx import ExportOptions, export_checkpoint

    options = ExportOptions(
        score_threshold=score_threshold,
        mask=mask,
        mask_threshold=mask_threshold,
        mask_strength=tuple(mask_strength) if mask_strength else None,
        extras=(ROAD_SCORE_OUTPUT,) if with_road_score else (),
    )
    engine = export_checkpoint(checkpoint, out or ENGINES_DIR / name, options)
    close(
        {
            "engine": engine.manifest.name,
            "folder": str(engine.folder),
            "onnx_sha256": engine.manifest.onnx_sha256,
        }
    )


@app.command()
def doctor() -> None:
    """Tell what of this machine is usable, and how to get what is missing."""
    from rich.console import Console

    from perception.runtime.doctor import examine, findings_json, findings_table

    findings = examine()
    Console(stderr=True).print(findings_table(findings))
    print(json.dumps(findings_json(findings)))
