"""The contract of a sink: it takes scenes until it is closed. Also the group that writes to several."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from perception.core.process import Closing
from perception.core.types import Frame, Scene

logger = logging.getLogger(__name__)

JPEG_QUALITY = 85  # of the pictures within a recording


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink may need to know of the run.

    Attributes:
        box_classes: names of the box classes, index = class id.
        map_classes: names of the map classes, index = class id.
        fps: nominal frames a second of the source, ``None`` where unknown.
    """

    box_classes: tuple[str, ...]
    map_classes: tuple[str, ...]
    fps: float | None = None


class Sink(Closing):
    """Where results go. Nothing that was written is lost when something else fails."""

    @abstractmethod
    def write(self, scene: Scene) -> None:
        """Take one scene, in the order of frames.

        Raises:
            OutputError: it cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish and give back what is held; a second call does nothing.

        Raises:
            OutputError: the last of it cannot be written.
        """


class StreamClock:
    """When a frame was taken, counted from the first one that was asked about."""

    def __init__(self) -> None:
        self._first: Frame | None = None

    def since_first_ns(self, frame: Frame) -> int:
        """By the source's own time stamps, where it has them; else by the clock that read it."""
        first = self._first = self._first or frame
        if frame.stream_s is not None and first.stream_s is not None:
            return round((frame.stream_s - first.stream_s) * 1e9)
        return frame.captured_ns - first.captured_ns


class SinkGroup(Sink):
    """Several sinks as one: each gets every scene and each is closed, whatever happens to the others.

    The first failure is raised once all have had their turn; later ones are logged.
    """

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = tuple(sinks)

    def __len__(self) -> int:
        return len(self._sinks)

    def write(self, scene: Scene) -> None:
        """Write to all, then raise the first failure."""
        _each([partial(sink.write, scene) for sink in self._sinks])

    def close(self) -> None:
        """Close all, then raise the first failure."""
        _each([sink.close for sink in self._sinks])


def _each(calls: Sequence[Callable[[], None]]) -> None:
    first: Exception | None = None
    for call in calls:
        try:
            call()
        except Exception as error:  # noqa: BLE001 (the others come first; it is raised below)
            if first is None:
                first = error
            else:
                logger.error("another sink failed too: %s", error)  # noqa: TRY400 (one line; raised is the first)
    if first is not None:
        raise first
