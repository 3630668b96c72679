"""Following the maps of a backbone with ImageNet weights while the tasks are learnt."""

import pytest
import torch

from perception.models.backbones import BACKBONES
from perception.training.config import load_train_config
from perception.training.losses.features import FeatureMatch
from perception.training.module import MultiTaskModule
from tests.training.factories import make_batch

TEACHER = "efficientnet_lite0"
SMALL = [
    'model={backbone="lean_resnet", pretrained=false, neck_channels=8, map_stride=4}',
    'precision="fp32"',
]


def test_the_teachers_own_maps_are_explained_and_constant_ones_are_not():
    teacher = BACKBONES[TEACHER](True).eval()
    match = FeatureMatch(teacher.out_channels[1:], TEACHER)
    frame = make_batch().frame
    with torch.no_grad():
        _, *maps = teacher(frame)
        for regressor, found in zip(match.regressors, maps, strict=True):
            # the map that brings each channel to mean 0 and variance 1
            spread = found.var(dim=(0, 2, 3), unbiased=False).add(1e-5).sqrt()
            regressor.weight.copy_(torch.diag(1 / spread)[..., None, None])
            regressor.bias.copy_(-found.mean(dim=(0, 2, 3)) / spread)
        assert all(loss < 1e-3 for loss in match(maps, frame))
        for regressor in match.regressors:
            regressor.weight.zero_()
            regressor.bias.zero_()
        for loss in match(maps, frame):
            assert loss.item() == pytest.approx(1, abs=0.02)


def test_the_backbone_follows_and_nothing_of_it_is_kept_in_the_network():
    config = load_train_config("cascade", [*SMALL, f'loss.features="{TEACHER}"', "loss.feature_frames=1"])  # fmt: skip
    module = MultiTaskModule(config)
    logged = {}
    module.log_dict = lambda found, **_: logged.update(found)
    batch = make_batch(boxed=False)
    batch.class_map.fill_(255)
    assert module.training_step(batch, 0) > 0
    assert 0.5 < logged["train/features"] < 3
    module.backward(torch.zeros(()))
    stages = module.model.backbone.features.stages
    assert all(stage[0].conv1.weight.grad.abs().sum() > 0 for stage in stages)
    # what compares learns too, and the teacher does not
    learnt = {p for group in module.configure_optimizers()["optimizer"].param_groups for p in group["params"]}  # fmt: skip
    for regressor in module.features.regressors:
        assert regressor.weight.grad.abs().sum() > 0
        assert regressor.weight in learnt
    assert len(learnt) == len(list(module.parameters()))
    assert not any(name.startswith("features.") for name in module.model.state_dict())
