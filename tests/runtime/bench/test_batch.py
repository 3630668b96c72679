"""Batches against single frames: the same frames in both, and what has no batches is refused."""

import json

import pytest

from perception.core.errors import ConfigError
from perception.runtime.bench.batch import bench_batch


@pytest.fixture
def bench(tiny_engine):
    def call(**changes):
        fields = {"backend": "onnxruntime", "precision": "", "size": "64x32", "frames": 3}
        return bench_batch(tiny_engine, **{**fields, "pairs": 4, "threads": 1, **changes})

    return call


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_batch_and_its_frames_one_by_one_are_both_timed(bench, backend):
    found = bench(backend=backend)
    assert (found["frames"], found["n"], found["threads"]) == (3, 4, 1)
    assert found["batched_ms"] > 0
    assert found["single_ms"] > 0
    assert found["share_low"] <= found["share"] <= found["share_high"]
    json.dumps(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"frames": 1}, "at least 2 frames", id="one frame"),
        pytest.param({"pairs": 0}, "1 pair", id="no pair"),
        pytest.param({"backend": "tensorrt"}, "a plan is built for one frame", id="plan"),
    ],
)
def test_what_is_no_comparison_is_refused(bench, changes, message):
    with pytest.raises(ConfigError, match=message):
        bench(**changes)
