import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from perception.core.errors import ConfigError
from perception.training.config import TrainConfig, list_presets, load_train_config
from perception.training.hardware import choose_precision
from perception.training.train import train
from tests.training.factories import write_kitti_road

SMALL = [
    "steps=6", "val_every=3", "val_frames=2", "precision=fp32", "threads=1", 'accelerator="cpu"',
    'model={backbone="resnet18", pretrained=false, neck_channels=8}',
    'data={sets=[{name="kitti_road"}], crop_wh=[64, 64], batch_size=2, workers=0}',
    'monitor=["kitti_road/road_iou"]',
]  # fmt: skip


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A run of seconds on synthetic frames."""
    monkeypatch.setenv("PERCEPTION_DATA", str(write_kitti_road(tmp_path / "data")))
    return load_train_config("cascade", SMALL)


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_loads(name):
    assert isinstance(load_train_config(name), TrainConfig)


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        pytest.param("cascad", [], "unknown preset 'cascad'; known: .*cascade", id="preset"),
        pytest.param("cascade", ["stepz=5"], "unknown key 'stepz'; did you mean 'steps'", id="key"),
        pytest.param(
            "cascade", ["optimizer.lrr=5.0"], "optimizer.lrr.*did you mean 'lr'", id="nested key"
        ),
        pytest.param("cascade", ["steps=many"], "steps: .*integer.*got 'many'", id="type"),
        pytest.param(
            "cascade", ["model.task=both"], "model.task: .*'cascade'.*got 'both'", id="choice"
        ),
        pytest.param(
            "cascade",
            ["data.crop_wh=[500, 352]"],
            r"data.crop_wh: .* 32, got \[500, 352\]",
            id="size",
        ),
    ],
)
def test_a_wrong_configuration_is_one_line(preset, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_train_config(preset, changes)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        pytest.param(("camvid/miou",), "figure of a validation set .kitti_road.", id="another set"),
        pytest.param((), "figure of a validation set", id="none"),
        pytest.param(("kitti_road/miuo",), "known: .*kitti_road/road_iou", id="no such figure"),
    ],
)
def test_a_best_checkpoint_needs_a_figure_that_is_counted(small, tmp_path, monitor, message):
    with pytest.raises(ConfigError, match=f"monitor: .*{message}"):
        train(replace(small, monitor=monitor), tmp_path / "run")


@pytest.mark.filterwarnings("default")
def test_a_weight_of_no_term_is_told(small, tmp_path, monkeypatch):
    monkeypatch.setattr("perception.training.module.TERMS_KNOWN_AT", 2)
    config = replace(small, loss=replace(small.loss, weights={"boxes": 2.0}))
    with pytest.raises(ConfigError, match=r"loss.weights: unknown name 'boxes'.*objectness"):
        train(config, tmp_path / "run")


def test_a_configuration_that_was_half_written_is_one_line(small, tmp_path):
    (tmp_path / "config.json").write_text('{"steps": 6')
    with pytest.raises(ConfigError, match=r"config\.json: .*got no JSON .*delete the folder"):
        train(small, tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("default")
def test_a_run_leaves_its_best_checkpoint_and_its_configuration(small, tmp_path):
    summary = train(small, tmp_path / "run")
    assert summary["steps"] == 6
    assert 0 <= summary["score"] <= 1
    assert (tmp_path / "run" / "best.ckpt").is_file()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 6
    with pytest.raises(ConfigError, match=r"another configuration \(differs in \['seed'\]\)"):
        train(load_train_config("cascade", [*SMALL, "seed=1"]), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_run_goes_on_where_it_stopped(small, tmp_path):
    changes = [a for text in [*SMALL, "steps=60", "val_every=20"] for a in ("--set", text)]
    command = [
        sys.executable,
        "-m",
        "perception",
        "train",
        "--preset",
        "cascade",
        "--out",
        str(tmp_path / "run"),
        *changes,
    ]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    last = tmp_path / "run" / "last.ckpt"
    for _ in range(600):
        if last.is_file():
            break
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    reached = torch.load(last, weights_only=True)["global_step"]
    assert 0 < reached < 60
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 60
    assert f"going on from {last}" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_one_network_over_gloo(small, tmp_path):
    changes = [a for text in [*SMALL, "devices=2", "strategy=ddp"] for a in ("--set", text)]
    command = [
        sys.executable,
        "-m",
        "perception",
        "train",
        "--preset",
        "cascade",
        "--out",
        str(tmp_path / "run"),
        *changes,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "distributed_backend=gloo" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 6


def test_bfloat16_is_refused_where_it_would_be_emulated(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision("auto", "cpu") == "32-true"
    with pytest.raises(ConfigError, match="no bfloat16 arithmetic; set precision=fp32"):
        choose_precision("bf16", "cpu")


def test_a_run_on_the_cpu_of_a_machine_with_a_gpu_asks_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision("auto", "auto") == "bf16-mixed"
    assert choose_precision("auto", "cpu") == "32-true"
