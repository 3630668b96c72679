"""How one thread hands items to the next: `Newest` for live sources, `Bounded` for recordings. Every wait has a limit."""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

from perception.core.errors import RunError

T = TypeVar("T")

# A waiting thread looks up this often even if nobody wakes it: a lost wake-up costs a moment, not the run.
LOOK_UP_S = 0.5


class HandOver(ABC, Generic[T]):
    """One writer, one reader. The writer ends it, with an error if there is one; the reader may cancel it.

    Attributes:
        dropped: items that were replaced before the reader took them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._ended = False
        self._cancelled = False
        self._error: BaseException | None = None
        self.dropped = 0

    @abstractmethod
    def _admit(self, item: T) -> None:
        """Take the item in, or wait until there is room; called with the lock held, ends at once when cancelled."""

    def put(self, item: T) -> bool:
        """Hand over an item; ``False`` says that the reader wants no more."""
        with self._changed:
            self._admit(item)
            self._changed.notify_all()
            return not self._cancelled

    def get(self, limit_s: float) -> T | None:
        """The next item; ``None`` when the writer has ended and everything was taken.

        Raises:
            RunError: nothing came within `limit_s` seconds.
            BaseException: with which the writer ended, after everything before it was taken.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            while not self._items:
                if self._error is not None:
                    raise self._error
                if self._ended or self._cancelled:
                    return None
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise RunError(
                        f"nothing came for {limit_s:g} s: a stage hangs or the source is silent"
                    )
                self._changed.wait(min(left_s, LOOK_UP_S))
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will be put; with `error`, the reader gets it after the items."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nothing more will be taken: the writer is freed, and what waits is thrown away."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()


class Newest(HandOver[T]):
    """One slot, in which a newer item replaces an older one. The writer never waits."""

    def _admit(self, item: T) -> None:
        if self._cancelled:
            return
        if self._items:
            self._items.clear()
            self.dropped += 1
        self._items.append(item)


class Bounded(HandOver[T]):
    """A queue of at most `capacity` items. The writer waits for room; nothing is lost."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def _admit(self, item: T) -> None:
        while len(self._items) >= self._capacity and not self._cancelled:
            self._changed.wait(LOOK_UP_S)
        if not self._cancelled:
            self._items.append(item)
