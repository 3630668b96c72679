"""Score a deployed engine on labelled data: every frame goes the way it goes in the loop, but one after the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from perception.backends.sized import SizedBackends
from perception.core.geometry import choose_model_size, parse_size
from perception.core.manifest import Engine, EngineManifest
from perception.core.types import Frame, UInt8
from perception.datasets import Dataset
from perception.metrics.bootstrap import Resampling
from perception.metrics.evaluator import Evaluator, GraphResult
from perception.metrics.outputs import read_outputs
from perception.runtime.evaluation.failures import FailurePictures, Ranking, measure_failure
from perception.runtime.evaluation.frames import DataSplits, open_datasets, spread
from perception.stages.preprocess import preprocess


def evaluate(
    engine: Engine,
    datasets: DataSplits,
    backend: str,
    precision: str,
    size: str | None = None,
    limit: int | None = None,
    pictures: FailurePictures | None = None,
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
        pictures: of the worst frames of each set; ``None``: none are drawn.

    Returns:
        The closing JSON object: engine, backend, precision, device, the number of frames, and for each ``"SET:SPLIT"``
        under ``"figures"`` what `perception.metrics.evaluator.Evaluator.compute` gives and under ``"intervals"`` the 95 %
        intervals ``[low, high]`` that `Evaluator.intervals` gives. ``"bootstrap"`` says for each set how frames were drawn for these,
        and how many blocks it has; ``"pictures"``, where some were asked for, which were written.

    Raises:
        ConfigError: no set was named, or `limit` is below 1.
        OutputError: a picture cannot be written.
    """
    fixed = parse_size(size) if size else None
    opened = open_datasets(datasets)
    frames = {name: spread(len(found), limit) for name, found in opened.items()}
    resamplings = {name: Resampling(block=found.stretch) for name, found in opened.items()}
    scored: dict[str, Evaluator] = {}
    written: list[str] = []
    with SizedBackends(backend, engine, precision) as backends, _progress() as progress:

        def run(image: UInt8) -> GraphResult:
            return run_frame(backends, image, fixed)

        for name, dataset in opened.items():
            evaluator = scored[name] = build_evaluator(engine.manifest)
            worst = Ranking(pictures.worst if pictures else 0)
            for index in progress.track(frames[name], description=name):
                sample = dataset[index]
                score = evaluator.update(sample, run(sample.image))
                worst.add(index, measure_failure(score, engine.manifest.score_threshold))
            if pictures is not None:
                written += _draw(name, dataset, worst, run, pictures)
        devices = backends.devices()
    summary: dict[str, Any] = {
        "engine": engine.manifest.name,
        "backend": backend,
        "precision": precision,
        "device": ", ".join(devices),
        "frames": sum(map(len, frames.values())),
        "figures": {name: evaluator.compute() for name, evaluator in scored.items()},
        "intervals": {name: e.intervals(resamplings[name]) for name, e in scored.items()},
        "bootstrap": {
            name: {
                "resamples": resampling.resamples,
                "block": resampling.block,
                "blocks": len(set(resampling.blocks(len(frames[name])).tolist())),
            }
            for name, resampling in resamplings.items()
        },
    }
    return summary if pictures is None else {**summary, "pictures": written}


def run_frame(
    backends: SizedBackends, image: UInt8, size_wh: tuple[int, int] | None = None
) -> GraphResult:
    """What an engine gives for ``uint8[H, W, 3]``, BGR, in the pixels of the frame.

    Args:
        backends: the engine, opened.
        image: the frame.
        size_wh: of the engine input, px; ``None``: as the frame needs.
    """
    frame = Frame(np.ascontiguousarray(image), 0, 0)
    size_wh = size_wh or choose_model_size(frame.size_wh, backends.engine.manifest.max_pixels)
    fed = preprocess(frame, size_wh)
    return read_outputs(backends.infer(fed.feed), fed.box)


def build_evaluator(manifest: EngineManifest) -> Evaluator:
    """For the classes and the score threshold of an engine; nothing is counted yet."""
    return Evaluator(manifest.map_classes, manifest.box_classes, manifest.score_threshold)


def _draw(
    name: str,
    dataset: Dataset,
    worst: Ranking,
    run: Callable[[UInt8], GraphResult],
    pictures: FailurePictures,
) -> list[str]:
    """Run the worst frames once more and draw them: kept from the first time, they would fill the memory."""
    paths = []
    for rank, (index, failure) in enumerate(worst.frames(), 1):
        sample = dataset[index]
        paths.append(str(pictures.write(f"{name}/{rank:02d}", sample, run(sample.image), failure)))
    return paths


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
