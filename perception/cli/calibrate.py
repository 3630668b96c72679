"""The commands of ``perception calibrate``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from perception.cli.options import ENGINE, BackendOption, EngineOption, close, progress_bar

calibrate_app = typer.Typer(help="Make and complete camera files.", no_args_is_help=True)


@calibrate_app.callback()
def calibrate() -> None:
    """Make and complete camera files."""


@calibrate_app.command("mounting")
def mounting(
    video: Annotated[str, typer.Argument(help="a recording of a straight drive by day")],
    camera: Annotated[Path, typer.Option(help="TOML with the intrinsics")],
    out: Annotated[Path, typer.Option(help="TOML to write")],
    report: Annotated[Path | None, typer.Option(help="PNG to write; default: beside --out")] = None,
    speed: Annotated[str, typer.Option(help="CSV with time_s,speed_mps; for the height")] = "",
    speed_kmh: Annotated[
        float | None, typer.Option(help="the same speed all the time, km/h")
    ] = None,
    engine: EngineOption = ENGINE,
    no_engine: Annotated[
        bool, typer.Option("--no-engine", help="no road mask and no cars: the lower part is road")
    ] = False,
    backend: BackendOption = "",
    fps: Annotated[float, typer.Option(help="of pictures without times")] = 10.0,
    limit: Annotated[int | None, typer.Option(help="frames to read")] = None,
) -> None:
    """Pitch, yaw and height of a mounted camera from the road that it sees; roll is not observed and stays."""
    from perception.calibration.mounting.calibrate import MountingConfig, calibrate_mounting
    from perception.core.errors import ConfigError

    if speed and speed_kmh is not None:
        raise ConfigError("calibrate mounting: expected --speed or --speed-kmh, got both")
    config = MountingConfig(
        source=video,
        camera=camera,
        speed=speed if speed_kmh is None else str(speed_kmh),
        engine="" if no_engine else engine,
        backend=backend,
        fps=fps,
        limit=limit,
    )
    with progress_bar("looking") as tell:
        summary = calibrate_mounting(config, out, report or out.with_suffix(".png"), tell)
    for line in summary["disagree"]:
        print(f"warning: {line}", file=sys.stderr)
    if summary["height_m"] is None:
        print("warning: height not found: give --speed-kmh or --speed", file=sys.stderr)
    close(summary)


def bench_mounting(
    drives: Annotated[int, typer.Option(min=1, help="how many")] = 12,
    engine: EngineOption = ENGINE,
    no_engine: Annotated[
        bool, typer.Option("--no-engine", help="without road mask and cars")
    ] = False,
) -> None:
    """Error of the mounting from the road on synthetic drives, and how often the 95 % interval holds."""
    from rich.console import Console

    from perception.calibration.mounting.bench import bench_mountings, bench_table

    with progress_bar("drives") as tell:
        summary = bench_mountings(drives, "" if no_engine else engine, tell)
    Console(stderr=True).print(bench_table(summary))
    close({"bench": "mounting", **summary})
