"""The Python API: `load` an engine to look at single pictures, `stream` a source through one."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from perception.backends import DEFAULT_BACKEND
from perception.backends.sized import SizedBackends
from perception.core.camera import Camera, build_undistorter, find_camera
from perception.core.errors import InputError
from perception.core.geometry import choose_model_size
from perception.core.manifest import DEFAULT_ENGINE, Engine, load_engine
from perception.core.process import Closing
from perception.core.types import Frame, Scene, UInt8
from perception.runtime.opening import (
    RunConfig,
    build_locator,
    open_camera,
    open_for,
    open_locators,
    open_sources,
    open_trackers,
    open_undistorter,
)
from perception.runtime.pipeline import Pipeline
from perception.sources import DEFAULT_OPTIONS, LiveOptions
from perception.stages.postprocess import Reading, postprocess
from perception.stages.preprocess import preprocess


class Perceiver(Closing):
    """An engine that is called with pictures; it is opened once for each size that comes.

    Args:
        engine: checked engine folder.
        backend: name of the backend.
        precision: ``"fp32"``, ``"int8"`` or ``"bf16"``, where engine and backend have it; empty: what the engine's manifest names.
        threads: of the inference; ``None`` is every core.
        camera: that takes the pictures: its lens is undone, and where its mounting is known scenes have metres (`Scene.ground`); ``None``: unknown.
    """

    def __init__(
        self,
        engine: Engine,
        backend: str,
        precision: str = "",
        threads: int | None = None,
        camera: Camera | None = None,
    ) -> None:
        self.engine = engine
        self._backends = SizedBackends(backend, engine, precision, threads)
        self._reading = Reading.of(engine.manifest)
        self._undistorter = None if camera is None else build_undistorter(camera)
        self._camera = camera
        self._count = 0
        placed = camera is not None and camera.height_m is not None
        self._locator = build_locator("camera", camera, engine) if camera and placed else None

    def __call__(self, image: UInt8) -> Scene:
        """What is in ``uint8[H, W, 3]``, BGR; results are in its own pixels.

        Raises:
            ConfigError: the camera's frames have another shape.
        """
        frame = Frame(np.ascontiguousarray(image), self._count, time.monotonic_ns())
        self._count += 1
        if self._camera is not None:
            self._camera.scaled(frame.size_wh)
        size_wh = choose_model_size(frame.size_wh, self.engine.manifest.max_pixels)
        fed = preprocess(frame, size_wh, undistorter=self._undistorter)
        outputs = self._backends.infer(fed.feed)
        kept = {name: np.array(array) for name, array in outputs.items()}
        scene = postprocess(frame, kept, fed.box, self._reading)
        return scene if self._locator is None else self._locator.locate(scene)

    def close(self) -> None:
        """Close what was opened; a later call opens it again."""
        self._backends.close()


def load(
    engine: str | Path = DEFAULT_ENGINE,
    *,
    backend: str = DEFAULT_BACKEND,
    precision: str = "",
    threads: int | None = None,
    camera: str | Path = "",
) -> Perceiver:
    """Load an engine, by name or folder: ``scene = perception.load()(image)``.

    With a camera, a name in ``calib/cameras/`` or a file, its lens is undone before the network and done again to the results.

    Raises:
        ConfigError: no such camera.
        EngineError: no such engine, or its files are damaged.
    """
    known = find_camera(camera) if camera else None
    return Perceiver(load_engine(engine), backend, precision, threads, known)


def stream(  # noqa: PLR0913 (all but two are keywords)
    source: str | Path | Sequence[str | Path],
    engine: str | Path = DEFAULT_ENGINE,
    *,
    backend: str = DEFAULT_BACKEND,
    precision: str = "",
    size: str = "",
    live: bool | None = None,
    options: LiveOptions = DEFAULT_OPTIONS,
    limit: int | None = None,
    threads: int | None = None,
    tracker: str = "",
    camera: str | Path = "",
) -> Iterator[Scene]:
    """Scenes of a source, as they are found: ``for scene in perception.stream("drive.mp4"): ...``.

    Reading and inference go on while the caller is busy: a live source then drops frames, a recording waits. Ending the iteration
    ends the threads and closes what was opened.

    Args:
        source: a path, ``camera:N``, an address, or ``demo``; several: `Frame.camera` tells them apart, each is served in its turn, and one that is
            lost is told of once the others have ended.
        engine: a name under ``engines/``, or a folder.
        backend: name of the backend.
        precision: ``"fp32"``, ``"int8"`` or ``"bf16"``, where engine and backend have it; empty: what the engine's manifest names.
        size: of the engine input, as ``WIDTHxHEIGHT``; empty: as the frames need.
        live: play a recording as if it were a camera.
        options: how a stream is read, and how long a lost camera or stream is waited for.
        limit: number of scenes to give, of all sources.
        threads: of the inference; ``None`` is every core.
        tracker: ``"bytetrack"`` gives boxes identities and speeds (`Scene.tracks`), for `perception.forecast`; empty: none.
        camera: of the sources, a name in ``calib/cameras/`` or a file: its lens is undone before the network, and where its mounting is known scenes have metres
            (`Scene.ground`); empty: unknown.

    Raises:
        PerceptionError: the source or the engine cannot be used, or failed on the way.
    """
    specs = (source,) if isinstance(source, str | Path) else source
    config = RunConfig(
        source=tuple(map(str, specs)),
        engine=str(engine),
        backend=backend,
        precision=precision,
        size=size,
        live=live,
        options=options,
        threads=threads,
        camera=str(camera),
    )
    opened = load_engine(engine)
    with ExitStack() as stack:
        frames = open_sources(config, stack)
        known = open_camera(config.camera, frames)
        runner = stack.enter_context(open_for(frames, opened, config))
        pipeline = Pipeline(
            frames,
            runner,
            opened.manifest,
            live=live,
            trackers=open_trackers(tracker, opened, frames),
            undistorter=open_undistorter(config.camera, known, frames, runner),
            locators=open_locators(config.camera, known, opened, frames),
        )
        with pipeline:
            yield from pipeline.scenes(limit)
    if lost := pipeline.cameras.lost:
        raise InputError(f"{len(lost)} of {len(frames)} sources ended early: {'; '.join(lost)}")
