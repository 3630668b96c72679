"""The newest of a run, between the loop, which never waits, and the pages that look at it."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from perception.core.timing import FrameTiming, LatencyReport
from perception.core.types import Scene

KEPT = 600  # timings that a page which comes late or is slow still gets


@dataclass(frozen=True, slots=True)
class News:
    """One finished frame.

    Attributes:
        number: it rises by one with each frame of the run.
        scene: what was seen in it.
        timing: what it cost.
        finished, dropped: frames of the run so far, of all cameras.
    """

    number: int
    scene: Scene
    timing: FrameTiming
    finished: int
    dropped: int


class NewsBoard:
    """Holds the newest frame of each camera and the timings of the last `KEPT`; safe between threads.

    Attributes:
        ended: whether the run has.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._newest: dict[int, News] = {}  # by camera
        self._timings: deque[tuple[int, FrameTiming]] = deque(maxlen=KEPT)
        self._readers: set[Callable[[], None]] = set()
        self._number = 0
        self.ended = False

    def put(self, scene: Scene, timing: FrameTiming, report: LatencyReport) -> None:
        """Pin up a finished frame and wake the readers."""
        with self._lock:
            self._number += 1
            news = News(self._number, scene, timing, report.finished, report.dropped)
            self._newest[scene.frame.camera] = news
            self._timings.append((self._number, timing))
        self._wake()

    def end(self, limit_s: float) -> None:
        """Nothing more will come; wait until the readers know and have left, but no longer than `limit_s` seconds."""
        self.ended = True
        self._wake()
        with self._left:
            self._left.wait_for(lambda: not self._readers, limit_s)

    def newest(self, camera: int | None) -> News | None:
        """The newest frame of a camera, or of any; ``None`` where there is none yet."""
        with self._lock:
            if camera is not None:
                return self._newest.get(camera)
            return max(self._newest.values(), key=lambda news: news.number, default=None)

    def timings(self, after: int, until: int) -> list[FrameTiming]:
        """Of the frames with numbers behind `after`, up to `until`, as far as they are kept."""
        with self._lock:
            return [timing for number, timing in self._timings if after < number <= until]

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, from the loop's thread, whenever something changes."""
        with self._lock:
            self._readers.add(wake)

    def unsubscribe(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._readers.discard(wake)
            self._left.notify_all()

    def _wake(self) -> None:
        with self._lock:
            readers = tuple(self._readers)
        for wake in readers:
            wake()
