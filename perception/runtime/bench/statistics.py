"""Statistics of latencies: percentiles with intervals, what queueing adds, ratios of runs. Pure functions of arrays.

Sources:
    Intervals of percentiles: Hahn, Meeker, "Statistical Intervals", 1991, section 5.2: order statistics, whose ranks are binomial
    whatever the distribution. They take queries as independent; neighbours are not, so they tell of the sample, and runs are
    compared by blocks instead.
    Ratios of runs: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.3, over block medians.
"""

from typing import Any, Literal

import numpy as np

from perception.core.timing import NS_PER_MS
from perception.core.types import Float64, Int64

PERCENTS = (90.0, 95.0, 99.0, 99.9)
TAIL = 0.025  # left out at each end of a 95 % interval
RESAMPLES = 2000

Interval = tuple[float, float]
Verdict = Literal["better", "same", "worse"]


def summarise_latency(times_ms: Float64) -> dict[str, Any]:
    """The distribution of ``float64[n]`` latencies, n at least 1, ms.

    Returns:
        ``n``, ``min``, ``mean``, ``p50``, ``p90``, ``p95``, ``p99``, ``p99.9``, ``max``; ``p50_interval``, 95 %. A percentile
        that n is too small for is ``None``, and ``needs_n`` tells by its name from how many on it is given.
    """
    ordered = np.sort(times_ms)
    limits = quantile_interval(ordered, 0.5)
    given = {f"p{percent:g}": _tail_quantile(ordered, percent / 100) for percent in PERCENTS}
    return {
        "n": len(ordered),
        "min": float(ordered[0]),
        "mean": float(ordered.mean()),
        "p50": float(np.median(ordered)),
        "p50_interval": None if limits is None else list(limits),
        **given,
        "max": float(ordered[-1]),
        "needs_n": {
            f"p{percent:g}": needed(percent / 100)
            for percent in PERCENTS
            if given[f"p{percent:g}"] is None
        },
    }


def needed(quantile: float) -> int:
    """The fewest values whose largest lies above a quantile in 97.5 % of samples; with fewer it has no upper limit."""
    return int(np.ceil(np.log(TAIL) / np.log(quantile)))


def quantile_interval(ordered: Float64, quantile: float) -> Interval | None:
    """95 % interval of a quantile in (0, 1), from values in ascending order; ``None`` where they are too few.

    Its ends are the values of ranks l and u: the largest l with P(B < l) <= 2.5 % and the smallest u with P(B < u) >= 97.5 %,
    for B of the binomial distribution of n and `quantile`.
    """
    n = len(ordered)
    below = _binomial_below(n, quantile)
    low = int(np.searchsorted(below, TAIL, side="right")) - 1
    high = int(np.searchsorted(below, 1 - TAIL, side="left"))
    if low < 1 or high > n:
        return None
    return float(ordered[low - 1]), float(ordered[high - 1])


def due_ns(count: int, fps: float) -> Int64:
    """``int64[count]``: when queries at a fixed rate are due, ns after the first."""
    due: Int64 = np.rint(np.arange(count) * (1e9 / fps)).astype(np.int64)
    return due


def late_queries(due: Int64, finished: Int64) -> int:
    """How many of ``int64[n]`` queries could not start when they were due, for the one before had not finished."""
    return int(np.count_nonzero(finished[:-1] > due[1:]))


def latencies_ms(due: Int64, finished: Int64) -> Float64:
    """``float64[n]``: from when a query was due, so that waiting counts (no coordinated omission)."""
    return np.asarray((finished - due) / NS_PER_MS)


def ratio_interval(before: Float64, after: Float64) -> tuple[float, Interval]:
    """Ratio of the medians, after to before, and its 95 % interval by bootstrap over blocks.

    Args:
        before: ``float64[a]``, the median of each block of one run.
        after: ``float64[b]``, of another, not paired with the first.
    """
    luck = np.random.default_rng(0)
    drawn = [
        np.median(blocks[luck.integers(0, len(blocks), (RESAMPLES, len(blocks)))], axis=1)
        for blocks in (before, after)
    ]
    low, high = np.percentile(drawn[1] / drawn[0], (100 * TAIL, 100 * (1 - TAIL)))
    return float(np.median(after) / np.median(before)), (float(low), float(high))


def judge(interval: Interval, tolerance: float) -> Verdict:
    """What an interval of a ratio of latencies says: it must lie wholly beyond the tolerance, for either word but ``same``."""
    low, high = interval
    if low > 1 + tolerance:
        return "worse"
    return "better" if high < 1 / (1 + tolerance) else "same"


def _tail_quantile(ordered: Float64, quantile: float) -> float | None:
    return float(np.quantile(ordered, quantile)) if len(ordered) >= needed(quantile) else None


def _binomial_below(n: int, p: float) -> Float64:
    """``float64[n + 2]``: P(B < k) for k = 0 to n + 1; by logarithms, which do not underflow."""
    k = np.arange(1, n + 1)
    steps = np.log(n - k + 1) - np.log(k) + np.log(p) - np.log1p(-p)
    mass = np.exp(n * np.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)]))
    return np.concatenate([[0.0], np.cumsum(mass)])
