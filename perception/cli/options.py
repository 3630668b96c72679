"""Options that several commands share, how every command starts and ends, and the bar that some show meanwhile."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from perception.core.errors import ConfigError, ExitCode, PerceptionError
from perception.core.manifest import DEFAULT_ENGINE

Tell = Callable[[int, int], None]  # how many are done, of how many

ENGINE = DEFAULT_ENGINE
EngineOption = Annotated[str, typer.Option("--engine", help="a name under engines/, or a folder")]
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        help="onnxruntime, openvino or tensorrt; onnxruntime_cuda, _tensorrt, _rtx where ONNX Runtime has them",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="fp32; int8 where the engine has such a graph; bf16 with openvino where the CPU has it; "
        "fp16 with tensorrt; empty: what the engine's manifest names, with tensorrt fp16",
    ),
]
SizeOption = Annotated[
    str, typer.Option("--size", help="of the engine input, WIDTHxHEIGHT; empty: as the frames need")
]
CameraOption = Annotated[
    str,
    typer.Option(
        "--camera",
        help="of the source, a name in calib/cameras/ or a TOML file: its lens is undone before the network, and results are in metres too; empty: unknown",
    ),
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


def run_app(app: typer.Typer) -> None:
    """Run a command line; every expected error becomes one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("perception").setLevel(logging.INFO)
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


def parse_data(texts: list[str] | None) -> list[tuple[str, str]]:
    """``["camvid:val"]`` -> ``[("camvid", "val")]``."""
    pairs = [text.partition(":") for text in texts or VALIDATION]
    for name, _, split in pairs:
        if not name or not split:
            raise ConfigError(f"data set {name!r}: expected SET:SPLIT, for example camvid:val")
    return [(name, split) for name, _, split in pairs]


@contextmanager
def progress_bar(what: str) -> Iterator[Tell]:
    """A bar on stderr while something is counted."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # where stderr is no terminal, rich would leave empty lines
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
