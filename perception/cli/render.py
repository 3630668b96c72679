"""The commands of ``perception render``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception.cli.options import SetOption, Tell, close, progress_bar
from perception.core.errors import ConfigError

if TYPE_CHECKING:
    from perception.render.config import DriveConfig
    from perception.render.store import StoredDrive

render_app = typer.Typer(
    help="Render synthetic drives with exact labels.", invoke_without_command=True
)

OutOption = Annotated[Path | None, typer.Option("--out", help="folder; each drive gets one in it")]
ProcessesOption = Annotated[
    int, typer.Option("--processes", min=0, help="that render; 0: one a core")
]
FrameSizeOption = Annotated[str, typer.Option("--size", help="of the frames, WIDTHxHEIGHT")]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, help="of the first drive, else the file's or 0; the next has one more"
    ),
]


@render_app.callback()
def render(
    context: typer.Context,
    out: OutOption = None,
    drives: Annotated[int, typer.Option(min=1, help="how many")] = 1,
    seed: SeedOption = None,
    seconds: Annotated[float | None, typer.Option(help="length of each")] = None,
    fps: Annotated[float | None, typer.Option(help="frames a second")] = None,
    size: FrameSizeOption = "",
    place: Annotated[str, typer.Option(help="town, country or mixed")] = "",
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file: drives of this kind, instead of drives of all kinds"),
    ] = None,
    changes: SetOption = None,
    processes: ProcessesOption = 0,
    kitti: Annotated[Path | None, typer.Option(help="also export to KITTI's layout here")] = None,
    coco: Annotated[Path | None, typer.Option(help="also export to this COCO JSON file")] = None,
) -> None:
    """Render drives of all kinds: places, light, weather, traffic and cameras differ. What is there already is kept."""
    if context.invoked_subcommand is not None:
        if out is not None:
            raise ConfigError(
                f"render: options of {context.invoked_subcommand!r} stand behind it, not before"
            )
        return
    if out is None:
        raise ConfigError("render: expected --out FOLDER, for example --out runs/drives")
    over: dict[str, Any] = {"duration_s": seconds, "fps": fps, "place": place or None}
    over = {key: value for key, value in over.items() if value is not None}
    if size:
        over["camera"] = {"size_wh": parse_frame_size(size)}
    first = first_seed(seed, config, changes)
    jobs = [
        (build_drive(s, config, over, changes), out / f"{s:06d}")
        for s in range(first, first + drives)
    ]
    summary: dict[str, Any] = {"folder": str(out), "drives": drives}
    try:
        with progress_bar("rendering") as tell:
            stored = _write(jobs, processes, tell, summary)
        _export(stored, kitti, coco, summary)
    except KeyboardInterrupt:
        summary["interrupted"] = True
    close(summary)


def parse_frame_size(text: str) -> tuple[int, int]:
    """Read ``"WxH"``; any size of at least 32 px a side, as cameras have them."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) >= 32 for part in parts):
        raise ConfigError(
            f"size {text!r}: expected WIDTHxHEIGHT of at least 32x32, for example 1248x384"
        )
    return int(parts[0]), int(parts[1])


def first_seed(seed: int | None, file: Path | None, changes: Sequence[str] | None) -> int:
    """The seed of the first drive: what was asked for, else the file's, else 0."""
    from perception.core.config import parse_assignments, read_toml

    if "seed" in parse_assignments(changes or ()):
        raise ConfigError("render: seed: drives differ by it; say --seed N instead of --set seed=N")
    found = 0 if file is None else read_toml(file).get("seed", 0)
    if seed is None and not isinstance(found, int):
        raise ConfigError(f"{file}: seed: expected a whole number, got {found!r}")
    return int(found) if seed is None else seed


def build_drive(
    seed: int, file: Path | None, over: dict[str, Any], changes: Sequence[str] | None
) -> "DriveConfig":
    """A varied drive, or that of a file, with what the user asked for on top."""
    from perception.core.config import (
        build_config,
        dump_config,
        merge,
        parse_assignments,
        read_toml,
    )
    from perception.render.config import DriveConfig
    from perception.render.presets import varied_drive

    base = dump_config(varied_drive(seed)) if file is None else {**read_toml(file), "seed": seed}
    table = merge(merge(base, over), parse_assignments(changes or ()))
    return build_config(DriveConfig, table, "drive" if file is None else str(file))


def _write(
    jobs: "list[tuple[DriveConfig, Path]]", processes: int, tell: Tell, summary: dict[str, Any]
) -> "list[StoredDrive]":
    """Render, and note what was done and how fast, also where it is interrupted."""
    from time import monotonic

    from perception.render.store import write_drives

    first: int | None = None

    def note(done: int, total: int) -> None:
        nonlocal first
        first = done if first is None else first
        summary.update(frames=total, rendered=done - first, wall_s=round(monotonic() - began_s, 1))
        tell(done, total)

    began_s = monotonic()
    return write_drives(jobs, processes=processes, progress=note)


def _export(
    stored: "list[StoredDrive]", kitti: Path | None, coco: Path | None, summary: dict[str, Any]
) -> None:
    from perception.render.export import export_coco, export_kitti

    for name, place, export in (("kitti", kitti, export_kitti), ("coco", coco, export_coco)):
        if place is not None:
            with progress_bar(f"export to {name}") as tell:
                export(stored, place, tell)
            summary[name] = str(place)


@render_app.command("demo")
def render_demo(
    out: Annotated[Path, typer.Option(help="folder for demo.mp4 and demo_labels.jsonl.gz")],
    processes: ProcessesOption = 0,
) -> None:
    """Make the clip that the project ships, and its labels."""
    from perception.render.presets import demo_drive
    from perception.render.show.demo import write_demo

    with progress_bar("rendering") as tell:
        summary = write_demo(demo_drive(), out, processes=processes, progress=tell)
    close(summary)


@render_app.command("sheet")
def render_sheet(
    out: Annotated[Path, typer.Option(help="path of the JPEG")] = Path("runs/sheet.jpg"),
) -> None:
    """Make the contact sheet: twelve scenes with their labels."""
    from perception.render.show.sheet import write_sheet

    with progress_bar("scenes") as tell:
        size = write_sheet(out, progress=tell)
    close({"sheet": str(out), "bytes": size})


@render_app.command("bench")
def render_bench(
    size: FrameSizeOption = "1248x384",
    frames: Annotated[int, typer.Option(help="of each scene")] = 4,
    rounds: Annotated[int, typer.Option(help="of every frame")] = 3,
    seed: SeedOption = None,
) -> None:
    """What a frame costs: by stage, and with each addition, in turn."""
    from rich.console import Console

    from perception.backends.cpu import cpu_name
    from perception.render.show.bench import bench_render, cost_tables

    summary = bench_render(parse_frame_size(size), frames=frames, rounds=rounds, seed=seed or 0)
    console = Console(stderr=True)
    for table in cost_tables(summary):
        console.print(table)
    close({"bench": "render", "device": cpu_name(), **summary})
