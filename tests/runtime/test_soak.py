"""What takes minutes: `make soak`."""

import pytest

from perception.runtime.bench.loop import BenchConfig, bench_live

INTERVAL_MS = 1000 / 30


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "size", ["320x192", "1248x384"], ids=["about as fast as the source", "slower than the source"]
)
def test_live_results_do_not_grow_older(size):
    account = bench_live(BenchConfig(source="demo", size=size, fps=30.0, duration_s=90.0))
    assert account["waiting_ms"]["p50"] <= 0.75 * INTERVAL_MS
    assert account["drift_ms"] <= 0.25 * INTERVAL_MS
    assert account["frames"] + account["dropped"] >= 0.95 * 30 * 90
