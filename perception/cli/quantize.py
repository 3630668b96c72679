"""The command ``perception quantize``."""

from pathlib import Path
from typing import Annotated

import typer

from perception.cli.options import ENGINE, EngineOption, close, parse_data
from perception.core.errors import ConfigError

TRAINING = ["camvid:train", "kitti_road:train", "kitti_object:train"]


def quantize(
    engine: EngineOption = ENGINE,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="SET:train, as often as you like; default: camvid, kitti_road and kitti_object",
        ),
    ] = None,
    frames: Annotated[int, typer.Option(help="to measure, spread evenly over the sets")] = 100,
    method: Annotated[
        str, typer.Option(help="how ranges are made of values: minmax, percentile or entropy")
    ] = "minmax",
    keep_float: Annotated[
        list[str] | None,
        typer.Option(
            help="PATTERN or PATTERN=REASON, of convolutions that stay float32; replaces the default"
        ),
    ] = None,
    ranges: Annotated[
        Path | None, typer.Option(help="file of the ranges; default: calib/int8/NAME.json")
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="measure nothing: make the graph from the file of ranges"),
    ] = False,
    default: Annotated[
        bool | None,
        typer.Option(
            "--default/--no-default",
            help="whether CPU backends run it where no precision is asked for; default: as it was",
        ),
    ] = None,
    sensitivity: Annotated[
        int, typer.Option(help="frames on which to show what each convolution costs; 0: no table")
    ] = 0,
) -> None:
    """Measure ranges on training frames and make the engine's INT8 graph from them."""
    from rich.console import Console

    from perception.core.manifest import load_engine
    from perception.export.int8.engine import check_measured_on, measure_engine, write_int8
    from perception.export.int8.ranges import CALIB_DIR, read_ranges, write_ranges
    from perception.export.int8.sensitivity import sensitivity as find_sensitivity
    from perception.export.int8.sensitivity import sensitivity_table
    from perception.runtime.evaluation.frames import spread_frames

    loaded = load_engine(engine)
    splits = parse_data(data or TRAINING)
    for name, split in splits:
        if split != "train":
            raise ConfigError(
                f"--data {name}:{split}: expected a training split, as {name}:train: "
                "ranges from frames that are scored make the scores look better than they are"
            )
    path = ranges or CALIB_DIR / f"{loaded.manifest.name}.json"
    if again:
        measured = read_ranges(path)
        check_measured_on(loaded, measured)
    else:
        measured = measure_engine(
            loaded,
            spread_frames(splits, frames),
            method=method,
            data=tuple(f"{name}:{split}" for name, split in splits),
            kept_float=_patterns(keep_float) if keep_float else None,
        )
        write_ranges(path, measured)
    if sensitivity:
        rows = find_sensitivity(loaded, measured, spread_frames(splits, sensitivity))
        Console(stderr=True).print(sensitivity_table(rows))
    made = write_int8(loaded, measured, default=default)
    close(
        {
            "engine": made.manifest.name,
            "ranges": str(path),
            "frames": measured.frames,
            "method": measured.method,
            "tensors": len(measured.ranges),
            "kept_float": dict(measured.kept_float),
            "int8_sha256": made.manifest.int8_sha256,
            "cpu_precision": made.manifest.cpu_precision,
        }
    )


def _patterns(texts: list[str]) -> dict[str, str]:
    """``["heads.*=too coarse"]`` -> ``{"heads.*": "too coarse"}``."""
    parts = [text.partition("=") for text in texts]
    return {pattern: reason or "asked for with --keep-float" for pattern, _, reason in parts}
