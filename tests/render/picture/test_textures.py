import numpy as np
import pytest

from perception.render.picture.looks.textures import coarse_atlas, fine_atlas, noise


@pytest.mark.parametrize("atlas", [fine_atlas, coarse_atlas])
def test_far_ground_has_less_grain_and_the_same_mean(atlas):
    along, lateral = np.meshgrid(
        np.arange(0, 60, 0.17, dtype=np.float32), np.arange(-9, 9, 0.11, dtype=np.float32)
    )
    found = [
        atlas().sample(along, lateral, np.full_like(along, np.log2(step_m))).astype(float)
        for step_m in (0.01, 0.5, 50.0)
    ]
    spread = [part[..., 0].std() for part in found]
    assert spread[0] > spread[1] > spread[2]
    np.testing.assert_allclose(found[0].mean(axis=(0, 1)), found[2].mean(axis=(0, 1)), atol=4)


@pytest.mark.parametrize("shift_m", [-32.0, 32.0, 320.0])
def test_textures_repeat_without_a_seam(shift_m):
    along = np.linspace(-40, 40, 400, dtype=np.float32)[None]
    lateral = np.full_like(along, 3.3)
    octave = np.zeros_like(along)
    here = coarse_atlas().sample(along, lateral, octave).astype(int)
    there = coarse_atlas().sample(along + np.float32(shift_m), lateral, octave).astype(int)
    assert np.abs(here - there).max() <= 2


def test_noise_has_no_mean_and_one_variance():
    field = noise(128, 40, 3, 1.0, 5)
    assert abs(float(field.mean())) < 1e-3
    assert float(field.std()) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(field, noise(128, 40, 3, 1.0, 5))
