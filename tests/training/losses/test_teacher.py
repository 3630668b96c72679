"""Following a trained network."""

import pytest
import torch

from perception.core.config import dump_config
from perception.core.errors import ConfigError
from perception.models.multitask import MultiTaskModel
from perception.training.config import load_train_config
from perception.training.losses.teacher import TeacherLoss
from perception.training.module import MultiTaskModule
from tests.training.factories import make_batch

SMALL = [
    'model={backbone="lean_resnet", pretrained=false, neck_channels=8, map_stride=4}',
    'precision="fp32"',
]


def save(path, *changes):
    config = load_train_config("cascade", [*SMALL, *changes])
    network = MultiTaskModel(config.model).eval()
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"hyper_parameters": dump_config(config), "state_dict": state}, path)
    return network


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(0)
    return save(tmp_path / "teacher.ckpt"), tmp_path / "teacher.ckpt"


def test_who_agrees_with_the_teacher_has_no_loss(teacher):
    network, path = teacher
    frame = make_batch().frame
    logits = network(frame).class_logits
    assert TeacherLoss(path)(logits, frame)["teacher"].item() == pytest.approx(0, abs=1e-5)
    assert TeacherLoss(path)(logits + 3, frame)["teacher"].item() == pytest.approx(0, abs=1e-5)


def test_it_is_the_divergence_of_the_class_probabilities(teacher):
    network, path = teacher
    frame = make_batch().frame
    wanted = network(frame).class_logits
    found = torch.randn_like(wanted)
    p, q = wanted.softmax(1), found.softmax(1)
    expected = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(TeacherLoss(path)(found, frame)["teacher"], expected)


def test_cells_of_another_stride_are_met_in_the_students(tmp_path):
    save(tmp_path / "coarse.ckpt", "model.map_stride=8")
    logits = torch.zeros(2, 11, 16, 24, requires_grad=True)
    loss = TeacherLoss(tmp_path / "coarse.ckpt")(logits, make_batch().frame)["teacher"]
    loss.backward()
    assert logits.grad.abs().sum() > 0


def test_a_teacher_of_smaller_frames_sees_them_made_smaller(tmp_path):
    save(tmp_path / "half.ckpt", "data.val_scale=0.5")
    loss = TeacherLoss(tmp_path / "half.ckpt")
    sizes = []
    loss._network[0].register_forward_hook(lambda _, args, out: sizes.append(tuple(args[0].shape)))
    frame = torch.zeros(2, 192, 320, 3, dtype=torch.uint8)
    assert torch.isfinite(loss(torch.zeros(2, 11, 48, 80), frame)["teacher"])
    assert sizes == [(2, 96, 160, 3)]


def test_a_frame_without_labels_teaches_the_class_map_all_the_same(teacher):
    _, path = teacher
    config = load_train_config("cascade", [*SMALL, f'loss={{teacher="{path}"}}'])
    module = MultiTaskModule(config)
    logged = {}
    module.log_dict = lambda found, **_: logged.update(found)
    batch = make_batch(boxed=False)
    batch.class_map.fill_(255)
    assert module.training_step(batch, 0) > 0
    assert logged["train/teacher"] > 0
    module.backward(torch.zeros(()))
    assert module.model.heads["segmentation"].classify.weight.grad.abs().sum() > 0
    assert not any("teacher" in name for name in module.state_dict()), "it is not kept"


def test_what_cannot_teach_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"^loss.teacher: .*missing, empty or damaged"):
        TeacherLoss(tmp_path / "none.ckpt")
    save(tmp_path / "boxes.ckpt", 'model.task="detection"')
    with pytest.raises(ConfigError, match="its network gives no class map"):
        TeacherLoss(tmp_path / "boxes.ckpt")
