from dataclasses import replace

import pytest
import torch

from perception.core.labels import IGNORE, MAP_CLASSES, ROAD, VEHICLE, map_id
from perception.training.losses.balanced import BalancedLoss
from perception.training.losses.outside import outside_boxes
from tests.training.factories import SIZE_WH, make_batch

WIDTH, HEIGHT = SIZE_WH
CELLS = (HEIGHT // 4, WIDTH // 4)


def boxed_frame():
    """One frame without a map; a vehicle in its left half, not judged in its lowest quarter."""
    batch = make_batch(1)
    batch.class_map.fill_(IGNORE)
    batch.unjudged[:, HEIGHT * 3 // 4 :] = True
    box = torch.tensor([[0.0, 0.0, WIDTH / 2, float(HEIGHT)]])
    return replace(batch, boxes_xyxy=(box,), class_ids=(torch.zeros(1, dtype=torch.int64),))


def logits_of(class_id, sure=4.0):
    logits = torch.zeros(1, len(MAP_CLASSES), *CELLS)
    logits[:, class_id] = sure
    return logits.requires_grad_()


def test_only_judged_cells_outside_of_boxes_are_pushed_away_from_what_is_boxed():
    logits = logits_of(VEHICLE)
    outside_boxes(logits, boxed_frame()).backward()
    pushed = logits.grad[0] != 0
    rows, columns = CELLS
    assert not pushed[:, rows * 3 // 4 :].any(), "not judged"
    assert not pushed[:, :, : columns // 2].any(), "inside the box"
    assert (logits.grad[0, VEHICLE, : rows * 3 // 4, columns // 2 + 1 :] > 0).all()
    assert (logits.grad[0, ROAD, : rows * 3 // 4, columns // 2 + 1 :] < 0).all()


def test_it_is_minus_the_log_of_what_is_left_to_the_other_classes():
    probability = torch.softmax(logits_of(VEHICLE)[0, :, 0, 0], 0)
    objects = sum(probability[map_id(name)] for name in ("vehicle", "pedestrian", "cyclist"))
    loss = outside_boxes(logits_of(VEHICLE), boxed_frame())
    assert loss.item() == pytest.approx(-torch.log(1 - objects).item(), rel=1e-5)


def test_a_class_that_the_set_does_not_box_is_not_pushed():
    batch = replace(boxed_frame(), boxed=torch.tensor([[False, True, False]]))
    loss = outside_boxes(logits_of(VEHICLE, sure=60.0), batch)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("labelled", [True, False])
def test_frames_with_a_map_or_without_boxes_tell_nothing(labelled):
    batch = boxed_frame()
    if labelled:
        batch.class_map[:, 0, 0] = ROAD
    else:
        batch = replace(batch, boxed=torch.zeros_like(batch.boxed))
    logits = logits_of(VEHICLE)
    loss = outside_boxes(logits, batch)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_a_weight_of_the_loss_switches_it_off():
    batch, logits = boxed_frame(), logits_of(VEHICLE)
    assert "outside" not in BalancedLoss(outside=0.0)(logits, batch)
    doubled = BalancedLoss(outside=2.0)(logits, batch)["outside"]
    torch.testing.assert_close(doubled, 2 * outside_boxes(logits, batch))
