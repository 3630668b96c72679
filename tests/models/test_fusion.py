"""A laser scanner as a second input: it helps where the camera cannot tell, and the network does without it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from perception.core.camera import Camera
from perception.core.errors import ConfigError
from perception.datasets import Sample
from perception.datasets.lidar import HIGHEST_DEG, LOWEST_DEG, REACH_M, RINGS, thin_to_lidar
from perception.models.config import GraphConfig, ModelConfig
from perception.models.fusion import FUSIONS, as_planes, density, mean_measured
from perception.models.graph import InferenceGraph
from perception.models.multitask import MultiTaskModel, wanted_labels
from perception.training.inference import run_on_sample

CAMERA = Camera(width_px=640, height_px=384, fx_px=400.0, fy_px=400.0, cx_px=320.0, cy_px=192.0)
SMALL = ModelConfig(backbone="lean_resnet", pretrained=False, neck_channels=8)


def wall(distance_m=20.0):
    return np.full((CAMERA.height_px, CAMERA.width_px), distance_m, np.float32)


def test_a_scan_is_rings_of_true_depths_and_nothing_between():
    scan = thin_to_lidar(wall(), CAMERA, seed=0)
    hit = np.isfinite(scan)
    assert 0.02 < hit.mean() < 0.2
    assert scan[hit] == pytest.approx(20.0, abs=0.15)
    rows = np.flatnonzero(hit[:, 320])
    elevation = np.degrees(np.arctan((CAMERA.cy_px - rows - 0.5) / CAMERA.fy_px))
    assert elevation.max() == pytest.approx(HIGHEST_DEG, abs=0.3)
    # the picture ends at -25.6 degrees, the scanner before that
    assert elevation.min() == pytest.approx(LOWEST_DEG, abs=0.6)
    assert len(rows) > 0.85 * RINGS
    np.testing.assert_array_equal(scan, thin_to_lidar(wall(), CAMERA, seed=0))


def test_a_scan_reaches_so_far_and_sees_no_sky():
    assert not np.isfinite(thin_to_lidar(wall(REACH_M + 5), CAMERA, seed=0)).any()
    assert not np.isfinite(thin_to_lidar(wall(0.0), CAMERA, seed=0)).any()


def test_a_camera_that_looks_down_has_the_rings_higher_in_its_picture():
    def middle(camera):
        return np.flatnonzero(np.isfinite(thin_to_lidar(wall(), camera, seed=0)).any(axis=1)).min()

    down = replace(CAMERA, pitch_deg=-5.0)
    moved = CAMERA.fy_px * np.tan(np.radians(5.0))
    assert middle(CAMERA) - middle(down) == pytest.approx(moved, abs=3)


def test_density_is_px_a_metre_and_zero_where_nothing_was_measured():
    scan = torch.tensor([[[10.0, torch.nan]], [[10.0, 20.0]]])
    found = density(scan, torch.tensor([400.0, torch.nan]))
    assert found.tolist() == [[[40.0, 0.0]], [[0.0, 0.0]]]


def test_empty_pixels_of_a_cell_do_not_dilute_what_was_measured_there():
    lidar = torch.zeros(1, 8, 8)
    lidar[0, 0, 1], lidar[0, 3, 3], lidar[0, 5, 6] = 10.0, 30.0, 50.0
    planes = as_planes(lidar)
    value, measured = mean_measured(planes, 4)[0]
    assert measured.tolist() == [[1, 0], [0, 1]]
    both = planes[0, 0, 0, 1] + planes[0, 0, 3, 3]
    assert value[0, 0].item() == pytest.approx(both.item() / 2, rel=1e-4)
    assert value[1, 1].item() == pytest.approx(planes[0, 0, 5, 6].item(), rel=1e-4)
    assert value[0, 1] == value[1, 0] == 0


@pytest.mark.parametrize("name", list(FUSIONS))
def test_before_training_a_scan_changes_nothing_and_after_it_tells_what_the_picture_cannot(name):
    torch.manual_seed(0)
    model = MultiTaskModel(replace(SMALL, fusion=name, task="segmentation"))
    frame = torch.randint(256, (1, 64, 64, 3), dtype=torch.uint8).expand(4, -1, -1, -1)
    lidar = torch.zeros(4, 64, 64)
    lidar[1, :, ::2], lidar[3, :, ::2] = 40.0, 40.0
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            model(frame, lidar).class_logits, model(frame).class_logits, rtol=0, atol=0
        )
    model.train()
    wanted = torch.tensor([0, 3, 0, 3])[:, None, None].expand(-1, 8, 8)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(80):
        cost = torch.nn.functional.cross_entropy(model(frame, lidar).class_logits, wanted)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    assert cost < 0.05


def test_the_network_works_without_a_scan_and_the_graph_can_be_told_to():
    torch.manual_seed(0)
    network = MultiTaskModel(replace(SMALL, fusion="mid")).eval()
    for conv in network.fusion.give:
        torch.nn.init.normal_(conv.weight)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    camera = replace(CAMERA, width_px=96, height_px=64)
    scan = np.full((64, 96), np.nan, np.float32)
    scan[30:, ::3] = 12.0
    with_scan = Sample("a", image, None, None, camera, {"lidar_m": scan})
    without = Sample("b", image, None, None, camera)
    config = GraphConfig(candidates=8, max_detections=4)

    def scores(sample, **changes):
        graph = InferenceGraph(network, replace(config, **changes)).eval()
        return run_on_sample(graph, sample).detections.scores

    np.testing.assert_array_equal(scores(with_scan, lidar=False), scores(without))
    assert not np.array_equal(scores(with_scan), scores(without))


def test_a_network_asks_for_what_it_reads():
    assert wanted_labels(SMALL) == frozenset()
    assert wanted_labels(replace(SMALL, fusion="early", further=("depth",))) == {"lidar_m", "depth_m"}  # fmt: skip
    with pytest.raises(ConfigError, match=r"unknown fusion 'late'; .*early"):
        MultiTaskModel(replace(SMALL, fusion="late"))
