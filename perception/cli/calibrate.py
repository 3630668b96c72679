"""The commands of ``perception calibrate``; what is no command's name belongs to the boards."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from perception.cli.options import (
    ENGINE,
    BackendOption,
    EngineOption,
    SetOption,
    close,
    progress_bar,
)
from perception.core.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from perception.calibration.boards.fit import Lens

DEFAULT = "boards"
HELP = ("--help",)
WIDTH = 140  # characters of a table that no terminal limits


class FallingGroup(TyperGroup):
    """A group whose first word may be left out: then the command is `DEFAULT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (of typer's own click)
        """Put the default command's name before words that begin with no command's."""
        if args and args[0] not in self.commands and args[0] not in HELP:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 (of typer's own click)
        """The commands, then the options of the default one."""
        super().format_help(ctx, formatter)
        default = self.commands[DEFAULT]
        inner = default.context_class(default, info_name=f"[{DEFAULT}]", parent=ctx)
        default.format_help(inner, formatter)


calibrate_app = typer.Typer(
    cls=FallingGroup,
    help="Calibrate a camera: from pictures of a board (without a command's name).",
    no_args_is_help=True,
)

BoardOption = Annotated[
    str,
    typer.Option(
        "--board",
        help="needed: COLUMNSxROWS of inner corners, 9x6 for 10x7 squares, of a ChArUco board too",
    ),
]
CharucoOption = Annotated[bool, typer.Option("--charuco", help="a ChArUco board, with markers")]
MarkerOption = Annotated[
    float | None, typer.Option("--marker-mm", help="of a ChArUco board: side of a marker")
]
DictionaryOption = Annotated[
    str, typer.Option("--dictionary", help="of a ChArUco board, as OpenCV names it: 5x5_100, ...")
]


@calibrate_app.command(DEFAULT)
def calibrate_boards(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="a folder, pattern or list of pictures; or one video, camera:N, or address"
        ),
    ],
    board: BoardOption = "",
    square_mm: Annotated[
        float | None,
        typer.Option(help="side of a square, measured on the print; not needed for the lens alone"),
    ] = None,
    right: Annotated[
        list[str] | None,
        typer.Option(help="pictures of a second camera, paired by name; quote patterns"),
    ] = None,
    charuco: CharucoOption = False,
    marker_mm: MarkerOption = None,
    dictionary: DictionaryOption = "4x4_50",
    lens: Annotated[
        str, typer.Option(help="pinhole, with 5 coefficients; or fisheye, with 4")
    ] = "pinhole",
    rational: Annotated[
        bool, typer.Option("--rational", help="a pinhole with 8 coefficients, for wide lenses")
    ] = False,
    out: Annotated[Path, typer.Option(help="the camera file to write")] = Path(
        "runs/calibration/camera.toml"
    ),
    right_out: Annotated[
        Path | None, typer.Option(help="that of the second camera; default: out with _right")
    ] = None,
    report: Annotated[
        Path, typer.Option(help="folder for the report, NAME.html and NAME.png")
    ] = Path("runs/calibration"),
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="also print the values without each view")
    ] = False,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="reject no view and no corner that was found")
    ] = False,
    views: Annotated[int, typer.Option(min=3, help="at most, taken from a video or a camera")] = 40,
    source: Annotated[
        str, typer.Option(help="for the camera file: where the pictures come from, licence")
    ] = "",
) -> None:
    """A camera from pictures of a chessboard or ChArUco board: file, report, and how far to trust it."""
    from rich.console import Console

    from perception.calibration.boards.board import parse_board
    from perception.calibration.boards.calibrate import Job, calibrate
    from perception.calibration.boards.fit import Model

    if right_out is not None and not right:
        raise ConfigError("--right-out: expected --right, the pictures of the second camera")
    done = calibrate(
        Job(
            inputs=tuple(inputs),
            right=tuple(right or ()),
            board=parse_board(
                board, square_mm, charuco=charuco, marker_mm=marker_mm, dictionary=dictionary
            ),
            model=Model(_lens(lens), rational),
            out=out,
            right_out=right_out or out.with_stem(f"{out.stem}_right"),
            report=report,
            keep_all=keep_all,
            most=views,
            source=source,
        )
    )
    console = Console(stderr=True)
    if not console.is_terminal:  # a file or pipe has room
        console = Console(stderr=True, width=WIDTH)
    for made in done.tables(leave_out=leave_out):
        console.print(made)
    close({"calibrate": DEFAULT, **done.summary})


@calibrate_app.command("print")
def print_board(
    square_mm: Annotated[float, typer.Option(help="side of a square")],
    board: BoardOption = "",
    out: Annotated[Path, typer.Option(help="path of the PNG")] = Path("runs/board.png"),
    charuco: CharucoOption = False,
    marker_mm: MarkerOption = None,
    dictionary: DictionaryOption = "4x4_50",
    dpi: Annotated[float, typer.Option(help="pixels an inch, written into the file")] = 300.0,
) -> None:
    """Make a picture of a board to print at 100 % and glue to something flat."""
    from perception.calibration.boards.board import draw_board, parse_board, png_to_print
    from perception.core.files import write_atomically

    if out.suffix.lower() != ".png":
        raise OutputError(f"{out}: expected a name that ends in .png")
    wanted = parse_board(
        board, square_mm, charuco=charuco, marker_mm=marker_mm, dictionary=dictionary
    )
    picture = draw_board(wanted, dpi)
    write_atomically(out, png_to_print(picture, dpi))
    summary: dict[str, Any] = {"calibrate": "print", "picture": str(out), "board": wanted.name}
    side_mm = [round(n / dpi * 25.4, 1) for n in picture.shape[::-1]]
    close({**summary, "kind": wanted.kind, "paper_mm": side_mm})


def _lens(word: str) -> "Lens":
    from typing import get_args

    from perception.calibration.boards.fit import Lens

    for lens in get_args(Lens):
        if word == lens:
            return lens  # type: ignore[no-any-return]
    raise ConfigError(f"--lens {word!r}: expected pinhole or fisheye")


@calibrate_app.command("convert")
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


@calibrate_app.command("mounting")
def mounting(
    video: Annotated[str, typer.Argument(help="a recording of a straight drive by day")],
    camera: Annotated[
        str, typer.Option(help="its intrinsics: a name in calib/cameras/ or a TOML file")
    ],
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
    fps: Annotated[float, typer.Option(min=0.1, help="of pictures without times")] = 10.0,
    limit: Annotated[int | None, typer.Option(min=1, help="frames to read")] = None,
) -> None:
    """Pitch, yaw and height of a mounted camera from the road that it sees; roll is not observed and stays."""
    from perception.calibration.mounting.calibrate import MountingConfig, calibrate_mounting

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
    """Error of the mounting from the road on synthetic drives, how often the 95 % interval holds, and when the loop's watch warns."""
    from rich.console import Console

    from perception.calibration.mounting.bench import bench_mountings, bench_table

    with progress_bar("drives") as tell:
        summary = bench_mountings(drives, "" if no_engine else engine, tell)
    Console(stderr=True).print(bench_table(summary))
    close({"bench": "mounting", **summary})
