"""Score a deployed engine on labelled data: every frame goes the way it goes in the loop, but one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from perception.backends import open_backend
from perception.backends.base import Backend
from perception.core.errors import ConfigError
from perception.core.geometry import choose_model_size, parse_size
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.types import Frame, UInt8
from perception.datasets import Dataset, open_dataset
from perception.metrics.evaluator import UNMASKED, Evaluator, GraphResult
from perception.metrics.outputs import read_outputs
from perception.stages.preprocess import preprocess

DataSplits = Sequence[tuple[str, str]]
FIGURES = "figures"


def evaluate(
    engine: Engine,
    datasets: DataSplits,
    backend: str,
    precision: str,
    size: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Run an engine on every frame and score it; progress goes to stderr.

    Figures without the mask and those of the road score need an engine exported with these outputs; others do without.

    Args:
        engine: checked engine folder.
        datasets: name and split of each set.
        backend: name of the backend.
        precision: of the backend.
        size: of the engine input as ``WIDTHxHEIGHT``; ``None``: as the frames need.
        limit: frames of each set, spread evenly over it; ``None``: all.

    Returns:
        The closing JSON object: engine, backend, precision, device, the number of frames, and under ``"figures"`` for each
        ``"SET:SPLIT"`` what `perception.metrics.evaluator.Evaluator.compute` gives.

    Raises:
        ConfigError: no set was named, or `limit` is below 1.
    """
    fixed = parse_size(size) if size else None
    opened = _open_datasets(datasets)
    frames = {name: _spread(len(found), limit) for name, found in opened.items()}
    figures: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        progress = stack.enter_context(_progress())
        runners: dict[tuple[int, int], Backend] = {}

        def run(image: UInt8) -> GraphResult:
            frame = Frame(np.ascontiguousarray(image), 0, 0)
            wanted = fixed or choose_model_size(frame.size_wh, engine.manifest.max_pixels)
            if wanted not in runners:
                opening = open_backend(backend, engine, wanted, precision=precision)
                runners[wanted] = stack.enter_context(opening)
            fed = preprocess(frame, wanted)
            return read_outputs(runners[wanted].infer({GRAPH_INPUT: fed.feed}), fed.box)

        for name, dataset in opened.items():
            evaluator = Evaluator(engine.manifest.map_classes, engine.manifest.box_classes)
            for index in progress.track(frames[name], description=name):
                sample = dataset[index]
                evaluator.update(sample, run(sample.image))
            figures[name] = evaluator.compute()
        devices = sorted({runner.device for runner in runners.values()})
    return {
        "engine": engine.manifest.name,
        "backend": backend,
        "precision": precision,
        "device": ", ".join(devices),
        "frames": sum(map(len, frames.values())),
        FIGURES: figures,
    }


def spread_frames(datasets: DataSplits, frames: int) -> Iterator[tuple[str, UInt8]]:
    """Name and picture of `frames` frames in all, spread evenly over the sets and within each.

    Where a set has fewer than its share, the others give more.

    Raises:
        ConfigError: no set was named, or `frames` is below 1.
    """
    if frames < 1:
        raise ConfigError(f"frames: expected at least 1, got {frames}")
    opened = _open_datasets(datasets)
    shares: dict[str, int] = {}
    for name in sorted(opened, key=lambda name: len(opened[name])):
        share = (frames - sum(shares.values())) // (len(opened) - len(shares))
        shares[name] = min(share, len(opened[name]))
    chosen = {name: _spread(len(opened[name]), share) for name, share in shares.items() if share}
    for name in opened:
        for index in chosen.get(name, ()):
            sample = opened[name][index]
            yield f"{name}/{sample.name}", sample.image


def figures_table(summary: Mapping[str, Any]) -> Table:
    """The figures of `evaluate`: a row each, a column for every set; with the box mask, and behind the stroke without it."""
    title = f"{summary['engine']}, {summary['backend']} {summary['precision']}"
    table = Table(title=title, caption="with the box mask / without it; all but frames in [0, 1]")
    table.add_column("figure", no_wrap=True)
    rows: dict[str, list[str]] = {}
    for column, (name, figures) in enumerate(summary[FIGURES].items()):
        table.add_column(name, justify="right")
        for key, value in figures.items():
            row = rows.setdefault(key.replace(UNMASKED, ""), [""] * len(summary[FIGURES]))
            text = f"{value:.0f}" if key.startswith("frames") else f"{value:.4f}"
            row[column] = f"{row[column]} / {text}" if UNMASKED in key else text
    for key, cells in rows.items():
        table.add_row(key, *cells)
    return table


def _open_datasets(datasets: DataSplits) -> dict[str, Dataset]:
    if not datasets:
        raise ConfigError("no data set was named; expected SET:SPLIT, for example camvid:val")
    return {f"{name}:{split}": open_dataset(name, split) for name, split in datasets}


def _spread(length: int, limit: int | None) -> list[int]:
    """Indices of at most `limit` of `length` frames, evenly apart."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 frame, got {limit}")
    count = length if limit is None else min(limit, length)
    return [i * length // count for i in range(count)]


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
