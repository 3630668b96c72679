import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.models.mask import above_foot, box_foot
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
