"""The measure of distances: what is true, and how the sigma is chosen."""

from dataclasses import replace

import numpy as np
import pytest

from perception.core.camera import Camera
from perception.datasets.distances import kitti_distances
from perception.runtime.evaluation.distance import (
    Boxes,
    choose_pitch_sigma,
    holds_interval,
    measure,
)
from perception.stages.ground.plane import DEFAULT_SIGMAS

CAMERA = Camera(width_px=1242, height_px=375, fx_px=700, fy_px=700, cx_px=620, cy_px=170, height_m=1.6)  # fmt: skip


def frames(pitch_sigma_deg, count=200):
    """Boxes at known places, seen by cameras whose pitch is not quite the file's."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        true = replace(CAMERA, pitch_deg=float(rng.normal(0, pitch_sigma_deg)))
        z_m = rng.uniform(8, 30, 1)
        x, y = true.image_points(np.stack([np.zeros(1), z_m], -1))[0]
        box = np.array([[x - 10, y - 20, x + 10, y]], np.float32)
        yield Boxes(CAMERA, box, z_m, box)


def test_a_sigma_is_chosen_with_which_the_intervals_hold():
    chosen = choose_pitch_sigma(list(frames(0.5)))
    assert chosen == pytest.approx(0.5, abs=0.15)
    _, _, held = measure(frames(0.5), replace(DEFAULT_SIGMAS, pitch_deg=chosen))
    assert held.mean() >= 0.95
    assert measure(frames(0.5), replace(DEFAULT_SIGMAS, pitch_deg=0.1))[2].mean() < 0.8


def test_objects_that_share_their_error_tell_less_of_how_often_the_interval_holds():
    sigmas = replace(DEFAULT_SIGMAS, pitch_deg=0.3)
    alone = [replace(one, drive=str(k)) for k, one in enumerate(frames(0.5))]
    together = [replace(one, drive=one.drive[:-1]) for one in alone for _ in range(5)]
    share = float(measure(alone, sigmas)[2].mean())
    (low, high), (low_shared, high_shared) = (holds_interval(b, sigmas) for b in (alone, together))
    assert low < share < high
    assert high - low == pytest.approx(2 * 1.96 * (share * (1 - share) / len(alone)) ** 0.5, rel=0.2)  # fmt: skip
    assert high_shared - low_shared > 0.8 * (high - low)  # five times the objects, no new error
    assert holds_interval(alone[:4], sigmas) is None


@pytest.mark.parametrize(
    ("yaw", "nearest_m"),
    [pytest.param(1.5707963, 18.0, id="ahead"), pytest.param(0.0, 19.2, id="across")],
)
def test_kittis_truth_is_the_nearest_lower_corner(tmp_path, yaw, nearest_m):
    cv2 = pytest.importorskip("cv2")
    for name in ("image_2", "label_2", "calib"):
        (tmp_path / "training" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "training/image_2/000000.png"), np.zeros((375, 1242, 3), np.uint8))
    (tmp_path / "training/calib/000000.txt").write_text("P2: 700 0 620 0 0 700 170 0 0 0 1 0\n")
    rows = [
        f"Car 0.00 0 0 600 170 660 230 1.5 1.6 4.0 1.0 1.6 20.0 {yaw}",
        "Car 0.40 0 0 0 170 60 230 1.5 1.6 4.0 1.0 1.6 20.0 0",
        "DontCare -1 -1 -10 0 0 10 10 -1 -1 -1 -1000 -1000 -1000 -10",
    ]
    (tmp_path / "training/label_2/000000.txt").write_text("\n".join(rows) + "\n")
    (sample,) = kitti_distances(tmp_path)
    np.testing.assert_allclose(sample.true_m, [nearest_m], atol=1e-6)
    assert sample.boxes_xyxy.tolist() == [[600, 170, 660, 230]]
