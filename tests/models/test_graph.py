import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.core.labels import MAP_CLASSES, ROAD
from perception.core.manifest import EVALUATION_OUTPUTS
from perception.models.config import GraphConfig, ModelConfig
from perception.models.graph import InferenceGraph, fast_nms
from perception.models.heads.detection import STRIDES, decode_cells
from perception.models.heads.segmentation import upsample_logits
from perception.models.masks import MASKS
from perception.models.masks.hard import classify_pixels
from perception.models.multitask import MultiTaskModel
from tests import reference


@given(seed=st.integers(0, 10_000), count=st.integers(1, 12), iou=st.sampled_from([0.3, 0.6]))
def test_suppression_is_that_of_pairs_looked_at_one_by_one(seed, count, iou):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 20, (count, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(1, 20, (count, 2))), axis=1).astype(
        np.float32
    )
    class_ids = rng.integers(0, 2, count)
    keep = fast_nms(torch.from_numpy(boxes)[None], torch.from_numpy(class_ids)[None], iou)
    np.testing.assert_array_equal(
        keep[0].numpy().astype(bool), reference.fast_nms(boxes, class_ids, iou)
    )


@given(seed=st.integers(0, 10_000))
def test_where_the_mask_is_false_the_next_best_class_of_the_cell_wins(seed):
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(len(MAP_CLASSES), 2, 3)).astype(np.float32)
    cells[ROAD] += 1.0  # so that road often wins
    mask = rng.random((16, 24)) > 0.5
    logits = upsample_logits(torch.from_numpy(cells)[None], 8)
    got = classify_pixels(torch.from_numpy(cells)[None], logits, torch.from_numpy(~mask)[None])
    assert got.dtype == torch.uint8
    expected = reference.class_map(logits[0].numpy(), cells, mask, ROAD)
    np.testing.assert_array_equal(got[0].numpy(), expected)


def test_a_mask_that_blocks_nothing_changes_nothing():
    cells = torch.randn(2, len(MAP_CLASSES), 2, 3)
    logits = upsample_logits(cells, 8)
    nowhere = torch.zeros(2, 16, 24, dtype=torch.bool)
    plain = MASKS["none"](GraphConfig(), 8).class_map(cells, None)
    assert torch.equal(classify_pixels(cells, logits, nowhere), plain)
    assert torch.equal(plain.long(), logits.argmax(dim=1))


def test_cells_decode_to_boxes_in_pixels():
    maps = tuple(torch.randn(1, 8, 64 // s, 96 // s) for s in STRIDES)
    cells = decode_cells(maps)
    index = 0
    for stride, raw in zip(STRIDES, maps, strict=True):
        for row in range(64 // stride):
            for column in range(96 // stride):
                expected = reference.decode_cell(
                    raw[0, :, row, column].numpy(), column, row, stride
                )
                np.testing.assert_allclose(
                    cells.boxes_xyxy[0, index].numpy(), expected, rtol=1e-4, atol=1e-3
                )
                index += 1
    assert index == cells.boxes_xyxy.shape[1]


def test_a_huge_size_prediction_stays_finite():
    maps = tuple(torch.full((1, 8, 64 // s, 64 // s), 1e4) for s in STRIDES)
    assert torch.isfinite(decode_cells(maps).boxes_xyxy).all()


def test_road_score_is_the_probability_in_255_steps():
    mask = MASKS["none"](GraphConfig(), 4)
    logits = torch.full((1, len(MAP_CLASSES), 1, 1), -50.0)
    logits[0, ROAD] = 50.0
    assert (mask.road_score(logits, None) == 255).all()
    even = mask.road_score(torch.zeros(1, len(MAP_CLASSES), 1, 1), None)
    assert even.shape == (1, 4, 4)
    assert (even == round(255 / len(MAP_CLASSES))).all()


@pytest.fixture(scope="module", params=[4, 8], ids="map stride {}".format)
def small(request):
    torch.manual_seed(0)
    config = ModelConfig(
        pretrained=False, backbone="lean_resnet", neck_channels=16, map_stride=request.param
    )
    return MultiTaskModel(config).eval()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size_hw", [(32, 32), (64, 96), (96, 160)], ids=str)
def test_the_graph_keeps_its_contract_at_any_multiple_of_32(small, size_hw, mask):
    graph = InferenceGraph(small, GraphConfig(mask=mask), EVALUATION_OUTPUTS)
    with torch.no_grad():
        out = graph(torch.randint(0, 256, (2, *size_hw, 3), dtype=torch.uint8))
    height, width = size_hw
    shapes = {name: (tuple(t.shape), t.dtype) for name, t in out.items()}
    assert shapes == {
        "boxes_xyxy": ((2, 100, 4), torch.float32),
        "scores": ((2, 100), torch.float32),
        "class_ids": ((2, 100), torch.int32),
        "class_map": ((2, height, width), torch.uint8),
        "road_score": ((2, height, width), torch.uint8),
        "class_map_unmasked": ((2, height, width), torch.uint8),
        "road_score_masked": ((2, height, width), torch.uint8),
    }
    assert (out["scores"].diff(dim=1) <= 0).all(), "best first"
    assert (out["boxes_xyxy"] >= 0).all()
    assert (out["boxes_xyxy"] <= torch.tensor([width, height, width, height])).all()


def test_frames_of_one_batch_do_not_see_each_other(small):
    graph = InferenceGraph(small, GraphConfig())
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        together, alone = graph(frames), graph(frames[1:])
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name][1:], tensor, rtol=1e-4, atol=1e-3)
