"""A newcomer who follows CONTRIBUTING.md to add a loss or a head has one that works. Nothing is known here but that text."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# what the newcomer then does: asks for the loss by its name, as training does, and follows the gradient
USE_LOSS = """
import torch
from perception.core.labels import BOX_CLASSES, IGNORE, MAP_CLASSES, ROAD
from perception.training.config import load_train_config
from perception.training.losses import SEGMENTATION_LOSSES
from perception.training.losses.base import Batch

assert SEGMENTATION_LOSSES.__class__.__module__ == "perception.core.registry"
name = load_train_config("cascade", ["loss.segmentation=road_dice"]).loss.segmentation
loss = SEGMENTATION_LOSSES[name]()
class_map = torch.zeros(1, 64, 64, dtype=torch.uint8)  # sky
class_map[:, 32:] = ROAD
class_map[:, :8] = IGNORE
batch = Batch(
    frame=torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
    class_map=class_map,
    unjudged=torch.ones(1, 64, 64, dtype=torch.bool),
    boxes_xyxy=(torch.zeros(0, 4),),
    class_ids=(torch.zeros(0, dtype=torch.int64),),
    boxed=torch.ones(1, len(BOX_CLASSES), dtype=torch.bool),
)
right = torch.zeros(1, len(MAP_CLASSES), 8, 8)
right[:, 0, :4] = right[:, ROAD, 4:] = 20.0
unsure = torch.zeros_like(right, requires_grad=True)
cost = {key: sum(loss(logits, batch).values()) for key, logits in
        {"right": right, "unsure": unsure, "wrong": right.flip(2)}.items()}
cost["unsure"].backward()
assert unsure.grad.isfinite().all() and (unsure.grad[:, ROAD, 4:] < 0).all()
assert 0 <= cost["right"] < 0.1 < cost["unsure"] < cost["wrong"] <= 1, cost
print("usable")
"""

# learns two frames by heart, leaves as ONNX, and is scored on what came out
USE_HEAD = """
import numpy as np
import onnxruntime
import torch
from perception.core.labels import BOX_CLASSES, IGNORE, ROAD
from perception.datasets import Sample
from perception.export.onnx import to_onnx
from perception.models.graph import InferenceGraph
from perception.training.config import load_train_config
from perception.training.inference import TaskScores, run_on_sample
from perception.training.losses.base import Batch
from perception.training.module import MultiTaskModule

torch.manual_seed(0)
config = load_train_config("cascade", [
    'model.further=["sky_share"]', 'model.backbone="resnet18"', "model.pretrained=false", "model.neck_channels=8",
])
maps = np.full((2, 64, 64), ROAD, np.uint8)
maps[0, :48], maps[1, :16] = 0, 0
maps[:, :, 40:] = IGNORE
frames = np.where(maps[..., None] == 0, 220, 40).repeat(3, axis=3).astype(np.uint8)
batch = Batch(
    frame=torch.from_numpy(frames),
    class_map=torch.from_numpy(maps),
    unjudged=torch.ones(2, 64, 64, dtype=torch.bool),
    boxes_xyxy=(torch.zeros(0, 4),) * 2,
    class_ids=(torch.zeros(0, dtype=torch.int64),) * 2,
    boxed=torch.ones(2, len(BOX_CLASSES), dtype=torch.bool),
)
module = MultiTaskModule(config)
task = module.model.tasks["sky_share"]
optimizer = torch.optim.Adam(module.model.parameters(), 0.01)
for _ in range(40):
    (cost,) = task.loss(module.model(batch.frame).further["sky_share"], batch).values()
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
with torch.no_grad():
    for _ in range(30):
        module.model(batch.frame)
graph = InferenceGraph(module.model.eval(), config.graph).eval()
scores = TaskScores(graph)
for image, class_map in zip(frames, maps):
    sample = Sample("frame", image, class_map, None, None)
    scores.update(sample, run_on_sample(graph, sample))
assert scores.compute()["sky_share/error"] < 0.05, scores.compute()
session = onnxruntime.InferenceSession(to_onnx(graph).SerializeToString())
(found,) = session.run(["sky_share"], {"frame": frames})
assert np.abs(found[:, 0] - [0.75, 0.25]).max() < 0.05, found
print("usable")
"""
PARTS = {"A loss": USE_LOSS, "A head": USE_HEAD}


def _steps(part):
    """The file, its code, the registry's file, its table, and the line, as the text has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split(f"### {part}, step by step")[1].split("### ")[0]
    blocks = [
        textwrap.dedent(b) for b in re.findall(r"```python\n(.*?)\n *```", section, re.DOTALL)
    ]
    code, line = blocks
    (new_file,) = re.findall(r"^ *`(perception/\S+\.py)`:$", section, re.MULTILINE)
    ((table, table_file),) = re.findall(r"the table `(\w+)` in `(\S+)`", section)
    return new_file, code + "\n", table_file, table, line.strip()


@pytest.fixture
def copy(part, tmp_path):
    """A copy of the project's code in which the steps for a part were followed."""
    new_file, code, table_file, table, line = _steps(part)
    shutil.copytree(
        ROOT / "perception",
        tmp_path / "perception",
        ignore=shutil.ignore_patterns("__pycache__", "assets"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / new_file).write_text(code, encoding="utf-8")
    path = tmp_path / table_file
    before, start, entries = path.read_text(encoding="utf-8").partition(f"{table} = Registry(")
    assert start
    head, brace, rest = entries.partition("{")
    path.write_text(f"{before}{start}{head}{brace}\n        {line}\n{rest}", encoding="utf-8")
    return tmp_path


@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", list(PARTS))
def test_the_part_of_contributing_can_be_used(part, copy):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", PARTS[part]], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.strip() == "usable", done.stderr


@pytest.mark.parametrize("part", list(PARTS))
def test_the_part_of_contributing_passes_the_gates(part, copy):
    new_file = _steps(part)[0]
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["format", "--check"], ["check", "--no-cache"]):
        done = subprocess.run(
            [ruff, *command, new_file], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
