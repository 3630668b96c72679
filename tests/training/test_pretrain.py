import pytest
import torch
from safetensors.torch import load_file

from perception.core.errors import ConfigError
from perception.models.backbones import BACKBONES
from perception.training.config import load_train_config
from perception.training.pretrain import METHODS
from perception.training.pretrain.run import load_backbone, pretrain
from perception.training.train import train
from tests.training.factories import write_kitti_road

SMALL = [
    "steps=1", "val_every=0", "precision=fp32", "threads=1", 'accelerator="cpu"',
    'model={backbone="lean_resnet", pretrained=false, neck_channels=8, map_stride=4}',
    'data={sets=[{name="kitti_road"}], crop_wh=[64, 64], batch_size=2, workers=0}',
    'pretrain={steps=2, data={sets=[{name="kitti_road"}], crop_wh=[64, 64], batch_size=2, workers=0}}',
]  # fmt: skip


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A run of seconds on synthetic frames."""
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data")))
    return load_train_config("cascade", SMALL)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("default")
def test_a_run_pretrains_its_backbone_once_and_starts_from_it(small, tmp_path, monkeypatch):
    began = {}
    monkeypatch.setattr(
        "perception.training.train.load_backbone",
        lambda backbone, path: began.update(path=path) or load_backbone(backbone, path),
    )
    train(small, tmp_path / "run")
    folder = tmp_path / "run" / "pretrain"
    assert began == {"path": folder / "backbone.safetensors"}
    assert not (folder / "last.ckpt").exists(), "what is finished needs no state"
    stored = load_file(began["path"])
    assert stored.keys() == BACKBONES["lean_resnet"](False).state_dict().keys()

    monkeypatch.setattr("perception.training.pretrain.run.pl.Trainer", None)
    assert pretrain(small, folder) == began["path"], "all was there"
    other = load_train_config("cascade", [*SMALL, "seed=1"])
    with pytest.raises(ConfigError, match="holds another pretraining"):
        pretrain(other, folder)


def test_a_file_of_another_backbone_is_refused(tmp_path):
    path = tmp_path / "none.safetensors"
    with pytest.raises(ConfigError, match=r"pretrain\.weights: .*not the weights"):
        load_backbone(BACKBONES["lean_resnet"](False), path)
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"pretrain\.weights: .*not the weights"):
        load_backbone(BACKBONES["lean_resnet"](False), path)


def test_distillation_brings_the_student_closer_to_its_teacher(small, monkeypatch):
    torch.manual_seed(0)
    module = METHODS["distill"]("lean_resnet", small.pretrain)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    frame = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = module.compare(frame)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    names = [name for name, _ in module.named_parameters()]
    assert all(name.startswith(("student.", "regressors.")) for name in names), (
        "the teacher does not learn"
    )
