"""What a run is made of, opened as its configuration says."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from perception.backends import DEFAULT_BACKEND, open_backend
from perception.backends.base import Backend
from perception.core.camera import Camera, Undistorter, build_undistorter, find_camera
from perception.core.errors import ConfigError
from perception.core.geometry import choose_model_size, parse_size
from perception.core.manifest import DEFAULT_ENGINE, GRAPH_INPUT, Engine
from perception.runtime.budget.selector import TaskSelector
from perception.runtime.budget.variants import Variants
from perception.runtime.cameras import check_alike
from perception.runtime.observers import OBSERVERS
from perception.runtime.observers.base import Observer
from perception.sinks import open_sinks
from perception.sinks.base import Sink, SinkContext, SinkGroup
from perception.sources import DEFAULT_OPTIONS, LiveOptions, open_source
from perception.sources.base import Source
from perception.stages.ground.locator import Locator
from perception.stages.postprocess import Reading
from perception.stages.tracking import open_tracker
from perception.stages.tracking.base import Tracker

logger = logging.getLogger(__name__)

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
    camera: str = ""  # a name in calib/cameras/, or a file; empty: unknown, and nothing is undistorted or in metres
    tracker: str = ""  # that gives boxes identities; empty: none
    trace: Path | None = None  # file for the stages of every frame, for Chrome or Perfetto
    metrics: str = ""  # PORT or HOST:PORT at which Prometheus may ask
    web: str = ""  # PORT or HOST:PORT of the page that shows the run
    budget_ms: float | None = None  # for a frame at p95: heads and size are then chosen; None: none
    out: Path | None = None  # folder for latency.json and latency.png

    @property
    def sources(self) -> tuple[str, ...]:
        """Each source."""
        return (self.source,) if isinstance(self.source, str) else self.source


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


def open_camera(name: str, sources: Sequence[Source]) -> Camera | None:
    """The camera of this name, which takes the pictures of all sources; ``None`` for an empty name.

    Raises:
        ConfigError: no such camera, or the frames of a source have another shape.
    """
    if not name:
        return None
    camera = find_camera(name)
    for source in sources:
        camera.scaled(source.size_wh)
    return camera


def open_locators(
    name: str, camera: Camera | None, engine: Engine, sources: Sequence[Source]
) -> tuple[Locator, ...]:
    """What puts the scenes of each source on the road; nothing without a camera, or where its mounting is unknown."""
    if camera is None:
        return ()
    if camera.height_m is None:
        logger.info(
            "%s: has no height_m, so nothing is told in metres; perception calibrate mounting finds it",
            name,
        )
        return ()
    return tuple(build_locator(name, camera, engine, source.size_wh) for source in sources)


def build_locator(
    name: str, camera: Camera, engine: Engine, size_wh: tuple[int, int] | None = None
) -> Locator:
    """As the classes of an engine need it."""
    boxed = engine.manifest.box_classes
    vehicle = boxed.index("vehicle") if "vehicle" in boxed else None
    road = Reading.of(engine.manifest).road_class
    return Locator(name, camera, road, vehicle, size_wh=size_wh)


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


def open_undistorter(
    name: str, camera: Camera | None, sources: Sequence[Source], backend: Backend
) -> Undistorter | None:
    """What undoes the lens of the camera, its tables made for the frames of the source; ``None`` without a camera, or where its lens does not bend.

    Raises:
        ConfigError: its lens bends, and there are several sources or the plan fits frames itself.
    """
    undistorter = None if camera is None else build_undistorter(camera)
    if undistorter is None:
        return None
    if len(sources) > 1:
        raise ConfigError(
            f"--camera {name}: its lens bends: expected one source, whose camera it is; got {len(sources)}"
        )
    if backend.fit is not None:
        raise ConfigError(
            f"--camera {name}: its lens bends, which a plan for whole frames cannot undo; build the plan without --frame"
        )
    cut = undistorter.fit(sources[0].size_wh, backend.size_wh).unseen_share
    logger.info("%s: lens undone; the view leaves %.1f %% of the frame out", name, 100 * cut)
    return undistorter


def open_observers(config: RunConfig, stack: ExitStack) -> list[Observer]:
    """What looks on, closed with `stack`."""
    observers: list[Observer] = []
    if config.trace is not None:
        observers.append(stack.enter_context(OBSERVERS["trace"](config.trace)))
    if config.metrics:
        observers.append(stack.enter_context(OBSERVERS["metrics"](config.metrics)))
    return observers


def open_selector(
    config: RunConfig,
    source: Source,
    backend: Backend,
    engine: Engine,
    stack: ExitStack,
    undistorter: Undistorter | None = None,
) -> TaskSelector | None:
    """What chooses the heads and the size of each frame, closed with `stack`; ``None`` without a budget."""
    if config.budget_ms is None:
        return None
    variants = stack.enter_context(Variants(engine, backend, source.size_wh, config.threads))
    reading = Reading.of(engine.manifest)
    return TaskSelector(
        variants,
        config.budget_ms,
        reading,
        frame_wh=source.size_wh,
        warmup=config.warmup,
        undistorter=undistorter,
    )


def overlay_rate(sources: Sequence[Source]) -> float | None:
    """Frames a second of the overlay; ``None`` where the frames bring their time: that of capture, the only one that cameras share."""
    if len(sources) > 1 and sources[0].live:
        return None
    rate = max((source.fps or 0.0 for source in sources), default=0.0)
    return rate or (None if sources[0].live else FOLDER_FPS)


def open_outputs(
    config: RunConfig, context: SinkContext, stack: ExitStack
) -> tuple[Sink, list[Observer], str]:
    """Where results and their account go: the sinks, which the caller closes, what looks on, closed with `stack`, and the address of the page, if any.

    What may refuse the user's wishes comes before the sinks, which replace files.
    """
    observers = open_observers(config, stack)
    if not config.web:
        return open_sinks(_sink_specs(config), context), observers, ""
    page = stack.enter_context(OBSERVERS["web"](config.web, context))
    observers.append(page)
    return SinkGroup((open_sinks(_sink_specs(config), context), page)), observers, page.url


def _sink_specs(config: RunConfig) -> tuple[str, ...]:
    if config.sinks or config.out is None:
        return config.sinks
    return (f"jsonl={config.out / 'results.jsonl'}", f"overlay={config.out / 'overlay.mp4'}")
