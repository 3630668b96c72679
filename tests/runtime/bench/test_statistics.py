"""Intervals cover what they say, queueing is counted, and noise alone is not told as a change."""

import math

import numpy as np
import pytest

from perception.runtime.bench.statistics import (
    due_ns,
    judge,
    late_queries,
    latencies_ms,
    needed,
    quantile_interval,
    ratio_interval,
    summarise_latency,
)

SEEDS = 200


def binomial_cdf(n, p, k):
    """Slow and exact."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize(
    ("n", "quantile"), [(6, 0.5), (20, 0.5), (101, 0.5), (60, 0.9), (400, 0.99)]
)
def test_the_ends_of_an_interval_are_the_tightest_ranks_of_the_binomial(n, quantile):
    low, high = (int(end) for end in quantile_interval(np.arange(1.0, n + 1), quantile))
    assert binomial_cdf(n, quantile, low - 1) <= 0.025 < binomial_cdf(n, quantile, low)
    assert binomial_cdf(n, quantile, high - 2) < 0.975 <= binomial_cdf(n, quantile, high - 1)


@pytest.mark.parametrize(("n", "quantile"), [(5, 0.5), (367, 0.99)])
def test_too_few_values_have_no_interval(n, quantile):
    assert quantile_interval(np.arange(float(n)), quantile) is None


def test_the_interval_of_a_median_covers_it_in_95_percent_of_samples():
    samples = np.sort(np.random.default_rng(0).lognormal(0.0, 0.5, (2000, 50)), axis=1)
    ends = np.array([quantile_interval(sample, 0.5) for sample in samples])
    assert 0.94 < np.mean((ends[:, 0] <= 1.0) & (ends[:, 1] >= 1.0)) < 0.99


def test_a_percentile_that_n_is_too_small_for_is_none_and_says_what_it_needs():
    found = summarise_latency(np.arange(1.0, 101.0))
    assert (found["n"], found["min"], found["max"], found["p50"]) == (100, 1.0, 100.0, 50.5)
    assert found["p95"] == pytest.approx(95.05)
    assert (found["p99"], found["p99.9"]) == (None, None)
    assert found["needs_n"] == {"p99": needed(0.99), "p99.9": needed(0.999)}
    assert 0.99 ** needed(0.99) <= 0.025 < 0.99 ** (needed(0.99) - 1)


def test_latency_counts_from_when_a_query_was_due():
    due = due_ns(4, 100.0)
    finished = np.array([5, 30, 32, 34]) * 1_000_000
    assert due.tolist() == [0, 10_000_000, 20_000_000, 30_000_000]
    assert latencies_ms(due, finished).tolist() == [5.0, 20.0, 12.0, 4.0]
    assert late_queries(due, finished) == 2  # the third and the fourth


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.04, 1.2), "worse"),
        ((1.02, 1.2), "same"),
        ((0.5, 0.98), "same"),
        ((0.5, 0.96), "better"),
        ((0.9, 1.1), "same"),
    ],
)
def test_only_an_interval_wholly_beyond_the_tolerance_is_a_change(interval, verdict):
    assert judge(interval, 0.03) == verdict


def noisy_blocks(luck, factor):
    """Medians of 20 blocks, as a machine gives them: each block depends on the one before, the whole run has a mood, some stall."""
    moods = np.zeros(20)
    for i in range(20):
        moods[i] = 0.5 * (moods[i - 1] if i else 0.0) + luck.normal(0, 0.015)
    stalls = np.where(luck.random(20) < 0.05, luck.uniform(0.1, 0.5, 20), 0.0)
    return 20.0 * factor * (1 + luck.normal(0, 0.005)) * (1 + moods + stalls)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.1, "worse"), (1.0, "same"), (1 / 1.1, "better")]
)
def test_a_tenth_is_told_from_noise_in_95_of_100_runs(factor, verdict):
    right = 0
    for seed in range(SEEDS):
        luck = np.random.default_rng(seed)
        _, interval = ratio_interval(noisy_blocks(luck, 1.0), noisy_blocks(luck, factor))
        right += judge(interval, 0.03) == verdict
    assert right >= 0.95 * SEEDS
