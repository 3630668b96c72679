"""Measurements of engines and of the loop around them. Those here need an optional package."""

from perception.core.registry import Registry

BENCHES = Registry(
    "benchmark",
    {"loadgen": "perception.runtime.bench.loadgen:bench_loadgen"},
    extras={"loadgen": "loadgen"},
)
