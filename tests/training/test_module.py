"""The training step: which class scores the loss compares."""

import pytest
import torch

from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES, ROAD
from perception.models.heads.detection import BOX_CHANNELS, DetectionMaps
from perception.training.config import load_train_config
from perception.training.module import MultiTaskModule
from tests.training.factories import SIZE_WH, make_batch

FRAMES = 16
CELLS = (SIZE_WH[1] // 8, SIZE_WH[0] // 8)


def make_module(share: float) -> MultiTaskModule:
    torch.manual_seed(0)
    small = 'model={backbone="resnet18", pretrained=false, neck_channels=8}'
    soft = 'graph={mask="soft", mask_threshold=0.1, mask_strength=[2.0, 0.0, 0.0]}'
    return MultiTaskModule(load_train_config("cascade", [small, soft, f"loss.mask_share={share}"]))


def sure_vehicle() -> DetectionMaps:
    """One box of a vehicle of score nearly 1, 32 px wide and high, around (36, 36), in every frame."""
    maps = []
    for stride in (8, 16, 32):
        raw = torch.full(
            (
                FRAMES,
                BOX_CHANNELS + 1 + len(BOX_CLASSES),
                SIZE_WH[1] // stride,
                SIZE_WH[0] // stride,
            ),
            -9.0,
        )
        raw[:, :2] = 0.0
        if stride == 8:
            raw[:, 2:BOX_CHANNELS, 4, 4] = torch.tensor(4.0).log()
            raw[:, BOX_CHANNELS : BOX_CHANNELS + 2, 4, 4] = 9.0  # an object, of class 0
        maps.append(raw.requires_grad_())
    near, mid, far = maps
    return DetectionMaps((near, mid, far), (near, mid, far))


def test_masked_share_one_lowers_road_in_the_box_of_every_frame() -> None:
    """What the loss compares is what the engine would answer: the logit of road is 2 lower inside the box, all else is the same."""
    cells = torch.zeros(FRAMES, len(MAP_CLASSES), *CELLS)
    seen = make_module(1.0)._through_mask(cells, sure_vehicle(), make_batch(FRAMES))
    assert torch.allclose(seen[:, ROAD, 3:6, 3:6], torch.tensor(-2.0), atol=0.01)
    assert torch.equal(seen[:, ROAD, :2], cells[:, ROAD, :2])
    others = [k for k in range(len(MAP_CLASSES)) if k != ROAD]
    assert torch.equal(seen[:, others], cells[:, others])


def test_masked_half_leaves_some_frames_as_they_are() -> None:
    cells = torch.zeros(FRAMES, len(MAP_CLASSES), *CELLS)
    seen = make_module(0.5)._through_mask(cells, sure_vehicle(), make_batch(FRAMES))
    lowered = seen[:, ROAD, 4, 4] < -1
    assert 0 < lowered.sum() < FRAMES
    assert torch.equal(seen[~lowered], cells[~lowered])


def test_masked_share_zero_compares_the_scores_themselves() -> None:
    cells = torch.zeros(FRAMES, len(MAP_CLASSES), *CELLS)
    assert make_module(0.0)._through_mask(cells, sure_vehicle(), make_batch(FRAMES)) is cells


def test_masked_scores_teach_the_map_and_not_the_boxes() -> None:
    """The gradient reaches the class scores, also under the box, and stops at the detections."""
    cells = torch.zeros(FRAMES, len(MAP_CLASSES), *CELLS, requires_grad=True)
    maps = sure_vehicle()
    make_module(1.0)._through_mask(cells, maps, make_batch(FRAMES)).sum().backward()
    assert cells.grad is not None
    assert torch.equal(cells.grad, torch.ones_like(cells))
    assert all(raw.grad is None for raw in maps.predictions)


def test_masked_share_is_a_share() -> None:
    with pytest.raises(ConfigError, match=r"expected 0 to 1, got 1\.5"):
        load_train_config("cascade", ["loss.mask_share=1.5"])


def test_the_hard_mask_is_not_trained_through_but_may_be_exported_afterwards() -> None:
    """The configuration itself stands: a checkpoint trained through the soft mask may ship with the hard one."""
    config = load_train_config("cascade", ["loss.mask_share=0.5", 'graph={mask="hard"}'])
    with pytest.raises(ConfigError, match=r"set graph\.mask to soft"):
        MultiTaskModule(config)
