"""What a frame takes, variant by variant: from a calibration, and kept up to date by every frame that was run.

A variant takes its typical time x the level, how slow the machine is just now, plus an excess. Level and excess are shared by all variants, so a frame of
one tells of the others too. The excess comes from interruptions, which strike at random: it grows as the root of the time.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from perception.runtime.budget.policy import Variant

WINDOW = 60  # frames: two seconds at 30 a second, after which a load that has ended is forgotten
# Of them the newest: half of these make a new level. An even number: of two variants in turn, the level lies between both.
LEVEL_WINDOW = 16
# Of the window, the second largest counts: the next frame of a steady machine lies above it in 2 of 61 cases, which leaves room below 5 % for
# the frames in which a machine that gets slower is noticed.
LARGEST = 2
FORGOTTEN = 3  # calibrated times that each frame replaces: what disturbed the calibration is over after a second
DRIFT = 0.05  # share by which a typical time moves towards what is seen, against those of the other variants


class RunningCosts:
    """The running estimate. May be asked and told from several threads.

    Args:
        calibrated_ms: times of every variant, one or more each, ms, in rounds: the n-th of all variants were taken in turn.

    Raises:
        ValueError: a variant without times.
    """

    def __init__(self, calibrated_ms: Mapping[Variant, Sequence[float]]) -> None:
        self._lock = threading.Lock()
        self._typical_ms = {v: float(np.median(times)) for v, times in calibrated_ms.items()}
        if not all(np.isfinite(ms) and ms > 0 for ms in self._typical_ms.values()):
            raise ValueError(f"costs: expected times above 0 of every variant, got {calibrated_ms}")
        self._seen: deque[tuple[float, float]] = deque(maxlen=WINDOW)  # typical and spent, ms
        for row in zip(*calibrated_ms.values(), strict=True):
            self._seen.extend(zip(self._typical_ms.values(), row, strict=True))
        self._calibrated = len(self._seen)  # of those seen, the oldest
        self._update()

    def observe(self, variant: Variant, spent_ms: float) -> None:
        """Take note of a frame that was run."""
        with self._lock:
            typical_ms = self._typical_ms[variant]
            for _ in range(min(FORGOTTEN, self._calibrated)):
                self._seen.popleft()
                self._calibrated -= 1
            self._seen.append((typical_ms, spent_ms))
            self._update()
            self._typical_ms[variant] *= (spent_ms / (typical_ms * self._level)) ** DRIFT

    def typical_ms(self, variant: Variant) -> float:
        """The time that half of the frames exceed, as things stand."""
        with self._lock:
            return self._level * self._typical_ms[variant]

    def p95_ms(self, variant: Variant) -> float:
        """The time that at most one frame in twenty exceeds, as things stand."""
        with self._lock:
            typical_ms = self._typical_ms[variant]
            return self._level * typical_ms + self._excess * sqrt(typical_ms)

    def _update(self) -> None:
        typical, spent = np.array(self._seen).T
        self._level = float(np.median((spent / typical)[-LEVEL_WINDOW:]))
        excess = np.sort((spent - self._level * typical) / np.sqrt(typical))
        self._excess = float(excess[-min(LARGEST, len(excess))])
