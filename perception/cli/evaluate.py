"""The commands ``perception evaluate`` and ``perception verify``: how good an engine is; ``perception data``: what it is judged by."""

from pathlib import Path
from typing import Annotated

import typer

from perception.cli.options import (
    ENGINE,
    BackendOption,
    DataOption,
    EngineOption,
    PrecisionOption,
    SizeOption,
    close,
    parse_data,
)


def evaluate(
    engine: EngineOption = ENGINE,
    data: DataOption = None,
    backend: BackendOption = "",
    precision: PrecisionOption = "",
    emulate: Annotated[
        str,
        typer.Option(
            help="fp16 or int8: score the graph that TensorRT gets in it, rounded on the CPU as it says"
        ),
    ] = "",
    size: SizeOption = "",
    limit: Annotated[int | None, typer.Option(help="frames of each set, spread evenly")] = None,
    worst: Annotated[
        int | None,
        typer.Option(
            help="draw so many frames of each set, those of the largest sum of 1 - road IoU and the share of missed boxes; "
            "needs --pictures"
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="folder for the drawn frames; most data sets may not be passed on: for looking at, not for publishing"
        ),
    ] = None,
) -> None:
    """Score an engine on labelled data, with and without the box mask; with 95 % intervals, and pictures of failures."""
    from rich.console import Console

    from perception.backends import DEFAULT_BACKEND, default_precision
    from perception.core.errors import ConfigError
    from perception.core.manifest import load_engine
    from perception.runtime.evaluation.evaluate import evaluate as evaluate_engine
    from perception.runtime.evaluation.failures import FailurePictures
    from perception.runtime.evaluation.table import figures_table

    if (worst is None) != (pictures is None):
        raise ConfigError("--worst N and --pictures DIR go together; give both, or neither")
    splits = parse_data(data)  # before the export of a variant, which takes a while
    if emulate and (precision or backend):
        raise ConfigError("--emulate runs on onnxruntime; leave out --backend and --precision")
    from perception.export.variants import (  # wants torch: after the checks
        emulated_variant,
        evaluation_variant,
    )

    loaded = load_engine(engine)
    drawn = None
    if worst is not None and pictures is not None:
        drawn = FailurePictures(loaded.manifest, worst, pictures)
    scored = evaluation_variant(loaded)
    if emulate:
        scored, precision = emulated_variant(scored, emulate), "fp32"
    summary = evaluate_engine(
        scored,
        splits,
        backend or DEFAULT_BACKEND,
        precision or default_precision(backend or DEFAULT_BACKEND, loaded),
        size=size or None,
        limit=limit,
        pictures=drawn,
    )
    summary["engine"] = engine
    if emulate:
        summary["precision"] = f"{emulate}, emulated"
    Console(stderr=True).print(figures_table(summary))
    close(summary)


def verify(
    engine: EngineOption = ENGINE,
    data: DataOption = None,
    frames: Annotated[int, typer.Option(help="in all, spread evenly over the sets")] = 100,
) -> None:
    """Compare every backend with torch on real frames and on their labels, and write parity.json and parity.md beside the engine."""
    from perception.backends import CPU_BACKENDS
    from perception.core.manifest import load_engine
    from perception.export.verify import verify as verify_engine
    from perception.runtime.evaluation.frames import SpreadSamples

    runners = [(name, "fp32") for name in CPU_BACKENDS] + [("openvino", "bf16")]
    close(verify_engine(load_engine(engine), SpreadSamples(parse_data(data), frames), runners))


def data(
    splits: Annotated[
        list[str], typer.Argument(help="SET:SPLIT, as many as you like", metavar="SET:SPLIT...")
    ],
    frames: Annotated[int, typer.Option(min=1, help="of each set, spread evenly over it")] = 6,
    out: Annotated[Path, typer.Option(help="folder for the pictures")] = Path("runs/data"),
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="of a training run: what its network says is drawn below, further tasks included"
        ),
    ] = None,
) -> None:
    """Draw frames of data sets with their labels, as this software reads them, and count what is there."""
    from perception.core.errors import ConfigError
    from perception.runtime.evaluation.labels import look

    network = None
    if checkpoint is not None:
        try:
            from perception.training.inference import network_of
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"--checkpoint needs the package {error.name!r}, which is not installed; install it with: pip install 'perception[train]'"
            ) from error
        network = network_of(checkpoint)
    close(look(parse_data(splits), frames, out, network))
