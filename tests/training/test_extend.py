"""Incremental learning: what is hidden, what is followed, where it starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from perception.cli.app import app
from perception.core.config import dump_config
from perception.core.errors import ConfigError
from perception.core.labels import IGNORE, MAP_CLASSES, ROAD, VEHICLE, map_id
from perception.datasets import BoxLabels, Dataset, Sample
from perception.models.multitask import MultiTaskModel
from perception.training.augment.transforms import build_transforms
from perception.training.checkpoint import read_checkpoint
from perception.training.config import TrainConfig, load_train_config, read_stored
from perception.training.data import MixedData, TrainingFrames, collate
from perception.training.extend.absence import AbsenceLoss
from perception.training.extend.follow import OldOutputs
from perception.training.extend.shown import ShownPart, hidden_names
from perception.training.extend.start import extend_from
from perception.training.mixture import DataConfig, SetConfig
from perception.training.module import MultiTaskModule
from perception.training.train import train
from tests.training.factories import make_batch, make_scene, write_kitti_road

SMALL = [
    "steps=4", "val_every=0", "precision=fp32", "threads=1", 'accelerator="cpu"', "optimizer.ema_decay=0.5",
    'model={backbone="resnet18", pretrained=false, neck_channels=8}',
    'data={sets=[{name="kitti_road"}], crop_wh=[64, 64], batch_size=2, workers=0}',
]  # fmt: skip
SKY, CYCLIST = MAP_CLASSES.index("sky"), MAP_CLASSES.index("cyclist")


class Scenes(Dataset):
    """Frames with a vehicle at the horizon, and a box that has a kind."""

    def __init__(self, frames=9):
        super().__init__([str(i) for i in range(frames)])

    def load(self, name):
        image, class_map, boxes = make_scene(np.random.default_rng(int(name)))
        class_map[0] = map_id("not_road")
        labels = BoxLabels(
            boxes, np.zeros(1, np.int64), (0, 1, 2), np.zeros(class_map.shape, np.bool_)
        )
        known = {"kind": np.zeros(1, np.int64), "instances": np.zeros(class_map.shape, np.int32)}
        further = {name: array for name, array in known.items() if name in self.further}
        return Sample(name, image, class_map, labels, None, further)


def shown(further=(), **entry):
    config = SetConfig(name="scenes", **entry)
    part = ShownPart(Scenes(), hidden_names(config), config.frames, absence=bool(config.only))
    part.further = frozenset(further)
    return part


def test_a_hidden_class_is_neither_trained_nor_background():
    whole, part = Scenes()[0], shown(["kind"], hide=("vehicle",))[0]
    vehicle = whole.class_map == VEHICLE
    assert vehicle.any()
    assert (part.class_map[vehicle] == IGNORE).all()
    assert (part.class_map[~vehicle] == whole.class_map[~vehicle]).all()
    assert part.boxes.unjudged[vehicle].all()
    assert part.boxes.unjudged.sum() == vehicle.sum()
    assert not whole.boxes.unjudged.any()
    assert len(part.boxes.boxes_xyxy) == len(part.further["kind"]) == 0
    assert part.boxes.boxed_classes == (1, 2)
    assert "absent" not in part.further


def test_what_is_not_in_only_is_hidden_and_says_what_is_absent():
    whole, part = Scenes()[0], shown(["outlines", "instances"], only=("vehicle",))[0]
    vehicle = whole.class_map == VEHICLE
    assert (part.class_map == np.where(vehicle, VEHICLE, IGNORE)).all(), "the group too"
    assert part.boxes.boxed_classes == (0,)
    assert len(part.boxes.boxes_xyxy) == 1
    assert not part.boxes.unjudged.any()
    one_class = whole.class_map < len(MAP_CLASSES)
    assert ((part.further["absent"] == 1) == (one_class & ~vehicle)).all()
    assert (part.further["outlines"] == IGNORE).all(), "the boundaries are hidden too"
    assert (part.further["instances"] == -1).all()


def test_a_task_is_shown_without_the_classes_that_it_is_made_from():
    whole, part = Scenes()[0], shown(["outlines", "instances"], only=("boundary",))[0]
    assert (part.class_map == IGNORE).all()
    assert part.boxes is None
    assert (part.further["outlines"] == whole.class_map).all()
    assert (part.further["instances"] == 0).all()
    assert "absent" not in part.further, "nothing is known of classes"
    hidden = shown(["outlines"], hide=("boundary",))[0]
    assert (hidden.further["outlines"] == IGNORE).all()
    assert (hidden.class_map == whole.class_map).all()


def test_a_group_goes_with_the_class_that_it_is_told_from():
    assert (shown(hide=("road",))[0].class_map[0] == IGNORE).all()
    assert (shown(hide=("cyclist",))[0].class_map[0] == map_id("not_road")).all()


def test_a_memory_is_spread_evenly():
    assert shown(frames=3).names == ("0", "4", "8")
    assert shown(frames=20).names == Scenes().names


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param({"hide": ("cyclst",)}, "data.sets: camvid: hide: unknown name 'cyclst'; did you mean 'cyclist'", id="hide"),
        pytest.param({"only": ("boundry",)}, "data.sets: camvid: only: unknown name 'boundry'; did you mean 'boundary'", id="only"),
        pytest.param({"hide": ("sky",), "only": ("road",)}, "expected hide or only, got both", id="both"),
        pytest.param({"frames": -1}, "frames: expected 0 for all or more, got -1", id="frames"),
    ],
)  # fmt: skip
def test_a_wrong_part_is_one_line(entry, message):
    with pytest.raises(ConfigError, match=message) as caught:
        SetConfig(name="camvid", **entry)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param('extend.classes=["bycicle"]', "extend.classes: unknown name 'bycicle'", id="class"),
        pytest.param('extend.classes=["cyclists"]', "did you mean 'cyclist'", id="near class"),
        pytest.param("extend.temperature=0.0", "weight >= 0 and temperature > 0, got 1.0 and 0.0", id="temperature"),
    ],
)  # fmt: skip
def test_a_wrong_extension_is_one_line(change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_train_config("cascade", [*SMALL, change])
    assert "\n" not in str(caught.value)


def test_a_configuration_of_before_extensions_is_read():
    table = dump_config(TrainConfig())
    old = {key: value for key, value in table.items() if key != "extend"}
    old["data"]["sets"] = [{"name": "camvid"}]
    assert read_stored(old, "run").data.sets == (SetConfig(name="camvid"),)


def test_validation_does_not_score_what_training_never_shows(tmp_path):
    write_kitti_road(tmp_path)
    for hide, scored in ((("road",), False), ((), True)):
        sets = (
            SetConfig(name="kitti_road", hide=("road",)),
            SetConfig(name="kitti_road", hide=hide),
        )
        data = MixedData(DataConfig(sets=sets, workers=0), 1, 0, tmp_path)
        frames = list(data.val_dataloader())
        assert len(frames) == 4, "one set, however many entries it has"
        assert all((sample.class_map == ROAD).any() == scored for _, sample in frames)


def test_hidden_boxes_reach_the_batch_as_unjudged():
    frames = TrainingFrames(
        shown(hide=("vehicle",)), build_transforms((96, 64), (1.0, 1.0), "jitter")
    )
    batch = collate([frames[0], frames[1]])
    assert batch.boxed.tolist() == [[False, True, True]] * 2
    assert not any(len(boxes) for boxes in batch.boxes_xyxy)
    assert not (batch.class_map == VEHICLE).any()
    assert batch.unjudged.any()


def test_outlines_are_asked_for_where_a_part_is_hidden(tmp_path):
    write_kitti_road(tmp_path)
    for hide in ((), ("cyclist",)):
        sets = (SetConfig(name="kitti_road", hide=hide), SetConfig(name="kitti_road"))
        config = DataConfig(sets=sets, workers=0, crop_wh=(64, 64), batch_size=2)
        data = MixedData(config, 2, 0, tmp_path, further=("instances", "outlines"))
        for batch in data.train_dataloader():
            # frames of the set that hides nothing have them too: in a batch, who has none has no boundaries
            assert ("outlines" in batch.further) == bool(hide)
            if hide:
                assert torch.equal(batch.further["outlines"], batch.class_map)


def test_absence_lowers_the_class_and_nothing_else():
    loss = AbsenceLoss([SetConfig(name="camvid", only=("cyclist",)), SetConfig(name="camvid")])
    logits = torch.zeros(2, len(MAP_CLASSES), 8, 12, requires_grad=True)
    batch = make_batch()
    assert loss(logits, batch) == {}
    absent = torch.full_like(batch.class_map, IGNORE)
    absent[:, :32] = 1
    term = loss(logits, replace(batch, further={"absent": absent}))["absent"]
    torch.testing.assert_close(term, -torch.log(torch.tensor(10 / 11)))
    term.backward()
    assert (logits.grad[:, CYCLIST, :4] > 0).all()
    assert (logits.grad[:, :CYCLIST, :4] < 0).all()
    assert not logits.grad[:, :, 4:].any()
    other = SetConfig(name="camvid", only=("vehicle", "boundary"))
    with pytest.raises(
        ConfigError, match=r"same classes in all, got \[\['cyclist'\], \['vehicle'\]\]"
    ):
        AbsenceLoss([SetConfig(name="camvid", only=("cyclist",)), other])


def test_the_few_cells_of_a_shown_class_count_whatever_else_is_in_the_batch():
    loss = AbsenceLoss([SetConfig(name="camvid", only=("cyclist",)), SetConfig(name="camvid")])
    batch = make_batch()
    class_map = torch.full_like(batch.class_map, ROAD)
    class_map[0] = IGNORE
    class_map[0, :8, :8] = CYCLIST
    absent = torch.full_like(class_map, IGNORE)
    absent[0] = torch.where(class_map[0] == CYCLIST, IGNORE, 1)
    logits = torch.zeros(2, len(MAP_CLASSES), 8, 12, requires_grad=True)
    shown = loss(logits, replace(batch, class_map=class_map, further={"absent": absent}))["shown"]
    torch.testing.assert_close(shown, -torch.log(torch.tensor(1 / 11)))
    shown.backward()
    assert (logits.grad[0, CYCLIST, :1, :1] < 0).all()
    assert not logits.grad[1].any()  # of the set that shows all


def save(path, **model):
    """A checkpoint of an untrained network."""
    config = load_train_config("cascade", SMALL)
    config = replace(config, model=replace(config.model, **model))
    torch.manual_seed(0)
    network = MultiTaskModel(config.model)
    if network.fusion is not None:
        for tensor in network.fusion.parameters():
            torch.nn.init.normal_(tensor)  # a fresh one gives nothing
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"hyper_parameters": dump_config(config), "state_dict": state}, path)
    return config, network.eval()


def test_an_extended_network_starts_from_the_old_one_and_a_fresh_task(tmp_path):
    config, old = save(tmp_path / "old.ckpt", further=("boundary",))
    grown = replace(config.model, further=("boundary", "lanes"))
    network = MultiTaskModel(grown)
    fresh = network.tasks["lanes"].decoder.predict.weight.clone()
    extend_from(network, grown, tmp_path / "old.ckpt")
    for name, tensor in old.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    assert torch.equal(network.tasks["lanes"].decoder.predict.weight, fresh)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"neck_channels": 16}, r"another network \(model differs in \['neck_channels'\]\)", id="neck"),
        pytest.param({"backbone": "lean_resnet"}, r"another network \(model differs in \['backbone'\]\)", id="backbone"),
        pytest.param({"further": ()}, r"has the tasks \['boundary'\]; name them in model.further", id="lost task"),
    ],
)  # fmt: skip
def test_another_network_is_not_extended(tmp_path, change, message):
    config, _ = save(tmp_path / "old.ckpt", further=("boundary",))
    other = replace(config.model, **change)
    with pytest.raises(ConfigError, match=message) as caught:
        extend_from(MultiTaskModel(other), other, tmp_path / "old.ckpt")
    assert "\n" not in str(caught.value)


def test_the_command_hands_the_checkpoint_over(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "perception.training.train.train",
        lambda config, folder: seen.append((config, folder)) or {},
    )
    words = ["train", "--preset", "road", "--out", str(tmp_path), "--set", "extend.weight=2.0"]
    for more in ([], ["--extend", "old.ckpt"]):
        assert CliRunner().invoke(app, [*words, *more], standalone_mode=False).exit_code == 0
    (without, _), (config, folder) = seen
    assert (without.extend.checkpoint, config.extend.checkpoint) == ("", "old.ckpt")
    assert (config.extend.weight, folder) == (2.0, tmp_path)


def test_no_checkpoint_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data")))
    config = load_train_config("cascade", [*SMALL, 'extend.checkpoint="none.ckpt"'])
    with pytest.raises(
        ConfigError, match=r"^extend: none.ckpt: .*missing, empty or damaged"
    ) as caught:
        train(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    with pytest.raises(
        ConfigError, match=r"^extend.checkpoint and init: .* none.ckpt and some.ckpt"
    ):
        train(replace(config, init="some.ckpt"), tmp_path / "other")


def test_the_terms_are_zero_at_the_start_and_new_classes_are_not_followed(tmp_path):
    config, network = save(tmp_path / "old.ckpt", further=("boundary",))
    follow = replace(config.extend, checkpoint=str(tmp_path / "old.ckpt"), classes=("vehicle",))
    old, batch = OldOutputs(follow), make_batch()
    assert not list(old.parameters()), "not in the checkpoints of the new network"
    with torch.no_grad():
        out = network(batch.frame)
        terms = old(out, batch)
        assert set(terms) == {"detection", "segmentation", "boundary"}
        for named in terms.values():
            for name, term in named.items():
                assert abs(float(term)) < 1e-4, name

        stride = batch.class_map.shape[1] // out.class_logits.shape[2]
        cells = torch.nn.functional.max_pool2d((batch.class_map == VEHICLE).float(), stride) > 0
        moved = out.class_logits.clone()
        moved[:, VEHICLE] += 5 * cells
        assert (
            float(old(out._replace(class_logits=moved), batch)["segmentation"]["old_segmentation"])
            < 1e-4
        )
        moved[:, SKY] += 5 * ~cells
        assert (
            float(old(out._replace(class_logits=moved), batch)["segmentation"]["old_segmentation"])
            > 0.01
        )

        x1, y1, x2, y2 = batch.boxes_xyxy[0][0].tolist()
        middle = (slice(0, 1), slice(None), int((y1 + y2) / 16), int((x1 + x2) / 16))
        for elsewhere in (False, True):
            maps = [m.clone() for m in out.detection.predictions]
            place = (slice(0, 1), slice(None), 0, 0) if elsewhere else middle
            maps[0][place] += 4
            found = old(
                out._replace(detection=out.detection._replace(predictions=tuple(maps))), batch
            )
            assert (float(sum(found["detection"].values())) > 1e-3) == elsewhere


def test_the_old_network_is_given_the_scan_too(tmp_path):
    config, network = save(tmp_path / "old.ckpt", fusion="mid")
    follow = replace(config.extend, checkpoint=str(tmp_path / "old.ckpt"))
    old, batch = OldOutputs(follow), make_batch()
    scan = torch.rand(batch.frame.shape[:3])
    with torch.no_grad():
        terms = old(network(batch.frame, scan), batch, scan)
        assert all(abs(float(term)) < 1e-4 for named in terms.values() for term in named.values())
        without = old(network(batch.frame, scan), batch)
        assert float(without["segmentation"]["old_segmentation"]) > 1e-4, "the scan tells something"


def fit(config, batch):
    """Train on one batch; gives the network in evaluation mode."""
    torch.manual_seed(1)
    module = MultiTaskModule(config)
    module.log_dict = lambda *_, **__: None
    if config.extend.checkpoint:
        extend_from(module.model, config.model, Path(config.extend.checkpoint))
    optimizer = torch.optim.AdamW(module.model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
    return module.model.eval()


@pytest.mark.timeout(120)
def test_following_the_old_network_keeps_what_plain_fine_tuning_loses(tmp_path):
    config = load_train_config("cascade", [*SMALL, "model.task=segmentation"])
    whole = make_batch()
    vehicle = whole.class_map == VEHICLE
    old = fit(config, replace(whole, class_map=whole.class_map.masked_fill(vehicle, IGNORE)))
    state = {f"model.{name}": tensor for name, tensor in old.state_dict().items()}
    path = tmp_path / "old.ckpt"
    torch.save({"hyper_parameters": dump_config(config), "state_dict": state}, path)

    frames = replace(whole, class_map=whole.class_map.masked_fill(~vehicle, IGNORE))
    kept = {}
    for weight in (0.0, 1.0):
        follow = replace(
            config.extend, checkpoint=str(path), classes=("vehicle",), weight=weight,
            keep_norms=weight > 0,
        )  # fmt: skip
        network = fit(replace(config, extend=follow), frames)
        with torch.no_grad():
            found = network(whole.frame).class_logits.argmax(dim=1)
        stride = whole.class_map.shape[1] // found.shape[1]
        labels = whole.class_map[:, stride // 2 :: stride, stride // 2 :: stride]
        right = found == labels
        kept[weight] = float(right[labels != VEHICLE].float().mean())
        assert float(right[labels == VEHICLE].float().mean()) > 0.8, "the new class is learnt"
    assert kept[1.0] > 0.85
    assert kept[0.0] < 0.75


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kept", [True, False])
def test_norms_of_the_old_parts_keep_the_statistics_of_the_old_data(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data")))
    config, old = save(tmp_path / "old.ckpt")
    extend = replace(config.extend, checkpoint=str(tmp_path / "old.ckpt"), keep_norms=kept)
    grown = replace(config.model, further=("boundary",))
    # with a validation after half of the steps: what comes after it keeps them too
    train(replace(config, model=grown, extend=extend, val_every=2), tmp_path / "run")
    _, weights = read_checkpoint(tmp_path / "run" / "last.ckpt")
    before = old.state_dict()
    means = [name for name in before if name.endswith("running_mean")]
    same = [torch.equal(before[name], weights[name]) for name in means]
    assert all(same) if kept else not any(same)
    fresh = [weights[n] for n in weights.keys() - before.keys() if n.endswith("running_mean")]
    assert fresh
    assert all(mean.abs().sum() > 0 for mean in fresh), "a new task finds its own"
    moved = [n for n in before if n.endswith("weight") and not torch.equal(before[n], weights[n])]
    assert moved


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")
def test_an_extension_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data")))
    config = load_train_config("cascade", SMALL)
    train(replace(config, steps=1), tmp_path / "old")
    last = tmp_path / "old" / "last.ckpt"
    extension = replace(config, extend=replace(config.extend, checkpoint=str(last)))
    steps = []
    whole = MultiTaskModule.training_step

    def fail_at_the_third(module, batch, index):
        if len(steps) == 2:
            raise OSError("power cut")
        steps.append(module.global_step)
        return whole(module, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", fail_at_the_third)
    with pytest.raises(OSError, match="power cut"):
        train(extension, tmp_path / "run")
    steps.clear()
    monkeypatch.setattr(
        MultiTaskModule,
        "training_step",
        lambda module, *rest: steps.append(module.global_step) or whole(module, *rest),
    )
    # what it goes on from are its own weights, not the old network's
    monkeypatch.setattr("perception.training.train.extend_from", None)
    assert train(extension, tmp_path / "run")["steps"] == 4
    assert steps == [2, 3]
    stored, _ = read_checkpoint(tmp_path / "run" / "last.ckpt")
    assert stored.extend.checkpoint == str(last)
