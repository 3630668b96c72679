import pytest
import torch
from torch.nn import functional as F

from perception.core.labels import GROUPS, IGNORE, MAP_CLASSES, ROAD, map_id
from perception.training.losses.balanced import BalancedLoss
from tests.training.factories import SIZE_WH, make_batch

WIDTH, HEIGHT = SIZE_WH
C = len(MAP_CLASSES)
POLE = map_id("pole")


def batch_of(class_map):
    batch = make_batch(1)
    batch.class_map.copy_(class_map)
    return batch


def halves(left, right):
    class_map = torch.full((1, HEIGHT, WIDTH), left, dtype=torch.uint8)
    class_map[:, :, WIDTH // 2 :] = right
    return class_map


def logits_of(class_map, sure=20.0, stride=4):
    cells = class_map[:, ::stride, ::stride].long().clamp(max=C - 1)
    return F.one_hot(cells, C).permute(0, 3, 1, 2).float() * sure


def test_a_perfect_map_costs_nothing_but_its_border():
    truth = halves(ROAD, map_id("vehicle"))
    terms = BalancedLoss()(logits_of(truth), batch_of(truth))
    assert terms["segmentation"] < 0.1
    assert terms["overlap"] < 0.02


def test_the_overlap_term_is_one_minus_the_jaccard_index_where_the_map_is_sure():
    truth = halves(ROAD, map_id("vehicle"))
    all_road = logits_of(torch.full_like(truth, ROAD), sure=60.0)
    terms = BalancedLoss(overlap=1.0)(all_road, batch_of(truth))
    assert terms["overlap"].item() == pytest.approx(1 - (0.5 + 0.0) / 2, abs=5e-3)


def test_a_group_tells_of_the_classes_that_are_not_in_it():
    truth = halves(ROAD, map_id("not_road"))
    sky = logits_of(halves(ROAD, map_id("sky")), sure=60.0)
    road = logits_of(torch.full_like(truth, ROAD), sure=60.0)
    loss = BalancedLoss(overlap=1.0)
    assert loss(sky, batch_of(truth))["overlap"] < 0.05
    assert loss(road, batch_of(truth))["overlap"].item() == pytest.approx(0.5, abs=0.01)


def test_a_rare_class_and_a_group_weigh_more_and_a_common_class_does_not():
    loss = BalancedLoss(common=0.03, power=0.5, group=3.0)
    loss.share.fill_(0.1)
    loss.share[POLE] = 0.0075
    weights = loss.eval()._weights(torch.full((1, 4), ROAD))
    assert weights[POLE].item() == pytest.approx(2.0)
    groups = weights[len(MAP_CLASSES) :]
    assert groups.tolist() == [3.0] * len(GROUPS)
    assert weights.sum() - groups.sum() == pytest.approx(len(MAP_CLASSES) + 1), "all others weigh 1"


def test_shares_are_counted_while_training_only():
    loss = BalancedLoss()
    before = loss.share.clone()
    truth = halves(ROAD, ROAD)
    loss.eval()(logits_of(truth), batch_of(truth))
    assert torch.equal(loss.share, before)
    loss.train()(logits_of(truth), batch_of(truth))
    assert loss.share[ROAD] > before[ROAD]
    assert loss.share.sum().item() == pytest.approx(1.0)


def test_ignored_pixels_do_not_count_and_a_frame_of_them_costs_nothing():
    truth = halves(ROAD, IGNORE)
    wrong = logits_of(halves(ROAD, map_id("sky")), sure=60.0)
    assert BalancedLoss(overlap=1.0)(wrong, batch_of(truth))["overlap"] < 0.05
    cells = torch.randn(1, C, HEIGHT // 4, WIDTH // 4, requires_grad=True)
    total = sum(BalancedLoss(outside=0.0)(cells, batch_of(halves(IGNORE, IGNORE))).values())
    total.backward()
    assert total.item() == 0
    assert torch.isfinite(cells.grad).all()
