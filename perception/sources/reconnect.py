"""Cameras and streams as they are on the road: they vanish and come back, and they freeze."""

import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from perception.core.errors import InputError
from perception.core.types import Frame
from perception.sources.base import Picture, Source

logger = logging.getLogger(__name__)

PATIENCE_S = 30.0  # a source that is away for longer has ended
FIRST_PAUSE_S, LONGEST_PAUSE_S = (
    0.25,
    4.0,
)  # between two attempts; each pause is twice the one before
FROZEN_S = 1.0  # a living camera's noise changes every picture; one that does not change for so long is frozen
ROW_STEP = 16  # rows of a picture that are compared


class ReconnectingSource(Source):
    """A live source that is opened again when it is lost, and watched for freezing.

    Args:
        first: the source, opened; closed with this one. A source that cannot be opened at all is an error of its own, no loss.
        open_again: called after each loss.
        patience_s: how long to try; 0: a loss is the end.

    Raises:
        InputError: while iterating: it was lost and did not come back.
    """

    def __init__(
        self, first: Source, open_again: Callable[[], Source], patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__(first.name)
        self._current = first
        self._open_again = open_again
        self.patience_s = patience_s
        self._stamps = _Stamps()
        self._watch = FreezeWatch(self.name)
        self._of_lost: Counter[str] = Counter()  # events of those that were lost
        self._reconnects = self._resized = 0
        self.live = self._current.live
        self.fps = self._current.fps
        self.size_wh = self._current.size_wh

    @property
    def events(self) -> Mapping[str, int]:
        """How often it came back, froze, or changed its size, and what the source itself counts."""
        own = {
            "reconnects": self._reconnects,
            "frozen": self._watch.times,
            "resized": self._resized,
        }
        its = Counter(self._of_lost)
        its.update(self._current.events)
        return {**own, **its}

    def _pictures(self) -> Iterator[Picture]:
        while True:
            reason = "it ended"
            try:
                for frame in self._current:
                    stream_s = self._stamps.of(frame)
                    self._watch.look(frame)
                    if frame.size_wh != self.size_wh:
                        self._resized += 1
                        logger.warning("%s: its pictures are %dx%d now", self.name, *frame.size_wh)
                    yield Picture(frame.image, frame.captured_ns, stream_s, frame.truth)
            except InputError as error:
                reason = str(error)
            else:
                if not self._current.endless:
                    return
            if self._stopping.is_set():
                return
            self._reopen(reason)
            self._stamps.begin_anew()

    def _reopen(self, reason: str) -> None:
        """Try until it is there again, it is told to stop, or patience is over."""
        logger.warning("%s: lost: %s; trying again for %g s", self.name, reason, self.patience_s)
        self._current.close()
        lost_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while time.monotonic() - lost_s < self.patience_s and not self._stopping.wait(pause_s):
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                again = self._open_again()
            except InputError as error:
                logger.info("%s", error)
                continue
            self._of_lost.update(self._current.events)
            self._current = again
            if self._stopping.is_set():  # told so while it was opening: it has not heard of it
                self._current.stop()
            self._reconnects += 1
            logger.warning("%s: back after %.1f s", self.name, time.monotonic() - lost_s)
            return
        if not self._stopping.is_set():
            raise InputError(
                f"{self.name}: lost and not back within {self.patience_s:g} s: {reason}; results so far are kept"
            )

    def stop(self) -> None:
        """Stop the source itself too."""
        super().stop()
        self._current.stop()

    def close(self) -> None:
        """Close the source itself too."""
        super().close()
        self._current.close()


class _Stamps:
    """Time stamps of a source that began them anew at each connection: after a loss they go on by the time that passed."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._last: tuple[float, int] | None = None  # time stamp and capture of the frame before
        self._anew = False

    def begin_anew(self) -> None:
        """The next frame is of another connection."""
        self._anew = True

    def of(self, frame: Frame) -> float | None:
        """The time stamp of a frame; ``None`` where it has none."""
        if frame.stream_s is None:
            return None
        if self._anew and self._last is not None:
            last_s, last_ns = self._last
            passed_s = (frame.captured_ns - last_ns) / 1e9
            self._offset_s = last_s + passed_s - frame.stream_s
        self._anew = False
        stream_s = frame.stream_s + self._offset_s
        self._last = (stream_s, frame.captured_ns)
        return stream_s


class FreezeWatch:
    """Notices a camera that sends the same picture again and again.

    Args:
        name: of the source, for the message.

    Attributes:
        times: that it froze.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._checksum: int | None = None
        self._since_ns = 0
        self._frozen = False
        self.times = 0

    def look(self, frame: Frame) -> None:
        """Compare a frame with the one before it."""
        checksum = zlib.crc32(frame.image[::ROW_STEP].tobytes())
        if checksum != self._checksum:
            if self._frozen:
                logger.warning("%s: its pictures change again", self._name)
            self._checksum, self._since_ns, self._frozen = checksum, frame.captured_ns, False
        elif not self._frozen and frame.captured_ns - self._since_ns >= FROZEN_S * 1e9:
            self._frozen = True
            self.times += 1
            logger.warning("%s: frozen: the same picture for %g s", self._name, FROZEN_S)
