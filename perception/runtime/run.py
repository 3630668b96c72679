"""One run from start to end, as the command line asks for it: opens everything, shows progress, leaves the account behind."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import numpy as np

from perception.backends import DEFAULT_BACKEND, open_backend
from perception.backends.base import Backend
from perception.core.errors import ConfigError, OutputError
from perception.core.geometry import choose_model_size, parse_size
from perception.core.manifest import DEFAULT_ENGINE, GRAPH_INPUT, Engine, load_engine
from perception.runtime.account import ProgressLine, plot_latency, show_report
from perception.runtime.budget.pipeline import BudgetPipeline
from perception.runtime.budget.selector import TaskSelector
from perception.runtime.budget.variants import Variants, check_budget
from perception.runtime.observers import OBSERVERS
from perception.runtime.observers.base import Observer
from perception.runtime.pipeline import Pipeline
from perception.sinks import open_sinks
from perception.sinks.base import SinkContext
from perception.sources import DEFAULT_OPTIONS, LiveOptions, open_source
from perception.sources.base import Source
from perception.stages.postprocess import Reading
from perception.stages.tracking import open_tracker

FOLDER_FPS = (
    10.0  # at which the overlay of a recording without a rate, a folder of pictures, is played
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What to run on what, and where results go."""

    source: str  # as `open_source` takes it
    engine: str = DEFAULT_ENGINE  # a name under engines/, or a folder
    backend: str = DEFAULT_BACKEND
    precision: str = ""
    size: str = ""  # of the engine input, as WIDTHxHEIGHT; empty: as the frames need
    sinks: tuple[str, ...] = ()  # NAME=PATH; empty, with `out`: results.jsonl and overlay.mp4 there
    options: LiveOptions = DEFAULT_OPTIONS  # of cameras and streams
    live: bool | None = None  # None: live for cameras and streams, lossless for recordings
    fps: float | None = None  # with live=True, the rate at which a recording is played
    limit: int | None = None  # frames to finish
    warmup: int = 10  # finished frames left out of the percentiles: caches fill in about five
    threads: int | None = None  # of the inference; None: every core
    tracker: str = ""  # that gives boxes identities; empty: none
    trace: Path | None = None  # file for the stages of every frame, for Chrome or Perfetto
    metrics: str = ""  # PORT or HOST:PORT at which Prometheus may ask
    budget_ms: float | None = None  # for a frame at p95: heads and size are then chosen; None: none
    out: Path | None = None  # folder for latency.json and latency.png


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run whose parts are open, and warm: iterate over ``pipeline.scenes(limit)`` to its end, then ask for the summary."""

    pipeline: Pipeline
    source: Source
    backend: Backend
    engine: Engine
    tracker: str
    selector: TaskSelector | None = None

    def summary(self) -> dict[str, Any]:
        """The closing JSON object."""
        return {
            **self.pipeline.report.summary(),
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "device": self.backend.device,
            "engine": self.engine.manifest.name,
            "source": self.source.name,
            "size_wh": list(self.backend.size_wh),
            "fit_on_device": self.backend.fit is not None,
            "live": self.source.live,
            "tracker": self.tracker,
            "source_events": dict(self.source.events),
            "interrupted": self.pipeline.interrupted,
            **({} if self.selector is None else {"budget": self.selector.summary()}),
        }


@contextmanager
def open_run(config: RunConfig) -> Iterator[OpenRun]:
    """Open everything that a run needs; shows nothing, and leaves signals alone.

    Raises:
        PerceptionError: after everything written so far was closed cleanly.
    """
    if config.limit is not None and config.limit < 1:
        raise ConfigError(f"limit: expected at least 1 frame, got {config.limit}")
    # the loop's own threads are its parallelism; OpenCV's would take cores from the inference
    cv2.setNumThreads(1)
    engine = load_engine(config.engine)
    if config.budget_ms is not None:
        check_budget(config.budget_ms, config.backend, engine)
    with (
        open_source(
            config.source, live=config.live, fps=config.fps, options=config.options
        ) as source,
        open_for(source, engine, config) as backend,
        ExitStack() as stack,
    ):
        context = SinkContext(
            engine.manifest.box_classes, engine.manifest.map_classes, _rate(source)
        )
        # what may refuse the user's wishes comes before the sinks, which replace files
        tracker = open_tracker(config.tracker, engine.manifest.score_threshold, live=source.live)
        observers = _observers(config, stack)
        selector = _selector(config, source, backend, engine, stack)
        if selector is not None:
            observers.append(selector)
        sinks = open_sinks(_sink_specs(config), context)
        build = Pipeline if selector is None else partial(BudgetPipeline, selector=selector)
        with build(
            source,
            backend,
            engine.manifest,
            sinks,
            live=config.live,
            warmup=config.warmup,
            observers=observers,
            tracker=tracker,
        ) as pipeline:
            yield OpenRun(pipeline, source, backend, engine, config.tracker, selector)


def run(config: RunConfig) -> dict[str, Any]:
    """Run the loop; progress and tables go to stderr.

    Returns:
        The closing JSON object; its ``"interrupted"`` says whether the user ended the run.

    Raises:
        PerceptionError: after everything written so far was closed cleanly.
    """
    with open_run(config) as opened:
        pipeline = opened.pipeline
        progress = ProgressLine(opened.source.length if config.limit is None else config.limit)
        with progress, _interruptible(pipeline):
            for scene in pipeline.scenes(config.limit):
                progress.show(scene, pipeline.report)
        summary = opened.summary()
    show_report(pipeline.report)
    if config.out is not None:
        _leave_account(config.out, summary, pipeline)
    return summary


def open_for(source: Source, engine: Engine, config: RunConfig) -> Backend:
    """Open the engine at the size that the frames of a source need, and run it once, so that it is warm."""
    manifest = engine.manifest
    size_wh = (
        parse_size(config.size)
        if config.size
        else choose_model_size(source.size_wh, manifest.max_pixels)
    )
    backend = open_backend(
        config.backend,
        engine,
        size_wh,
        precision=config.precision,
        threads=config.threads,
        frame_wh=source.size_wh,
    )
    try:
        backend.infer({GRAPH_INPUT: np.zeros(backend.inputs[GRAPH_INPUT].shape, np.uint8)})
    except BaseException:
        backend.close()
        raise
    return backend


def _observers(config: RunConfig, stack: ExitStack) -> list[Observer]:
    """What looks on, closed with `stack`."""
    observers: list[Observer] = []
    if config.trace is not None:
        observers.append(stack.enter_context(OBSERVERS["trace"](config.trace)))
    if config.metrics:
        observers.append(stack.enter_context(OBSERVERS["metrics"](config.metrics)))
    return observers


def _selector(
    config: RunConfig, source: Source, backend: Backend, engine: Engine, stack: ExitStack
) -> TaskSelector | None:
    """What chooses the heads and the size of each frame, closed with `stack`; ``None`` without a budget."""
    if config.budget_ms is None:
        return None
    variants = stack.enter_context(Variants(engine, backend, source.size_wh, config.threads))
    reading = Reading.of(engine.manifest)
    return TaskSelector(
        variants, config.budget_ms, reading, frame_wh=source.size_wh, warmup=config.warmup
    )


def _rate(source: Source) -> float | None:
    return source.fps or (None if source.live else FOLDER_FPS)


def _sink_specs(config: RunConfig) -> tuple[str, ...]:
    if config.sinks or config.out is None:
        return config.sinks
    return (f"jsonl={config.out / 'results.jsonl'}", f"overlay={config.out / 'overlay.mp4'}")


@contextmanager
def _interruptible(pipeline: Pipeline) -> Iterator[None]:
    """Within: the first Ctrl-C (or SIGTERM) lets the run end and write everything, the second one raises."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, _frame: FrameType | None) -> None:
        if pipeline.interrupted:
            signal.default_int_handler(number, _frame)
        pipeline.interrupt()

    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _leave_account(out: Path, summary: dict[str, Any], pipeline: Pipeline) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(summary, indent=2)
        (out / "latency.json").write_text(text + "\n", encoding="utf-8")
        plot_latency(
            pipeline.report, out / "latency.png", f"{summary['engine']}, {summary['device']}"
        )
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
