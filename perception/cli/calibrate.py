"""The commands of ``perception calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from perception.cli.options import SetOption, close

calibrate_app = typer.Typer(help="Cameras: read and write their files.", no_args_is_help=True)


@calibrate_app.callback()
def calibrate_common() -> None:
    """Cameras: read and write their files."""


@calibrate_app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="a camera file, or a folder of nuScenes tables")
    ],
    target: Annotated[Path, typer.Argument(metavar="TO", help="the file to write")],
    source_format: Annotated[
        str,
        typer.Option(
            "--from",
            help="kitti, kitti_raw, nuscenes, opencv, ros or toml; empty: as the name tells",
        ),
    ] = "",
    target_format: Annotated[str, typer.Option("--to", help="the same, of the file to write")] = "",
    name: Annotated[
        str,
        typer.Option(
            help="which camera, where there are several: P2, rect_02, 02, CAM_FRONT; empty: the left colour or front one"
        ),
    ] = "",
    target_name: Annotated[
        str, typer.Option("--to-name", help="the same, in the file to write")
    ] = "",
    size: Annotated[
        str, typer.Option(help="of the frames, WIDTHxHEIGHT, where the file does not tell")
    ] = "",
    changes: SetOption = None,
) -> None:
    """Read a camera in one format and write it in another; --set height_m=1.5 adds what the first does not tell."""
    from perception.calibration.formats import read_camera, write_camera
    from perception.core.camera import Camera
    from perception.core.config import build_config, dump_config, merge, parse_assignments
    from perception.core.geometry import parse_size

    camera = read_camera(source, source_format, name, parse_size(size, 1) if size else None)
    if changes:
        table = merge(dump_config(camera), parse_assignments(changes))
        camera = build_config(Camera, table, "--set")
    left_out = write_camera(camera, target, target_format, target_name)
    close(
        {
            "from": str(source),
            "to": str(target),
            "left_out": list(left_out),
            "camera": dump_config(camera),
        }
    )
