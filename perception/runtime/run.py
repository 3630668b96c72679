"""One run from start to end, as the command line asks for it: opens everything, shows progress, leaves the account behind."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import cv2

from perception.backends.base import Backend
from perception.core.camera import Undistorter
from perception.core.errors import ConfigError, OutputError
from perception.core.manifest import Engine, load_engine
from perception.runtime.account import ProgressLine, plot_latency, show_address, show_report
from perception.runtime.budget.pipeline import BudgetPipeline
from perception.runtime.budget.selector import TaskSelector
from perception.runtime.budget.variants import check_budget
from perception.runtime.opening import (
    RunConfig,
    open_camera,
    open_for,
    open_locators,
    open_outputs,
    open_selector,
    open_sources,
    open_trackers,
    open_undistorter,
    overlay_rate,
)
from perception.runtime.pipeline import Pipeline
from perception.sinks.base import SinkContext
from perception.sources.base import Source
from perception.stages.ground.locator import Locator


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run whose parts are open, and warm: iterate over ``pipeline.scenes(limit)`` to its end, then ask for the summary."""

    pipeline: Pipeline
    sources: tuple[Source, ...]
    backend: Backend
    engine: Engine
    tracker: str
    selector: TaskSelector | None = None
    locators: tuple[Locator, ...] = ()  # one a source, where the camera is known
    web_url: str = ""  # of the page, where there is one
    undistorter: Undistorter | None = None

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
            "undistorted": self.undistorter is not None,
            "live": self.pipeline.cameras.live,
            "tracker": self.tracker,
            "source_events": dict(events),
            "cameras": [camera.summary(report) for camera in self.pipeline.cameras],
            "interrupted": self.pipeline.interrupted,
            **(
                {}
                if not self.locators
                else {"mounting": [watched.watch.summary() for watched in self.locators]}
            ),
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
        camera = open_camera(config.camera, sources)  # before the engine, which takes long
        locators = open_locators(config.camera, camera, engine, sources)
        backend = stack.enter_context(open_for(sources, engine, config))
        context = SinkContext(
            engine.manifest.box_classes,
            engine.manifest.map_classes,
            overlay_rate(sources),
            len(sources),
        )
        trackers = open_trackers(config.tracker, engine, sources)
        undistorter = open_undistorter(config.camera, camera, sources, backend)
        selector = open_selector(config, sources[0], backend, engine, stack, undistorter)
        sinks, observers, web_url = open_outputs(config, context, stack)
        if selector is not None:
            observers.append(selector)
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
            undistorter=undistorter,
            locators=locators,
        ) as pipeline:
            yield OpenRun(
                pipeline,
                sources,
                backend,
                engine,
                config.tracker,
                selector,
                locators,
                web_url,
                undistorter,
            )


def run(config: RunConfig) -> dict[str, Any]:
    """Run the loop; progress and tables go to stderr.

    Returns:
        The closing JSON object; its ``"interrupted"`` says whether the user ended the run, its ``"cameras"`` which of several were lost.

    Raises:
        PerceptionError: after everything written so far was closed cleanly.
    """
    with open_run(config) as opened:
        pipeline = opened.pipeline
        if opened.web_url:
            show_address(opened.web_url)
        progress = ProgressLine(_total(opened.sources) if config.limit is None else config.limit)
        with progress, _interruptible(pipeline):
            for scene in pipeline.scenes(config.limit):
                progress.show(scene, pipeline.report)
        summary = opened.summary()
    show_report(pipeline.report, summary["cameras"])
    if config.out is not None:
        _leave_account(config.out, summary, pipeline)
    return summary


def _total(sources: Sequence[Source]) -> int | None:
    """Frames of all sources; ``None`` where one does not know its own."""
    lengths = [source.length for source in sources]
    return None if None in lengths else sum(n for n in lengths if n is not None)


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
