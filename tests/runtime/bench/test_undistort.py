"""What undoing a lens costs: the account, and what is refused. The times themselves are for the bench."""

from dataclasses import replace

import pytest

from perception.core.errors import ConfigError, InputError
from perception.runtime.bench.undistort import USUAL, bench_undistort


@pytest.mark.parametrize(
    ("model_wh", "fits"),
    [((640, 384), 1), ((320, 192), 2), ((1280, 736), 0)],
    ids=["half", "quarter", "as-it-is"],
)
def test_a_lens_is_undone_without_another_resampling(model_wh, fits):
    found = bench_undistort(USUAL, (1280, 720), model_wh, 1)
    # a frame that fits as it is, is copied; through a lens it has to be resampled once
    passes = {"plain": fits, "undistorted": max(fits, 1), "separately": fits + 1}
    assert found["resamplings"] == passes
    for key in ("over_plain", "over_separate", "map_over_plain"):
        assert found[key]["n"] == 1
        assert found[key]["low"] <= found[key]["ratio"] <= found[key]["high"]
    assert 0 < found["unseen_share"] < 0.2


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ConfigError, match="a lens that bends"):
        bench_undistort(replace(USUAL, distortion=()), (1280, 720), (640, 384), 3)
    with pytest.raises(ConfigError, match="at least 1 pair"):
        bench_undistort(USUAL, (1280, 720), (640, 384), 0)
    with pytest.raises(InputError, match="another shape"):
        bench_undistort(USUAL, (1280, 1024), (640, 384), 1)
