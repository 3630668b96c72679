import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.core.labels import MAP_CLASSES, ROAD
from perception.models.config import GraphConfig
from perception.models.heads.detection import Boxes
from perception.models.masks import MASKS
from perception.models.masks.hard import above_foot, box_foot
from perception.models.masks.soft import box_evidence
from tests import reference

TAU = 0.4


def box_mask(boxes_xyxy, scores, size_wh, threshold):
    """As the graph makes it."""
    return ~above_foot(box_foot(boxes_xyxy, scores, size_wh[0], threshold), size_wh[1])


COORDINATE = st.one_of(st.integers(-5, 45).map(float), st.floats(-5, 45, width=32))


@st.composite
def some_boxes(draw):
    """Boxes with corners on, between and beyond pixels; some empty, some below the threshold, some exactly on it."""
    count = draw(st.integers(0, 6))
    rows = [[draw(COORDINATE) for _ in range(4)] for _ in range(count)]
    scores = [draw(st.sampled_from([0.0, 0.39, TAU, 0.9])) for _ in range(count)]
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    ordered = np.concatenate(
        (np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])), 1
    )
    return ordered, np.array(scores, np.float32)


@given(found=some_boxes(), width=st.integers(1, 40), height=st.integers(1, 30))
def test_the_closed_form_is_the_mask_pixel_by_pixel(found, width, height):
    boxes, scores = found
    if not len(boxes):  # the graph always has K boxes
        boxes, scores = np.zeros((1, 4), np.float32), np.zeros(1, np.float32)
    mask = box_mask(
        torch.from_numpy(boxes)[None], torch.from_numpy(scores)[None], (width, height), TAU
    )
    expected = reference.box_mask(boxes, scores.astype(np.float64).round(3), (width, height), TAU)
    np.testing.assert_array_equal(mask[0].numpy(), expected)


@pytest.mark.parametrize(
    ("box", "score", "free"),
    [
        pytest.param(
            [2, 3, 4, 5],
            0.9,
            [(0, 0), (1, 0), (1, 5), (2, 6), (4, 6), (5, 0)],
            id="beside and below",
        ),
        pytest.param(
            [2, 3, 4, 5], 0.39, [(3, 0), (3, 4)], id="a box below the threshold cuts nothing"
        ),
        pytest.param(
            [0, 0, 0, 0], 0.9, [(0, 1), (1, 0)], id="an empty box at the origin covers one pixel"
        ),
    ],
)
def test_road_may_win(box, score, free):
    mask = box_mask(
        torch.tensor([[box]], dtype=torch.float32), torch.tensor([[score]]), (8, 8), TAU
    )
    for x, y in free:
        assert mask[0, y, x], (x, y)


def test_inside_and_above_a_box_road_cannot_win():
    mask = box_mask(torch.tensor([[[2.0, 3.0, 4.0, 5.0]]]), torch.tensor([[0.9]]), (8, 8), TAU)
    assert not mask[0, :6, 2:5].any()


@given(found=some_boxes(), rows=st.integers(1, 6), columns=st.integers(1, 8))
def test_the_evidence_of_boxes_is_their_weight_times_what_they_cover_of_a_cell(
    found, rows, columns
):
    boxes, weights = found
    if not len(boxes):
        boxes, weights = np.zeros((1, 4), np.float32), np.zeros(1, np.float32)
    got = box_evidence(
        torch.from_numpy(boxes)[None], torch.from_numpy(weights)[None], (rows, columns), 4
    )
    expected = reference.box_evidence(boxes, weights, (rows, columns), 4)
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-5)


def soft_map(road, score, class_id):
    """The class map of a frame of 32x32 px that is road by `road` logits, with one box over its left half."""
    cells = torch.zeros(1, len(MAP_CLASSES), 8, 8)
    cells[:, ROAD] = road
    boxes = Boxes(
        torch.tensor([[[0.0, 0.0, 16.0, 32.0]]]),
        torch.tensor([[score]]),
        torch.tensor([[class_id]]),
    )
    config = GraphConfig(mask="soft", mask_threshold=0.1, mask_strength=(4.0, 0.0, 0.0))
    return MASKS["soft"](config, 4).class_map(cells, boxes)[0] == ROAD


@pytest.mark.parametrize(
    ("road", "score", "class_id", "stays"),
    [
        pytest.param(1.0, 0.9, 0, False, id="unsure road in a sure vehicle"),
        pytest.param(5.0, 0.9, 0, True, id="sure road in a sure vehicle"),
        pytest.param(1.0, 0.2, 0, True, id="unsure road in an unsure vehicle"),
        pytest.param(0.2, 0.09, 0, True, id="a box below the threshold"),
        pytest.param(1.0, 0.9, 1, True, id="a class without strength"),
    ],
)
def test_the_soft_mask_weighs_box_against_road(road, score, class_id, stays):
    found = soft_map(road, score, class_id)
    assert found[:, 20:].all()
    assert found[:, :12].all() == stays
    assert found[:, :12].any() == stays


def test_many_boxes_on_one_spot_take_no_more_than_one_sure_box():
    cells = torch.zeros(1, len(MAP_CLASSES), 8, 8)
    cells[:, ROAD] = 4.5
    boxes = Boxes(
        torch.tensor([[[0.0, 0.0, 32.0, 32.0]]]).expand(1, 9, 4), torch.ones(1, 9),
        torch.zeros(1, 9, dtype=torch.int32),
    )  # fmt: skip
    config = GraphConfig(mask="soft", mask_strength=(4.0, 0.0, 0.0))
    assert (MASKS["soft"](config, 4).class_map(cells, boxes) == ROAD).all()
