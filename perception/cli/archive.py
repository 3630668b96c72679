"""The command ``perception archive``."""

from pathlib import Path
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
    progress_bar,
)
from perception.core.errors import ExitCode


def archive(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", help="folder of recordings, and of folders of them")
    ],
    out: Annotated[Path, typer.Option(help="folder for the results: a folder for each recording")],
    engine: EngineOption = ENGINE,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    size: SizeOption = "",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="also write overlay.mp4 for each")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="recordings at the same time, which divide the threads")
    ] = 1,
    ray: Annotated[
        str,
        typer.Option(
            help="address of a Ray cluster on which the workers run, or local for one on this machine"
        ),
    ] = "",
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="replace results whose file has changed since, or that another engine or setting made",
        ),
    ] = False,
    threads: ThreadsOption = None,
) -> None:
    """Run a folder of recordings, each exactly once; after a kill the same command goes on. A corrupt file is reported and left out."""
    from perception.backends import DEFAULT_BACKEND
    from perception.runtime.archive.archive import archive as run_archive
    from perception.runtime.archive.recording import ArchiveConfig
    from perception.runtime.opening import RunConfig

    run = RunConfig(
        source="",
        engine=engine,
        backend=backend or DEFAULT_BACKEND,
        precision=precision,
        size=size,
        threads=threads,
    )
    config = ArchiveConfig(
        source=source, out=out, run=run, overlay=overlay, workers=workers, ray=ray, again=again
    )
    with progress_bar("recordings") as tell:
        summary = run_archive(config, tell)
    close(summary)
    if summary["failed"]:
        raise typer.Exit(ExitCode.INPUT)
