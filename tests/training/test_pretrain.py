import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from perception.cli.app import app
from perception.core.errors import ConfigError
from perception.models.backbones import BACKBONES
from perception.training.checkpoint import read_checkpoint
from perception.training.config import load_train_config
from perception.training.pretrain import METHODS
from perception.training.pretrain.contrastive import Views
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
    table = json.loads((folder / "config.json").read_text())
    del table["data"]["colour"]  # as a version wrote it that did not know it
    (folder / "config.json").write_text(json.dumps(table | {"weights": ""}))
    assert pretrain(small, folder) == began["path"], "the same, told by an earlier version"
    other = load_train_config("cascade", [*SMALL, "seed=1"])
    with pytest.raises(ConfigError, match="holds another pretraining"):
        pretrain(other, folder)


@pytest.mark.filterwarnings("default")
def test_a_run_starts_from_the_backbone_that_init_names(small, tmp_path):
    weights = pretrain(small, tmp_path / "pretrain")
    config = replace(
        small, init=str(weights), optimizer=replace(small.optimizer, lr=0.0, ema_decay=0.0)
    )
    train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "pretrain").exists(), "nothing is pretrained again"
    _, trained = read_checkpoint(tmp_path / "run" / "last.ckpt")
    for name, tensor in load_file(weights).items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(trained[f"backbone.{name}"], tensor)


def test_a_file_of_another_backbone_is_refused(tmp_path):
    path = tmp_path / "none.safetensors"
    with pytest.raises(ConfigError, match=r"init: .*not the weights"):
        load_backbone(BACKBONES["lean_resnet"](False), path)
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"init: .*not the weights"):
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
    assert all(name.startswith(("student.", "match.regressors.")) for name in names), (
        "the teacher does not learn"
    )


@pytest.mark.parametrize(("mixed", "equal"), [(0.0, True), (1.0, False)])
def test_teacher_and_student_see_the_same_blend(mixed, equal, small, monkeypatch):
    module = METHODS["distill"]("lean_resnet", replace(small.pretrain, mixed=mixed))
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    seen = []
    module.student.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    module.match.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    frame = torch.stack([torch.full((64, 64, 3), v, dtype=torch.uint8) for v in (10, 210)])
    module.compare(frame)
    of_student, of_teacher = seen
    assert of_student.dtype == torch.uint8
    assert of_student.equal(of_teacher)
    assert of_student.equal(frame) == equal
    assert of_student.min() >= 10
    assert of_student.max() <= 210


def test_a_share_of_blends_outside_0_to_1_is_refused():
    with pytest.raises(ConfigError, match=r"pretrain\.mixed: expected 0 to 1, got 1\.5"):
        load_train_config("road", ["pretrain.mixed=1.5"])


@pytest.mark.parametrize(
    ("method", "most"),
    [
        ("autoencoder", 0.5),
        ("triplet", 0.5),
        ("ntxent", 0.8),
        ("simsiam", -0.6),
        ("multitask", 0.9),
    ],
)
def test_a_backbone_learns_without_labels(method, most, small, monkeypatch):
    torch.manual_seed(0)
    module = METHODS[method]("lean_resnet", small.pretrain)
    logged = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: float(value)}))
    frame = torch.rand(4, 2, 2, 3).repeat_interleave(32, 1).repeat_interleave(32, 2)
    frame = frame.mul(255).to(torch.uint8)  # four frames that differ in colour
    if hasattr(
        module, "views"
    ):  # the same views in each step, so that the loss tells what was learnt and not what was drawn
        drawn = module.views(frame)
        monkeypatch.setattr(Views, "forward", lambda *_: drawn)
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    losses = []
    for _ in range(30):
        loss = module.compare(frame)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert last < most * first if most > 0 else last < most
    assert method == "autoencoder" or logged["pretrain/spread"] > 0.3, "it has not collapsed"


def test_views_differ_and_keep_type_and_layout():
    torch.manual_seed(0)
    frame = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    first, second = Views((32, 48))(frame)
    assert first.shape == second.shape == (2, 32, 48, 3)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, second)


@pytest.mark.filterwarnings("default")
def test_the_command_gives_weights_that_a_run_starts_from(small, tmp_path):
    words = [word for change in SMALL for word in ("--set", change)]
    out = str(tmp_path / "first")
    done = CliRunner().invoke(app, ["pretrain", "--method", "triplet", "--preset", "cascade", "--steps", "2", "--out", out, *words])  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["method"] == "triplet"
    load_backbone(BACKBONES["lean_resnet"](False), Path(told["weights"]))
