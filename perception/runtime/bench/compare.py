"""Two ways to do one thing, timed in turn in one run: the only comparison that holds on a machine whose speed drifts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from perception.backends import open_backend
from perception.core.geometry import parse_size
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.types import Float64

RESAMPLES = 2000
WARMUP_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `first` costs against `second`; differences are taken pair by pair.

    Attributes:
        n: pairs.
        first_ms, second_ms: median duration.
        difference_ms: median of first minus second.
        share: `difference_ms` over `second_ms`.
        share_low, share_high: 95 % interval of `share`, by bootstrap over pairs.
    """

    n: int
    first_ms: float
    second_ms: float
    difference_ms: float
    share: float
    share_low: float
    share_high: float


def compare(first: Callable[[], object], second: Callable[[], object], pairs: int) -> Comparison:
    """Call both in turn, the order swapped from pair to pair, after a short warm-up.

    Args:
        first: without arguments; it has finished when it returns.
        second: the same.
        pairs: how many durations of each.
    """
    times = np.empty((pairs, 2))
    for pair in range(-WARMUP_ROUNDS, pairs):
        order = ((0, first), (1, second)) if pair % 2 else ((1, second), (0, first))
        for column, call in order:
            started_ns = time.monotonic_ns()
            call()
            if pair >= 0:
                times[pair, column] = (time.monotonic_ns() - started_ns) / 1e6
    return summarise(times)


def summarise(times_ms: Float64) -> Comparison:
    """The comparison of ``float64[n, 2]`` durations, first and second."""
    n = len(times_ms)
    rng = np.random.default_rng(0)
    difference, second = times_ms[:, 0] - times_ms[:, 1], times_ms[:, 1]
    chosen = rng.integers(0, n, (RESAMPLES, n))
    shares = np.median(difference[chosen], axis=1) / np.median(second[chosen], axis=1)
    low, high = np.percentile(shares, (2.5, 97.5))
    return Comparison(
        n=n,
        first_ms=float(np.median(times_ms[:, 0])),
        second_ms=float(np.median(second)),
        difference_ms=float(np.median(difference)),
        share=float(np.median(difference) / np.median(second)),
        share_low=float(low),
        share_high=float(high),
    )


def compare_engines(
    first: Engine,
    second: Engine,
    pairs: int,
    *,
    backend: str,
    precision: str,
    size: str,
    threads: int | None = None,
) -> Comparison:
    """The inference of two engines on the same random frame of one size."""
    width, height = parse_size(size)
    feed = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    feeds = {GRAPH_INPUT: feed}
    opening = partial(
        open_backend, backend, size_wh=(width, height), precision=precision, threads=threads
    )
    with opening(first) as one, opening(second) as other:
        return compare(lambda: one.infer(feeds), lambda: other.infer(feeds), pairs)
