import numpy as np
import pytest
import torch

from perception.core.labels import IGNORE, MAP_CLASSES, ROAD, map_id
from perception.models.config import ModelConfig
from perception.models.heads.detection import STRIDES
from perception.models.multitask import MultiTaskModel
from perception.training.losses import DETECTION_LOSSES, SEGMENTATION_LOSSES
from perception.training.losses.four_term import FourTermLoss
from tests.training.factories import SIZE_WH, make_batch

WIDTH, HEIGHT = SIZE_WH
C = len(MAP_CLASSES)


def make_maps(fill=0.0):
    return tuple(torch.full((1, 8, HEIGHT // s, WIDTH // s), fill) for s in STRIDES)


def batch_with(box, class_id=0, boxed=(True, True, True)):
    batch = make_batch(1)
    batch.boxes_xyxy[0].copy_(torch.tensor([box]))
    batch.class_ids[0].fill_(class_id)
    batch.boxed.copy_(torch.tensor([boxed]))
    return batch


def segmentation_loss(logits, class_map):
    batch = make_batch(1)
    batch.class_map.copy_(class_map)
    return SEGMENTATION_LOSSES["cross_entropy"]()(logits, batch)["segmentation"]


def test_a_single_class_label_is_cross_entropy():
    logits = torch.randn(1, C, HEIGHT // 8, WIDTH // 8).repeat_interleave(1, 0)
    flat = logits.mean(dim=(2, 3), keepdim=True).expand_as(
        logits
    )  # equal everywhere: upsampling keeps it
    expected = torch.nn.functional.cross_entropy(flat[:, :, 0, 0], torch.tensor([ROAD]))
    loss = segmentation_loss(flat, torch.full((1, HEIGHT, WIDTH), ROAD, dtype=torch.uint8))
    torch.testing.assert_close(loss, expected)


def test_a_group_label_is_minus_the_log_of_the_summed_probability():
    flat = torch.randn(1, C, 1, 1).expand(1, C, HEIGHT // 8, WIDTH // 8)
    p = flat[0, :, 0, 0].softmax(0)
    loss = segmentation_loss(
        flat, torch.full((1, HEIGHT, WIDTH), map_id("not_road"), dtype=torch.uint8)
    )
    torch.testing.assert_close(loss, -(1 - p[ROAD]).log())


def test_ignored_pixels_do_not_count_and_a_frame_of_them_costs_nothing():
    logits = torch.randn(1, C, HEIGHT // 8, WIDTH // 8, requires_grad=True)
    half = torch.full((1, HEIGHT, WIDTH), ROAD, dtype=torch.uint8)
    half[:, :, WIDTH // 2 :] = IGNORE
    assert torch.isfinite(segmentation_loss(logits, half))
    nothing = segmentation_loss(logits, torch.full_like(half, IGNORE))
    nothing.backward()
    assert nothing == 0
    assert logits.grad.abs().sum() == 0


def test_the_four_terms_by_hand():
    # the box is 32 x 16 px: its map has stride 8, its centre is in the cell of column 3, row 4, off the middle by a quarter
    batch = batch_with([14.0, 30.0, 46.0, 46.0], class_id=2)
    terms = FourTermLoss()(make_maps(), batch)
    offset_x, offset_y = (30.0 - 28.0) / 8, (38.0 - 36.0) / 8
    assert terms["centre"].item() == pytest.approx(offset_x**2 + offset_y**2)
    assert terms["size"].item() == pytest.approx(np.log(4) ** 2 + np.log(2) ** 2, rel=1e-5)
    assert terms["class"].item() == pytest.approx(np.log(3), rel=1e-5)
    cells = sum((HEIGHT // s) * (WIDTH // s) for s in STRIDES)
    assert terms["objectness"].item() == pytest.approx(cells * np.log(2), rel=1e-5)


@pytest.mark.parametrize(
    ("box", "level"),
    [([0, 0, 60, 20], 0), ([0, 0, 90, 20], 1), ([0, 0, 20, 64], 0)],
    ids=["up to 64 px", "up to 160 px", "by the longer side"],
)
def test_the_size_of_a_box_chooses_its_map(box, level):
    maps = tuple(m.requires_grad_() for m in make_maps())
    FourTermLoss()(maps, batch_with([float(v) for v in box]))["class"].backward()
    assert [bool(m.grad.abs().sum() > 0) for m in maps] == [i == level for i in range(3)]


@pytest.mark.parametrize("name", list(DETECTION_LOSSES))
def test_frames_without_boxes_train_no_detection(name):
    maps = tuple(m.requires_grad_() for m in make_maps())
    batch = make_batch(1, boxed=False)
    total = sum(DETECTION_LOSSES[name]()(maps, batch).values())
    total.backward()
    assert total == 0
    assert all(m.grad is None or m.grad.abs().sum() == 0 for m in maps)


@pytest.mark.parametrize("name", list(DETECTION_LOSSES))
def test_unjudged_cells_are_not_trained_to_be_empty(name):
    batch = make_batch(1)
    batch.boxes_xyxy[0].copy_(torch.tensor([[40.0, 40.0, 60.0, 56.0]]))
    batch.unjudged[:, :32] = True
    maps = tuple(m.requires_grad_() for m in make_maps())
    DETECTION_LOSSES[name]()(maps, batch)["objectness"].backward()
    gradient = maps[0].grad[0, 4].abs()
    assert gradient[:4].sum() == 0, "the upper half is unjudged"
    assert gradient[4:].sum() > 0


@pytest.mark.parametrize("name", list(DETECTION_LOSSES))
def test_cells_that_claim_a_class_the_set_does_not_box_are_left_out(name):
    maps = make_maps()
    for m in maps:
        m[:, 7] = 5.0  # every cell claims a cyclist
        m.requires_grad_()
    batch = batch_with([40.0, 40.0, 60.0, 56.0], boxed=(True, True, False))
    DETECTION_LOSSES[name]()(maps, batch)["objectness"].backward()
    trained = sum(int((m.grad[0, 4] != 0).sum()) for m in maps)
    assert 1 <= trained <= 20, "only the cells of the object itself"


@pytest.mark.parametrize("name", list(DETECTION_LOSSES))
def test_a_set_that_boxes_one_class_alone_trains_it_against_the_others(name):
    maps = tuple(m.requires_grad_() for m in make_maps())
    batch = batch_with([40.0, 40.0, 60.0, 56.0], class_id=2, boxed=(False, False, True))
    DETECTION_LOSSES[name]()(maps, batch)["class"].backward()
    per_class = sum(m.grad[0, 5:].sum(dim=(1, 2)) for m in maps)
    assert per_class[2] < 0 < min(per_class[0], per_class[1])


@pytest.mark.parametrize("name", list(DETECTION_LOSSES))
def test_the_smallest_box_has_a_cell(name):
    maps = tuple(m.requires_grad_() for m in make_maps())
    terms = DETECTION_LOSSES[name]()(maps, batch_with([41.0, 41.0, 43.0, 43.0]))
    sum(terms.values()).backward()
    assert terms["class"] > 0


@pytest.mark.parametrize("name", list(DETECTION_LOSSES))
@pytest.mark.timeout(120)
def test_training_overfits_one_batch(name):
    torch.manual_seed(0)
    batch = make_batch(2)
    model = MultiTaskModel(ModelConfig(pretrained=False, backbone="resnet18", neck_channels=32))
    losses = (DETECTION_LOSSES[name](), SEGMENTATION_LOSSES["cross_entropy"]())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

    def step():
        out = model(batch.frame)
        terms = losses[0](out.detection.predictions, batch) | losses[1](out.class_logits, batch)
        total = sum(terms.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return total.item()

    first = step()
    for _ in range(40):
        last = step()
    assert last < 0.25 * first
