import pytest
import torch

from perception.core.config import dump_config
from perception.core.errors import ConfigError, InputError
from perception.models.multitask import MultiTaskModel
from perception.training.checkpoint import read_checkpoint, start_from
from perception.training.config import load_train_config, read_stored
from perception.training.module import MultiTaskModule
from perception.training.train import train
from tests.training.factories import write_kitti_road

SMALL = [
    "steps=9", "val_every=0", "precision=fp32", "threads=1", 'accelerator="cpu"', "optimizer.ema_decay=0.5",
    'model={backbone="resnet18", pretrained=false, neck_channels=8}',
    'data={sets=[{name="kitti_road"}], crop_wh=[64, 64], batch_size=2, workers=0}',
]  # fmt: skip


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A run of seconds on synthetic frames, without validation."""
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data")))
    return load_train_config("cascade", SMALL)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("default")
def test_the_last_checkpoint_is_of_the_last_step_and_another_run_starts_from_it(small, tmp_path):
    summary = train(small, tmp_path / "first")
    last = tmp_path / "first" / "last.ckpt"
    assert (summary["steps"], summary["score"], summary["checkpoint"]) == (9, None, str(last))
    assert not (tmp_path / "first" / "best.ckpt").exists()
    stored = torch.load(last, weights_only=True)
    assert stored["global_step"] == 9, "the steps are no multiple of those between checkpoints"
    name = next(iter(stored["state_dict"]))
    averaged, current = stored["state_dict"][name], stored["current_model_state"][name]
    assert not torch.equal(averaged, current)

    written = last.stat().st_mtime_ns
    assert train(small, tmp_path / "first")["steps"] == 9
    assert last.stat().st_mtime_ns == written, "nothing was left to do"

    still = load_train_config(
        "cascade", [*SMALL, "steps=1", f'init="{last}"', "optimizer.lr=1e-9", "seed=5"]
    )
    train(still, tmp_path / "second")
    _, weights = read_checkpoint(tmp_path / "second" / "last.ckpt")
    torch.testing.assert_close(weights[name.removeprefix("model.")], averaged)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("default")
def test_a_run_without_validation_goes_on_from_its_last_checkpoint(small, tmp_path, monkeypatch):
    steps = []
    whole = MultiTaskModule.training_step

    def fail_at_the_sixth(module, batch, index):
        if len(steps) == 5:
            raise OSError("power cut")
        steps.append(module.global_step)
        return whole(module, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", fail_at_the_sixth)
    with pytest.raises(OSError, match="power cut"):
        train(small, tmp_path / "run")
    steps.clear()
    monkeypatch.setattr(
        MultiTaskModule,
        "training_step",
        lambda module, *rest: steps.append(module.global_step) or whole(module, *rest),
    )
    assert train(small, tmp_path / "run")["steps"] == 9
    assert steps == [4, 5, 6, 7, 8], "the fourth step was kept"


def save(path, **changes):
    """A checkpoint of an untrained network, with parts replaced."""
    config = load_train_config("cascade", SMALL)
    weights = MultiTaskModel(config.model).state_dict()
    state = {f"model.{name}": tensor for name, tensor in weights.items()}
    torch.save({"hyper_parameters": dump_config(config), "state_dict": state} | changes, path)
    return config, state


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda path: None, "missing, empty or damaged", id="missing"),
        pytest.param(lambda path: path.write_bytes(b"PNG"), "missing, empty or damaged", id="garbage"),
        pytest.param(lambda path: torch.save({"weights": 1}, path), "not a checkpoint of this project", id="of something else"),
        pytest.param(lambda path: torch.save(torch.zeros(3), path), "not a checkpoint of this project", id="a tensor"),
        pytest.param(lambda path: torch.save(SMALL.__class__, path), "not a checkpoint of this project", id="code"),
        pytest.param(lambda path: save(path, state_dict={}), "its weights do not fit the network", id="without weights"),
    ],
)  # fmt: skip
def test_what_no_run_can_start_from_is_one_line(tmp_path, spoil, message):
    path = tmp_path / "other.ckpt"
    spoil(path)
    config = load_train_config("cascade", SMALL).model
    with pytest.raises(ConfigError, match=rf"^init: .*other.ckpt: .*{message}") as caught:
        start_from(MultiTaskModel(config), config, path)
    assert "\n" not in str(caught.value)


def test_the_weights_of_another_network_are_refused(tmp_path):
    save(tmp_path / "other.ckpt")
    config = load_train_config("cascade", [*SMALL, "model.neck_channels=16"]).model
    with pytest.raises(
        ConfigError, match=r"another network \(model differs in \['neck_channels'\]"
    ):
        start_from(MultiTaskModel(config), config, tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"not a checkpoint"), id="garbage"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: torch.save({"weights": 1}, path), id="of something else"),
        pytest.param(lambda _: None, id="missing"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, spoil):
    path = tmp_path / "best.ckpt"
    spoil(path)
    with pytest.raises(InputError, match="not a checkpoint of this project"):
        read_checkpoint(path)


def test_a_configuration_of_before_init_took_backbones_is_read_as_what_it_meant():
    table = dump_config(load_train_config("cascade", SMALL))
    old = table | {"pretrain": table["pretrain"] | {"weights": "backbone.safetensors"}}
    assert read_stored(old, "run").init == "backbone.safetensors"
    old["pretrain"]["weights"] = ""
    assert dump_config(read_stored(old, "run")) == table
