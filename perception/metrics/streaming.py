"""Which result a vehicle has in hand at each moment, by a simulated clock: NumPy only.

Source: Li, Wang, Ramanan, "Towards Streaming Perception", 2020, arXiv 2005.10420, section 3.1: at the moment of every frame the
newest result that is finished by then is compared with the labels of that frame. Differs from it: the loop that is simulated is this project's,
which takes the newest frame whenever it is free; where no result is finished yet, the moment counts as one in which nothing was found.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from perception.core.errors import ConfigError
from perception.core.types import Float64, Int64

SEED = 0  # of latencies drawn from those measured
NONE = -1
NS = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Latency:
    """How long a frame takes from capture to result.

    Attributes:
        name: for tables.
        seconds: ``float64[n]``, n of 1 or more: drawn from at random, one a frame that is worked on.

    Raises:
        ConfigError: there is none, or one is negative or not finite.
    """

    name: str
    seconds: Float64

    def __post_init__(self) -> None:
        if not len(self.seconds) or not np.isfinite(self.seconds).all() or self.seconds.min() < 0:
            raise ConfigError(
                f"latency {self.name!r}: expected one or more times of 0 s or more, got {self.seconds!r}"
            )

    def draws(self) -> Iterator[float]:
        """One after the other, for ever; the same at every call."""
        luck = np.random.default_rng(SEED)
        while True:
            yield float(self.seconds[luck.integers(len(self.seconds))])


def results_in_hand(moments_s: Float64, latency: Latency) -> Int64:
    """The frame whose result is in hand at each moment.

    Work on one frame at a time: when it is done, on the newest frame that is there by then and was not worked on, or on the next that
    comes. Dropped frames are those never in hand.

    Args:
        moments_s: ``float64[F]``, when each frame was taken, ascending.
        latency: of the work.

    Returns:
        ``int64[F]``: index of a frame, at most that of the moment itself; `NONE` before the first result. A result finished at
        the very moment counts.
    """
    # in whole nanoseconds, so that "at the very moment" means something
    moments_ns = np.round(np.asarray(moments_s) * NS).astype(np.int64)
    finished_ns: list[int] = []
    worked_on: list[int] = []
    free_ns = int(moments_ns[0]) if len(moments_ns) else 0
    index = 0
    for spent_s in latency.draws():
        if index >= len(moments_ns):
            break
        newest = int(np.searchsorted(moments_ns, free_ns, side="right")) - 1
        index = max(index, newest)
        free_ns = max(free_ns, int(moments_ns[index])) + round(spent_s * NS)
        finished_ns.append(free_ns)
        worked_on.append(index)
        index += 1
    last = np.searchsorted(np.array(finished_ns, np.int64), moments_ns, side="right") - 1
    return np.where(last >= 0, np.array(worked_on, np.int64)[last], NONE)
