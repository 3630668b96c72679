"""The loop: the only place with the order of the steps, and with the cut into threads.

Three threads and the caller, joined by hand-overs::

    [read, preprocess]  ->  [infer]  ->  [postprocess]  ->  caller: [sinks]

Inference has a thread to itself, so that it is the only bottleneck. Reading and preprocessing share one, which is never waited
for: they take a tenth of the inference. The sinks run in the caller, where windows want to be and errors are met.

Several cameras have a first thread and, in each hand-over, a lane each; the threads behind take from the camera that was served longest
ago. They are not batched: on a CPU, six frames in one call are done at most a tenth sooner than one after the other, and each would
wait for all six (`perception bench batch`; figures in README.md).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from perception.backends.base import Backend
from perception.core.camera import Undistorter
from perception.core.manifest import GRAPH_INPUT, EngineManifest
from perception.core.timing import FrameTiming, LatencyReport
from perception.core.types import Frame, Scene
from perception.runtime.cameras import Camera, CameraGroup
from perception.runtime.observers.base import Observer
from perception.runtime.threads.group import Threads
from perception.runtime.threads.handover import Bounded, HandOver, Newest
from perception.sinks.base import Sink, SinkGroup
from perception.sources.base import Source
from perception.stages.ground.locator import Locator
from perception.stages.postprocess import Reading, postprocess
from perception.stages.preprocess import Fed, preprocess
from perception.stages.tracking.base import Tracker

logger = logging.getLogger(__name__)

STALL_S = 60.0  # with nothing finished for so long, something hangs
QUEUE = 2  # items of a camera between two threads of a lossless run: one in hand, one ready


@dataclass(slots=True)
class Job:
    """One frame on its way through the loop, and what it cost so far."""

    frame: Frame
    fed: Fed | None = None
    outputs: dict[str, NDArray[Any]] | None = None
    scene: Scene | None = None
    stages_ns: dict[str, int] = field(default_factory=dict)
    cpu_ns: dict[str, int] = field(default_factory=dict)
    device_ns: dict[str, int] = field(default_factory=dict)
    began_ns: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A timed step: it reads from the job what the steps before it left there, and adds its own."""

    name: str
    run: Callable[[Job], None]

    def timed(self, job: Job) -> None:
        """Run, and note wall time and the CPU time of this thread."""
        began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        self.run(job)
        job.cpu_ns[self.name] = time.thread_time_ns() - began_cpu_ns
        job.stages_ns[self.name] = time.monotonic_ns() - began_ns
        job.began_ns[self.name] = began_ns


class Pipeline:
    """Sources, an opened engine and sinks, run as threads. Use it once; it closes sources and sinks at its end.

    With several sources, an `InputError` of one ends that one alone (`Camera.lost`), and the run ends with the last of them.

    Args:
        sources: where frames come from; several: a camera each, all live or all recordings.
        backend: the opened engine; stays open.
        manifest: of the engine.
        sinks: where results go.
        live: keep the newest frame and drop the others, instead of losing nothing; default: as the source is.
        warmup: finished frames that the report leaves out.
        observers: get the account of every finished frame; stay open.
        trackers: give boxes identities, one a source; empty: nothing does.
        undistorter: undoes the lens of the camera; ``None``: frames are fitted as they are.
        locators: put scenes on the road, one a source; empty: nothing does.

    Attributes:
        cameras: the sources, in their order, and what became of each.
        report: the latency account so far.
        interrupted: whether the run was stopped before its end by `interrupt`.
    """

    def __init__(  # noqa: PLR0913 (all but four are keywords)
        self,
        sources: Source | Sequence[Source],
        backend: Backend,
        manifest: EngineManifest,
        sinks: Sink | None = None,
        *,
        live: bool | None = None,
        warmup: int = 0,
        observers: Sequence[Observer] = (),
        trackers: Sequence[Tracker] = (),
        undistorter: Undistorter | None = None,
        locators: Sequence[Locator] = (),
    ) -> None:
        self.cameras = CameraGroup(sources, trackers)
        self._backend = backend
        self._reading = Reading.of(manifest)
        if trackers:
            self._reading = replace(self._reading, score_threshold=trackers[0].least_score)
        self._sinks = sinks if sinks is not None else SinkGroup()
        self._live = self.cameras.live if live is None else live
        self._observers = observers
        self._undistorter = undistorter
        self._locators = locators
        self._limit: int | None = None
        self._threads = Threads()
        self._closed = False
        self.report = LatencyReport(warmup, first_id=0)
        self.interrupted = False
        tracking = (Step("track", self._track),) if trackers else ()
        locating = (Step("ground", self._locate),) if locators else ()
        # the order of the steps, by thread; "read" comes before them and "sinks" after them
        self._groups: tuple[tuple[Step, ...], ...] = (
            (Step("preprocess", self._preprocess),),
            (Step("infer", self._infer),),
            (Step("postprocess", self._postprocess), *tracking, *locating),
        )
        self._last = Step("sinks", self._write)
        build = Newest if self._live else partial(Bounded, QUEUE)
        self._links: list[HandOver[Job]] = [build(len(self.cameras)) for _ in self._groups]

    def run(self, limit: int | None = None) -> LatencyReport:
        """Run to the end of the last source, or until `limit` frames are finished.

        Raises:
            PerceptionError: from any stage, after what came before it was written and all was closed.
        """
        for _ in self.scenes(limit):
            pass
        return self.report

    def scenes(self, limit: int | None = None) -> Iterator[Scene]:
        """As `run`, but hands each scene out after the sinks have it. Ending the iteration ends the threads."""
        self._start(limit)
        last = self._links[-1]
        try:
            while limit is None or self.report.finished < limit:
                job = last.get(STALL_S + self.cameras.patience_s)
                if job is None or job.scene is None:
                    break
                self._finish(job)
                yield job.scene
        except BaseException:
            self._shut_down(failed=True)
            raise
        self._shut_down(failed=False)

    def interrupt(self) -> None:
        """Stop reading; what was read is finished and written. May be called from any thread or signal handler."""
        self.interrupted = True
        # once closing has begun, its locks may be held by the very thread that a signal interrupts here
        if not self._closed:
            self.cameras.stop()

    def close(self) -> None:
        """End the threads, close sources and sinks; a second call does nothing."""
        self._shut_down(failed=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shut_down(failed=error is not None)

    # --- the steps -------------------------------------------------------------------------------------------------

    def _preprocess(self, job: Job) -> None:
        backend = self._backend
        job.fed = preprocess(job.frame, backend.size_wh, backend.fit, self._undistorter)

    def _infer(self, job: Job) -> None:
        assert job.fed is not None  # noqa: S101 (the order of the steps is ours)
        outputs = self._backend.infer({GRAPH_INPUT: job.fed.feed})
        # the next call may overwrite them while this frame is still on its way
        job.outputs = {name: np.array(array) for name, array in outputs.items()}
        job.device_ns = {part: round(ms * 1e6) for part, ms in self._backend.device_ms.items()}

    def _postprocess(self, job: Job) -> None:
        assert job.fed is not None  # noqa: S101 (as above)
        assert job.outputs is not None  # noqa: S101 (as above)
        job.scene = postprocess(job.frame, job.outputs, job.fed.box, self._reading)

    def _track(self, job: Job) -> None:
        assert job.scene is not None  # noqa: S101 (as above)
        tracker = self.cameras[job.frame.camera].tracker
        assert tracker is not None  # noqa: S101 (as above)
        job.scene = tracker.track(job.scene)

    def _locate(self, job: Job) -> None:
        assert job.scene is not None  # noqa: S101 (as above)
        job.scene = self._locators[job.frame.camera].locate(job.scene)

    def _write(self, job: Job) -> None:
        assert job.scene is not None  # noqa: S101 (as above)
        self._sinks.write(job.scene)

    def _finish(self, job: Job) -> None:
        """The last step, in the caller's thread, and the account of the frame."""
        age_ns = time.monotonic_ns() - job.frame.captured_ns
        self._last.timed(job)
        spent = (job.stages_ns, job.cpu_ns, job.device_ns)
        frame_id, camera = job.frame.frame_id, job.frame.camera
        timing = FrameTiming(frame_id, time.monotonic_ns(), age_ns, *spent, camera=camera)
        self.report.add(timing)
        for observer in self._observers:
            observer.observe(replace(timing, began_ns=job.began_ns), self.report)
        self.cameras.watch()

    # --- the threads -----------------------------------------------------------------------------------------------

    def _start(self, limit: int | None) -> None:
        self._limit = limit
        first, *others = self._groups
        for camera in self.cameras:
            self._threads.spawn("read", self._read, camera, first, self._links[0])
        for steps, inbox, outbox in zip(others, self._links, self._links[1:], strict=False):
            self._threads.spawn(steps[0].name, self._work, steps, inbox, outbox)

    def _read(self, camera: Camera, steps: Sequence[Step], outbox: HandOver[Job]) -> None:
        """Body of the first thread of a camera: frames from its source, through the first steps."""
        error: BaseException | None = None
        try:
            # a live run may need more frames than it finishes
            for read in islice(camera.reads(), None if self._live else self._limit):
                job = Job(read.frame)
                job.began_ns["read"] = read.began_ns
                job.stages_ns["read"], job.cpu_ns["read"] = read.spent_ns, read.cpu_ns
                for step in steps:
                    step.timed(job)
                if not outbox.put(job, camera.index):
                    break
        except BaseException as raised:  # noqa: BLE001 (carried to the caller's thread)
            # a source that was told to stop may fail at that
            stopped = self.interrupted or self._closed
            error = None if stopped else self.cameras.lose(camera, raised)
        finally:
            outbox.end(error, camera.index)
            camera.source.close()

    @staticmethod
    def _work(steps: Sequence[Step], inbox: HandOver[Job], outbox: HandOver[Job]) -> None:
        """Body of the other threads: from one hand-over to the next."""
        try:
            # no limit of its own: the caller's wait has one, and cancels this
            while (job := inbox.get(float("inf"))) is not None:
                for step in steps:
                    step.timed(job)
                if not outbox.put(job, job.frame.camera):
                    break
        except BaseException as error:  # noqa: BLE001 (carried to the caller's thread)
            outbox.end(error)
        else:
            outbox.end()
        finally:
            inbox.cancel()

    def _shut_down(self, *, failed: bool) -> None:
        """End the threads, then close the sinks. After a failure, a second one is only logged."""
        if self._closed:
            return
        self._closed = True
        self.cameras.stop()
        for link in self._links:
            link.cancel()
        self._threads.join()
        if not self._threads.started:
            self.cameras.close()
        try:
            self._sinks.close()
        except Exception as error:
            if not failed:
                raise
            logger.error("closing the sinks failed too: %s", error)  # noqa: TRY400 (one line; the first is raised)
