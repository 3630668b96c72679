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
        cameras: number of sources whose frames come.
    """

    box_classes: tuple[str, ...]
    map_classes: tuple[str, ...]
    fps: float | None = None
    cameras: int = 1

    @property
    def camera_names(self) -> tuple[str, ...]:
        """What the pictures of each camera are filed under."""
        return (
            ("camera",) if self.cameras == 1 else tuple(f"camera_{n}" for n in range(self.cameras))
        )


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
    """When a frame was taken, counted from the first one that was asked about.

    Args:
        context: number of cameras, and whether they have a rate.
    """

    def __init__(self, context: SinkContext) -> None:
        # several live cameras share no other time than that of this machine
        self._by_capture = context.cameras > 1 and context.fps is None
        self._first: tuple[int, float | None] | None = None

    def since_first_ns(self, frame: Frame) -> int:
        """By the source's own time stamps, where it has them; else by the clock that read it."""
        if self._first is None:
            self._first = (frame.captured_ns, frame.stream_s)
        first_ns, first_s = self._first
        if frame.stream_s is not None and first_s is not None and not self._by_capture:
            return round((frame.stream_s - first_s) * 1e9)
        return frame.captured_ns - first_ns


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
