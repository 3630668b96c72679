"""The command line. Each command reads its arguments and makes one call; what it needs is imported inside, so help is fast."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from perception import __version__
from perception.core.errors import ConfigError, ExitCode, PerceptionError

app = typer.Typer(
    name="perception",
    help="Road perception: train one multi-task network, export it, run it on a camera, know its latency.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench_app = typer.Typer(help="Time an engine and the loop around it.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")

ENGINE = "road-lite0"
EngineOption = Annotated[str, typer.Option("--engine", help="a name under engines/, or a folder")]
BackendOption = Annotated[str, typer.Option("--backend", help="onnxruntime or openvino")]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="fp32, or bf16 where the backend has it")
]
SizeOption = Annotated[
    str, typer.Option("--size", help="of the engine input, WIDTHxHEIGHT; empty: as the frames need")
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="of the inference; empty: every core")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, as often as you like")
]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data", help="SET:SPLIT, as often as you like; default: every validation split"),
]
VALIDATION = ["camvid:val", "kitti_road:val", "kitti_object:val"]


def main() -> None:
    """Run the command line; every expected error is one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        app()
    except PerceptionError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def close(summary: dict[str, Any]) -> None:
    """Print the closing JSON object, the last line of stdout, and end with the code for an interrupted run where it was one."""
    print(json.dumps(summary), flush=True)
    if summary.get("interrupted"):
        raise typer.Exit(ExitCode.INTERRUPTED)


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
        str, typer.Option(help="PATH, folder of pictures, camera:N, rtsp://..., or demo")
    ],
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "fp32",
    sink: Annotated[
        list[str] | None,
        typer.Option(help="overlay=FILE.mp4, jsonl=FILE or window; as often as you like"),
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
            help="keep the newest frame, or lose none; default: as the source is",
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="with --live, play a recording at this rate")
    ] = None,
    size: SizeOption = "",
    limit: Annotated[int | None, typer.Option(help="frames to finish")] = None,
    warmup: Annotated[int, typer.Option(help="frames left out of the percentiles")] = 10,
    threads: ThreadsOption = None,
) -> None:
    """Stream a source through an engine into sinks, and account for the time."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.run import RunConfig
    from perception.runtime.run import run as run_loop

    summary = run_loop(
        RunConfig(
            source=source,
            engine=engine,
            backend=backend or DEFAULT_BACKEND,
            precision=precision,
            size=size,
            sinks=tuple(sink or ()),
            live=live,
            fps=fps,
            limit=limit,
            warmup=warmup,
            threads=threads,
            out=out,
        )
    )
    if out is not None:
        print("\n".join(str(path) for path in sorted(out.iterdir())), file=sys.stderr)
    close(summary)


@app.command()
def train(
    preset: Annotated[str, typer.Option(help="a shipped preset, or the path of a TOML file")],
    changes: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the run; one that exists goes on")
    ] = None,
) -> None:
    """Train a preset; a run that was killed goes on where it stopped."""
    from perception.training.config import load_train_config
    from perception.training.train import train as train_network

    close(
        train_network(
            load_train_config(preset, changes or ()), out or Path("runs") / Path(preset).stem
        )
    )


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Option(help="best.ckpt of a training run")],
    name: Annotated[str, typer.Option(help="of the engine: the folder is engines/NAME")],
    out: Annotated[Path | None, typer.Option(help="another folder")] = None,
    with_road_score: Annotated[
        bool, typer.Option("--with-road-score", help="also give road_score and class_map_unmasked")
    ] = False,
    score_threshold: Annotated[
        float, typer.Option(help="boxes below it are not shown, in [0, 1]")
    ] = 0.4,
) -> None:
    """Make an engine folder from a checkpoint."""
    from perception.core.manifest import ENGINES_DIR
    from perception.export.onnx import ExportOptions, export_checkpoint

    options = ExportOptions(score_threshold=score_threshold, evaluation=with_road_score)
    engine = export_checkpoint(checkpoint, out or ENGINES_DIR / name, options)
    close(
        {
            "engine": engine.manifest.name,
            "folder": str(engine.folder),
            "onnx_sha256": engine.manifest.onnx_sha256,
        }
    )


@app.command()
def evaluate(
    engine: EngineOption = ENGINE,
    data: DataOption = None,
    backend: BackendOption = "",
    precision: PrecisionOption = "fp32",
    size: SizeOption = "",
    limit: Annotated[int | None, typer.Option(help="frames of each set, spread evenly")] = None,
) -> None:
    """Score an engine on labelled data, with and without the box mask."""
    from rich.console import Console

    from perception.backends import DEFAULT_BACKEND
    from perception.core.manifest import load_engine
    from perception.export.variants import evaluation_variant
    from perception.runtime.evaluate import evaluate as evaluate_engine
    from perception.runtime.evaluate import figures_table

    variant = evaluation_variant(load_engine(engine))
    summary = evaluate_engine(
        variant,
        parse_data(data),
        backend or DEFAULT_BACKEND,
        precision,
        size=size or None,
        limit=limit,
    )
    Console(stderr=True).print(figures_table(summary))
    close(summary)


@app.command()
def verify(
    engine: EngineOption = ENGINE,
    data: DataOption = None,
    frames: Annotated[int, typer.Option(help="in all, spread evenly over the sets")] = 50,
) -> None:
    """Compare every backend with torch on real frames, and write parity.json beside the engine."""
    from perception.backends import BACKENDS
    from perception.core.manifest import load_engine
    from perception.export.parity import verify as verify_engine
    from perception.runtime.evaluate import spread_frames

    runners = [(name, "fp32") for name in BACKENDS] + [("openvino", "bf16")]
    close(verify_engine(load_engine(engine), spread_frames(parse_data(data), frames), runners))


@app.command()
def doctor() -> None:
    """Tell what of this machine is usable, and how to get what is missing."""
    from rich.console import Console

    from perception.runtime.doctor import examine, findings_json, findings_table

    findings = examine()
    Console(stderr=True).print(findings_table(findings))
    print(json.dumps(findings_json(findings)))


def parse_data(texts: list[str] | None) -> list[tuple[str, str]]:
    """``["camvid:val"]`` -> ``[("camvid", "val")]``."""
    pairs = [text.partition(":") for text in texts or VALIDATION]
    for name, _, split in pairs:
        if not name or not split:
            raise ConfigError(f"--data {name!r}: expected SET:SPLIT, for example camvid:val")
    return [(name, split) for name, _, split in pairs]


if __name__ == "__main__":
    main()
