"""How one thread hands items to the next: `Newest` for live sources, `Bounded` for recordings. Every wait has a limit.

Each camera has a lane of its own, so that none takes the place of another: the reader goes round the lanes that have something.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

from perception.core.errors import RunError

T = TypeVar("T")

# A waiting thread looks up this often even if nobody wakes it: a lost wake-up costs a moment, not the run.
LOOK_UP_S = 0.5


class HandOver(ABC, Generic[T]):
    """Lanes side by side and one reader, who gets the next item of the lane that was served longest ago.

    A lane has one writer, who ends it, with an error if there is one; a writer may have all lanes. The reader may cancel all.

    Args:
        lanes: number of lanes.

    Attributes:
        dropped: items that were replaced before the reader took them.
    """

    def __init__(self, lanes: int = 1) -> None:
        self._changed = threading.Condition()
        self._lanes: list[deque[T]] = [deque() for _ in range(lanes)]
        self._turns = list(range(lanes))  # the lane that was served longest ago comes first
        self._open = set(self._turns)
        self._cancelled = False
        self._failed: Collection[int] = ()  # lanes that ended with the error
        self._error: BaseException | None = None
        self.dropped = 0

    @abstractmethod
    def _admit(self, items: deque[T], item: T) -> None:
        """Take the item into its lane, or wait until there is room; called with the lock held, ends at once when cancelled."""

    def put(self, item: T, lane: int = 0) -> bool:
        """Hand over an item; ``False`` says that the reader wants no more."""
        with self._changed:
            self._admit(self._lanes[lane], item)
            self._changed.notify_all()
            return not self._cancelled

    def get(self, limit_s: float) -> T | None:
        """The next item; ``None`` when every lane has ended and everything was taken.

        Raises:
            RunError: nothing came within `limit_s` seconds.
            BaseException: with which a writer ended, after everything in its lanes before it was taken.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            while (lane := self._next_lane()) is None:
                if not self._open or self._cancelled:
                    return None
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise RunError(
                        f"nothing came for {limit_s:g} s: a stage hangs or the source is silent"
                    )
                self._changed.wait(min(left_s, LOOK_UP_S))
            self._turns.remove(lane)
            self._turns.append(lane)
            item = self._lanes[lane].popleft()
            self._changed.notify_all()
            return item

    def _next_lane(self) -> int | None:
        """The lane whose turn it is; ``None`` where nothing waits. Raises the error of lanes that are taken empty."""
        if self._error is not None and not any(self._lanes[lane] for lane in self._failed):
            raise self._error
        return next((lane for lane in self._turns if self._lanes[lane]), None)

    def end(self, error: BaseException | None = None, lane: int | None = None) -> None:
        """Nothing more will be put into a lane, or into any; with `error`, the reader gets it after the items."""
        ending = range(len(self._lanes)) if lane is None else (lane,)
        with self._changed:
            self._open.difference_update(ending)
            if error is not None and self._error is None:
                self._error, self._failed = error, ending
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nothing more will be taken: the writers are freed, and what waits is thrown away."""
        with self._changed:
            self._cancelled = True
            for items in self._lanes:
                items.clear()
            self._changed.notify_all()


class Newest(HandOver[T]):
    """One slot a lane, in which a newer item replaces an older one. The writer never waits."""

    def _admit(self, items: deque[T], item: T) -> None:
        if self._cancelled:
            return
        if items:
            items.clear()
            self.dropped += 1
        items.append(item)


class Bounded(HandOver[T]):
    """A queue of at most `capacity` items a lane. The writer waits for room; nothing is lost."""

    def __init__(self, capacity: int, lanes: int = 1) -> None:
        super().__init__(lanes)
        self._capacity = capacity

    def _admit(self, items: deque[T], item: T) -> None:
        while len(items) >= self._capacity and not self._cancelled:
            self._changed.wait(LOOK_UP_S)
        if not self._cancelled:
            items.append(item)
