"""The commands that make graphs and plans of an engine: ``perception quantize``, and ``perception build``, which is also ``tools/build_engine.py``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from perception.cli.options import ENGINE, EngineOption, close, parse_data, run_app
from perception.core.errors import ConfigError

TRAINING = ["camvid:train", "kitti_road:train", "kitti_object:train"]


class ManyValues(TyperCommand):
    """Lets an option that may be repeated take several values at once: ``--compute-capability 8.6 8.9``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (of typer's own click)
        """Repeat the option's name before each of its values."""
        many = {name for option in self.params if option.multiple for name in option.opts}
        spread: list[str] = []
        option = ""
        for text in args:
            if text.startswith("-"):
                option = text if text in many else ""
            elif option and spread[-1] != option:
                spread.append(option)
            spread.append(text)
        return super().parse_args(ctx, spread)


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


def build(
    engine: EngineOption = ENGINE,
    precision: Annotated[
        str, typer.Option(help="fp16, fp32, or int8 with ranges in calib/int8/")
    ] = "fp16",
    size: Annotated[
        str,
        typer.Option(
            help="of the input, WIDTHxHEIGHT; empty: for frames of KITTI's shape, or of --frame"
        ),
    ] = "",
    frame: Annotated[
        str,
        typer.Option(
            help="of camera frames, WIDTHxHEIGHT, which the plan takes whole and fits itself; empty: the host fits them"
        ),
    ] = "",
    max_size: Annotated[
        str, typer.Option(help="largest input: height and width stay free from --size to it")
    ] = "",
    batch: Annotated[int, typer.Option(help="frames at once")] = 1,
    max_batch: Annotated[
        int | None, typer.Option(help="largest batch: it stays free from --batch to it")
    ] = None,
    product: Annotated[
        str,
        typer.Option(
            help="tensorrt or tensorrt_rtx; empty: TensorRT where installed, else TensorRT-RTX"
        ),
    ] = "",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            help="GPUs to compile for, with TensorRT-RTX; several; default: 8.6 8.9 12.0 (GeForce 30, 40, 50)"
        ),
    ] = None,
    hardware_compatibility: Annotated[
        str, typer.Option(help="none, ampere_plus or same_compute_capability, with TensorRT")
    ] = "none",
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="let later versions load the plan")
    ] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="leave the weights out of the plan")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="let weights be changed after the build")
    ] = False,
    workspace: Annotated[
        int | None, typer.Option(help="limit of the scratch memory, MiB; default: the product's")
    ] = None,
    level: Annotated[
        int | None, typer.Option(help="of the builder's effort, 0 to 5, with TensorRT")
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="file of timed kernels, read and written, with TensorRT")
    ] = None,
    save_onnx: Annotated[
        Path | None,
        typer.Option(help="file for the typed graph, as trtexec --stronglyTyped takes it"),
    ] = None,
    dump_layers: Annotated[
        Path | None, typer.Option(help="file for a list of all layers with type and arithmetic")
    ] = None,
    check: Annotated[
        int,
        typer.Option(
            help="frames of the shipped drive on which the graph must agree with float32; 0: no check"
        ),
    ] = 8,
    sensitivity: Annotated[
        int,
        typer.Option(
            help="frames of that drive on which to show what each part of the graph costs in half; 0: no table"
        ),
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="folder for the plan; default: beside the model")
    ] = None,
) -> None:
    """Compile an engine into a TensorRT plan: FP16 by default, on a machine without a GPU with TensorRT-RTX."""
    from rich.console import Console

    from perception.core.geometry import parse_size
    from perception.core.manifest import load_engine
    from perception.export.tensorrt.build import build_plan, write_layers
    from perception.export.tensorrt.check import sensitivity_table
    from perception.export.tensorrt.layers import layers_table
    from perception.export.tensorrt.options import BuildOptions

    options = BuildOptions(
        precision=precision,
        size_wh=parse_size(size) if size else None,
        frame_wh=parse_size(frame, 1) if frame else None,
        max_size_wh=parse_size(max_size) if max_size else None,
        batch=batch,
        max_batch=max_batch,
        product=product,
        capabilities=tuple(compute_capability or ()),
        hardware_compatibility=hardware_compatibility,
        version_compatible=version_compatible,
        strip=strip,
        refit=refit,
        workspace_mib=workspace,
        level=level,
        timing_cache=timing_cache,
        check_frames=check,
        save_onnx=save_onnx,
    )
    loaded = load_engine(engine)
    if sensitivity:
        Console(stderr=True).print(sensitivity_table(loaded, sensitivity))
    built = build_plan(loaded, out or loaded.folder, options)
    manifest = built.plan.manifest
    Console(stderr=True).print(layers_table(dict(manifest.layers)))
    if dump_layers is not None:
        write_layers(dump_layers, built.layers)
    print(built.plan.path, file=sys.stderr)
    close(
        {
            "plan": str(built.plan.path),
            "engine": manifest.engine,
            "precision": manifest.precision,
            "product": manifest.product,
            "product_version": manifest.product_version,
            "compute_capabilities": list(manifest.compute_capabilities),
            "bytes": manifest.plan_bytes,
            "build_s": manifest.build_s,
            "flop_share": manifest.layers["flop_share"],
            "islands": list(manifest.islands),
            "check": dict(manifest.parity),
            "gpu": manifest.gpu,
        }
    )


def main() -> None:
    """The command as a program of its own."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(cls=ManyValues)(build)
    run_app(app)
