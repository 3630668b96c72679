"""One run from start to end, as the command line asks for it: opens everything, shows progress, leaves the account behind."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
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
from perception.runtime.cameras import check_alike
from perception.runtime.observers import OBSERVERS
from perception.runtime.observers.base import Observer
from perception.runtime.pipeline import Pipeline
from perception.sinks import open_sinks
from perception.sinks.base import SinkContext
from perception.sources import DEFAULT_OPTIONS, LiveOptions, open_source
from perception.sources.base import Source
from perception.stages.postprocess import Reading
from perception.stages.tracking import open_tracker
from perception.stages.tracking.base import Tracker

FOLDER_FPS = (
    10.0  # at which the overlay of a recording without a rate, a folder of pictures, is played
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What to run on what, and where results go."""

    source: str | tuple[str, ...]  # as `open_source` takes it; several: a camera each
    engine: str = DEFAULT_ENGINE  # a name under engines/, or a folder
    backend: str = DEFAULT_BACKEND
    precision: str = ""
    size: str = ""  # of the engine input, as WIDTHxHEIGHT; empty: as the (largest) frames need
    sinks: tuple[str, ...] = ()  # NAME=PATH; empty, with `out`: results.jsonl and overlay.mp4 there
    options: LiveOptions = DEFAULT_OPTIONS  # of cameras and streams
    live: bool | None = None  # None: live for cameras and streams, lossless for recordings
    fps: float | None = None  # with live=True, the rate at which a recording is played
    limit: int | None = None  # frames to finish, of all cameras
    warmup: int = 10  # finished frames left out of the percentiles: caches fill in about five
    threads: int | None = None  # of the inference; None: every core
    tracker: str = ""  # that gives boxes identities; empty: none
    trace: Path | None = None  # file for the stages of every frame, for Chrome or Perfetto
    metrics: str = ""  # PORT or HOST:PORT at which Prometheus may ask
    budget_ms: float | None = None  # for a frame at p95: heads and size are then chosen; None: none
    out: Path | None = None  # folder for latency.json and latency.png

    @property
    def sources(self) -> tuple[str, ...]:
        """Each source."""
        return (self.source,) if isinstance(self.source, str) else self.source


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run whose parts are open, and warm: iterate over ``pipeline.scenes(limit)`` to its end, then ask for the summary."""

    pipeline: Pipeline
    sources: tuple[Source, ...]
    backend: Backend
    engine: Engine
    tracker: str
    selector: TaskSelector | None = None

    def summary(self) -> dict[str, Any]:
        """The closing JSON object."""
        report = self.pipeline.report
        events: Counter[str] = Counter()
        for source in self.sources:
            events.update(source.events)
        return {
            **report.summary(),
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "device": self.backend.device,
            "engine": self.engine.manifest.name,
            "source": ", ".join(source.name for source in self.sources),
            "size_wh": list(self.backend.size_wh),
            "fit_on_device": self.backend.fit is not None,
            "live": self.pipeline.cameras.live,
            "tracker": self.tracker,
            "source_events": dict(events),
            "cameras": [camera.summary(report) for camera in self.pipeline.cameras],
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
        check_budget(config.budget_ms, config.backend, engine, len(config.sources))
    with ExitStack() as stack:
        sources = open_sources(config, stack)
        backend = stack.enter_context(open_for(sources, engine, config))
        context = SinkContext(
            engine.manifest.box_classes, engine.manifest.map_classes, _rate(sources), len(sources)
        )
        # what may refuse the user's wishes comes before the sinks, which replace files
        trackers = open_trackers(config.tracker, engine, sources)
        observers = _observers(config, stack)
        selector = _selector(config, sources[0], backend, engine, stack)
        if selector is not None:
            observers.append(selector)
        sinks = open_sinks(_sink_specs(config), context)
        build = Pipeline if selector is None else partial(BudgetPipeline, selector=selector)
        with build(
            sources,
            backend,
            engine.manifest,
            sinks,
            live=config.live,
            warmup=config.warmup,
            observers=observers,
            trackers=trackers,
        ) as pipeline:
            yield OpenRun(pipeline, sources, backend, engine, config.tracker, selector)


def run(config: RunConfig) -> dict[str, Any]:
    """Run the loop; progress and tables go to stderr.

    Returns:
        The closing JSON object; its ``"interrupted"`` says whether the user ended the run, its ``"cameras"`` which of several were lost.

    Raises:
        PerceptionError: after everything written so far was closed cleanly.
    """
    with open_run(config) as opened:
        pipeline = opened.pipeline
        progress = ProgressLine(_total(opened.sources) if config.limit is None else config.limit)
        with progress, _interruptible(pipeline):
            for scene in pipeline.scenes(config.limit):
                progress.show(scene, pipeline.report)
        summary = opened.summary()
    show_report(pipeline.report, summary["cameras"])
    if config.out is not None:
        _leave_account(config.out, summary, pipeline)
    return summary


def open_sources(config: RunConfig, stack: ExitStack) -> tuple[Source, ...]:
    """Open each source until `stack` ends; one that does not open is an error of all.

    Raises:
        InputError: one cannot be opened.
        ConfigError: one cannot be played as asked, or some are live and some are not.
    """
    opened = partial(open_source, live=config.live, fps=config.fps, options=config.options)
    sources = tuple(stack.enter_context(opened(spec)) for spec in config.sources)
    check_alike(sources)
    return sources


def open_trackers(name: str, engine: Engine, sources: Sequence[Source]) -> tuple[Tracker, ...]:
    """A tracker of this name for each source, as what they remember must not mix; none for an empty name.

    Raises:
        ConfigError: unknown name, or its package is not installed.
    """
    threshold = engine.manifest.score_threshold
    opened = (open_tracker(name, threshold, live=source.live) for source in sources)
    return tuple(tracker for tracker in opened if tracker is not None)


def open_for(sources: Source | Sequence[Source], engine: Engine, config: RunConfig) -> Backend:
    """Open the engine at the size that the frames of the sources need, and run it once, so that it is warm.

    The size is that of the largest frame, by area; smaller ones are padded to it, those of another aspect shrunk into it. What fits frames itself
    takes them of one size, so with several sizes it is not asked to.
    """
    manifest = engine.manifest
    listed = (sources,) if isinstance(sources, Source) else sources
    sizes = {source.size_wh for source in listed}
    size_wh = (
        parse_size(config.size)
        if config.size
        else choose_model_size(max(sizes, key=prod), manifest.max_pixels)
    )
    backend = open_backend(
        config.backend,
        engine,
        size_wh,
        precision=config.precision,
        threads=config.threads,
        frame_wh=sizes.pop() if len(sizes) == 1 else None,
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


def _rate(sources: Sequence[Source]) -> float | None:
    """Frames a second of the overlay; ``None`` where the frames bring their time: that of capture, the only one that cameras share."""
    if len(sources) > 1 and sources[0].live:
        return None
    rate = max((source.fps or 0.0 for source in sources), default=0.0)
    return rate or (None if sources[0].live else FOLDER_FPS)


def _total(sources: Sequence[Source]) -> int | None:
    """Frames of all sources; ``None`` where one does not know its own."""
    lengths = [source.length for source in sources]
    return None if None in lengths else sum(n for n in lengths if n is not None)


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
