"""The simulated clock: which result is in hand when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.errors import ConfigError
from perception.metrics.streaming import NONE, Latency, results_in_hand


def fixed(*seconds):
    return Latency("test", np.array(seconds, float))


@pytest.mark.parametrize(
    ("latency_s", "expected"),
    [
        pytest.param(0.0, [0, 1, 2, 3, 4, 5], id="no time: always the frame itself"),
        pytest.param(1.0, [NONE, 0, 1, 2, 3, 4], id="exactly one frame late"),
        pytest.param(1.5, [NONE, NONE, 0, 1, 1, 3], id="done between frames"),
        pytest.param(2.5, [NONE, NONE, NONE, 0, 0, 2], id="frame 1 is dropped for frame 2"),
        pytest.param(9.0, [NONE] * 6, id="never in time"),
    ],
)
def test_the_newest_finished_result_is_in_hand(latency_s, expected):
    assert results_in_hand(np.arange(6.0), fixed(latency_s)).tolist() == expected


def slow_reference(moments_s, spent_s):
    """Step by step in ticks: the worker takes the newest waiting frame when it is free."""
    in_hand, done, busy_until, working, seen = [], NONE, None, None, -1
    for tick in range(int(moments_s[-1]) + 1):
        if busy_until is not None and tick >= busy_until:
            done, busy_until = working, None
        newest = max((i for i, at in enumerate(moments_s) if at <= tick), default=-1)
        if busy_until is None and newest > seen:
            working = seen = newest
            busy_until = tick + spent_s
        in_hand += [done] * sum(at == tick for at in moments_s)
    return in_hand


@given(gaps=st.lists(st.integers(1, 9), min_size=1, max_size=20), spent_s=st.integers(1, 20))
def test_it_is_the_loop_ticked_through(gaps, spent_s):
    moments = np.cumsum(gaps).astype(float)
    got = results_in_hand(moments, fixed(spent_s)).tolist()
    assert got == slow_reference(moments.tolist(), spent_s)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=5))
def test_no_result_is_of_the_future_and_they_never_get_older(seconds):
    in_hand = results_in_hand(np.arange(30.0), fixed(*seconds))
    assert (in_hand <= np.arange(30)).all()
    assert (np.diff(in_hand) >= 0).all()


@pytest.mark.parametrize("seconds", [(), (-1.0,), (float("nan"),)])
def test_an_impossible_latency_is_refused(seconds):
    with pytest.raises(ConfigError, match="expected one or more times of 0 s or more"):
        fixed(*seconds)
