from dataclasses import replace

import numpy as np
import pytest

from perception.render.config import DriveConfig, OpticsConfig
from perception.render.picture.light import build_light
from perception.render.picture.optics import develop

PLAIN = OpticsConfig(exposure_ms=0.0, noise=0.0)


def developed(linear, flow=None, index=0, **optics):
    config = DriveConfig(optics=replace(PLAIN, **optics))
    height, width = linear.shape[:2]
    if flow is None:
        flow = np.zeros((height, width, 2), np.float32)
    return develop(linear, flow, build_light(config, 0.0), config, index)


def grey(value, shape=(40, 60)):
    return np.full((*shape, 3), value, np.float32)


def test_more_light_is_never_darker():
    levels = [developed(grey(v))[20, 30, 1] for v in (0, 0.01, 0.05, 0.2, 0.6, 1.5, 5, 1000)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert levels[-1] >= 250


def test_corners_are_darker_than_the_middle():
    image = developed(grey(0.3))
    assert image[0, 0, 1] < image[20, 30, 1]


def test_noise_is_the_same_for_a_frame_and_changes_between_frames():
    first, again, later = (developed(grey(0.2), index=i, noise=1.0) for i in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)
    assert 0.5 < first[15:25, 20:40].std() < 8


def test_motion_blurs_along_the_flow_and_keeps_the_middle():
    linear = grey(0.02, (48, 96))
    linear[:, 48] = 0.5
    flow = np.zeros((48, 96, 2), np.float32)
    flow[..., 0] = 100
    blurred = developed(linear, flow, exposure_ms=8.0).astype(float)[24, :, 1]
    sharp = developed(linear, flow).astype(float)[24, :, 1]
    assert (blurred > 1.3 * blurred[0]).sum() > (sharp > 1.3 * sharp[0]).sum() + 4
    weight = blurred - blurred[0]
    assert (weight * np.arange(96)).sum() / weight.sum() == pytest.approx(48, abs=0.6)


def test_flow_that_is_not_known_does_no_harm():
    flow = np.full((40, 60, 2), np.nan, np.float32)
    flow[:20] = 50
    flow[0, 0] = np.inf
    assert (
        np.abs(
            developed(grey(0.3), flow, exposure_ms=6.0)[:, 5:-5].astype(int)
            - developed(grey(0.3))[:, 5:-5]
        ).max()
        <= 3
    )


def test_bright_lamps_shine_into_what_is_beside_them():
    linear = grey(0.01, (64, 64))
    linear[32, 32] = 500
    assert developed(linear)[32, 40, 1] > developed(grey(0.01, (64, 64)))[32, 40, 1]
