"""The cameras of one run: each is read for itself, so that one that is silent, lost or slow costs the others nothing."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, overload

from perception.core.errors import ConfigError, InputError
from perception.core.timing import LatencyReport
from perception.core.types import Frame
from perception.sources.base import Source
from perception.stages.tracking.base import Tracker

logger = logging.getLogger(__name__)

STALLED_S = 2.0  # a camera of ten pictures a second has then missed twenty
STALLED_FRAMES = 3  # that one with a rate of its own has missed, where that is longer


@dataclass(frozen=True, slots=True)
class Read:
    """A frame as it came from its source.

    Attributes:
        frame: with its camera.
        began_ns: `time.monotonic_ns` since when there was something to read: not the wait for a live frame to come.
        spent_ns, cpu_ns: wall time since then, and CPU time of the thread that read.
    """

    frame: Frame
    began_ns: int
    spent_ns: int
    cpu_ns: int


class Camera:
    """One source of a run, and what became of it. One thread reads; any may ask.

    Args:
        source: where its frames come from.
        index: in the order of the run's sources.
        tracker: of its boxes alone; ``None``: nothing tracks.

    Attributes:
        lost: why it ended before the others, which went on; empty where it did not.
    """

    def __init__(self, source: Source, index: int, tracker: Tracker | None = None) -> None:
        self.source = source
        self.index = index
        self.tracker = tracker
        self.lost = ""
        self._limit_ns = round(max(STALLED_S, STALLED_FRAMES / (source.fps or float("inf"))) * 1e9)
        self._waits_since_ns: int | None = None  # for a picture; None while it has one
        self._longest_ns = 0
        self._stalls = 0
        self._told_ns: int | None = None  # start of the wait that was told of

    def reads(self) -> Iterator[Read]:
        """Its frames, timed."""
        frames = iter(self.source)
        while True:
            began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
            self._waits_since_ns = began_ns
            try:
                frame = next(frames, None)
            finally:
                self._note_wait(began_ns)
            if frame is None:
                return
            if self.index:
                frame = replace(frame, camera=self.index)
            cpu_ns = time.thread_time_ns() - began_cpu_ns
            began_ns = max(began_ns, frame.captured_ns)
            yield Read(frame, began_ns, time.monotonic_ns() - began_ns, cpu_ns)

    def _note_wait(self, began_ns: int) -> None:
        self._waits_since_ns = None
        waited_ns = time.monotonic_ns() - began_ns
        self._longest_ns = max(self._longest_ns, waited_ns)
        self._stalls += waited_ns > self._limit_ns
        if self._told_ns == began_ns:
            logger.warning("%s: was silent for %.1f s", self, waited_ns / 1e9)

    def watch(self) -> None:
        """Log once that it is silent, while it is."""
        since_ns = self._waits_since_ns  # read once: the reader may change it meanwhile
        if since_ns is None or since_ns == self._told_ns:
            return
        if (silent_ns := time.monotonic_ns() - since_ns) > self._limit_ns:
            self._told_ns = since_ns
            logger.warning("%s: silent for %.1f s; the others go on", self, silent_ns / 1e9)

    def _silent_ns(self) -> int:
        since_ns = self._waits_since_ns  # read once, as above
        return 0 if since_ns is None else time.monotonic_ns() - since_ns

    def __str__(self) -> str:
        return f"camera {self.index} ({self.source.name})"

    def summary(self, report: LatencyReport) -> dict[str, Any]:
        """Its part of the closing JSON object.

        Returns:
            ``stalls``: how often it was silent for longer than `STALLED_S`; ``longest_silence_s``: the longest wait for a picture;
            ``lost``: why it ended before the others, empty where it did not; the others as in the whole object.
        """
        silent_ns = self._silent_ns()
        return {
            "camera": self.index,
            "source": self.source.name,
            "frames": report.finished_by[self.index],
            "dropped": report.dropped_by[self.index],
            "age_ms": asdict(report.age_ms(self.index)),
            "size_wh": list(self.source.size_wh),
            "source_events": dict(self.source.events),
            "stalls": self._stalls + (silent_ns > self._limit_ns),
            "longest_silence_s": max(self._longest_ns, silent_ns) / 1e9,
            "lost": self.lost,
        }


class CameraGroup(Sequence[Camera]):
    """The cameras of a run, in the order of their sources.

    Args:
        sources: one, or several.
        trackers: one a source; empty: nothing tracks.

    Attributes:
        live: whether they are cameras, which go on when nobody reads, or recordings.
        patience_s: how long all may be silent while the one that takes longest is waited for, s.

    Raises:
        ConfigError: no source, or some are live and some are not.
    """

    def __init__(
        self, sources: Source | Sequence[Source], trackers: Sequence[Tracker] = ()
    ) -> None:
        listed = (sources,) if isinstance(sources, Source) else tuple(sources)
        check_alike(listed)
        mine = trackers or (None,) * len(listed)
        pairs = zip(listed, mine, strict=True)
        self._cameras = tuple(
            Camera(source, n, tracker) for n, (source, tracker) in enumerate(pairs)
        )
        self.live = listed[0].live
        self.patience_s = max(source.patience_s for source in listed)

    @overload
    def __getitem__(self, index: int) -> Camera: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Camera, ...]: ...
    def __getitem__(self, index: int | slice) -> Camera | tuple[Camera, ...]:
        return self._cameras[index]

    def __len__(self) -> int:
        return len(self._cameras)

    @property
    def lost(self) -> list[str]:
        """Those that ended before the others, each with its reason."""
        return [f"{camera}: {camera.lost}" for camera in self if camera.lost]

    def lose(self, camera: Camera, error: BaseException) -> BaseException | None:
        """Take note that one of several is lost, if the error is of its input; the error if it is that of the whole run instead."""
        if len(self) == 1 or not isinstance(error, InputError):
            return error
        camera.lost = str(error)
        logger.error("%s: lost: %s; the others go on", camera, error)
        return None

    def watch(self) -> None:
        """Log which of several are silent; one that is alone is waited for."""
        if len(self) > 1:
            for camera in self:
                camera.watch()

    def stop(self) -> None:
        """Stop reading; may be called from any thread."""
        for camera in self:
            camera.source.stop()

    def close(self) -> None:
        """Close the sources; only when nobody reads any more."""
        for camera in self:
            camera.source.close()


def check_alike(sources: Sequence[Source]) -> None:
    """Raise `ConfigError` unless there are sources, and all are live or none is."""
    if not sources:
        raise ConfigError("sources: expected at least one, got none")
    live = sum(source.live for source in sources)
    if 0 < live < len(sources):
        raise ConfigError(
            f"sources: expected all live or all recordings, got {live} live of {len(sources)}; play recordings as cameras with --live"
        )
