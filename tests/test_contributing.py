"""A newcomer who follows CONTRIBUTING.md to add a loss has a loss that works. Nothing is known here but that text."""

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
USE = """
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


def _steps():
    """The file, its code, the registry's file, its table, and the line, as the text has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text[text.index("### A loss, step by step") : text.index("### A backbone")]
    blocks = [
        textwrap.dedent(b) for b in re.findall(r"```python\n(.*?)\n *```", section, re.DOTALL)
    ]
    code, line = blocks
    (new_file,) = re.findall(r"^ *`(perception/\S+\.py)`:$", section, re.MULTILINE)
    ((table, table_file),) = re.findall(r"the table `(\w+)` in `(\S+)`", section)
    return new_file, code + "\n", table_file, table, line.strip()


@pytest.fixture
def copy(tmp_path):
    """A copy of the project's code in which the steps were followed."""
    new_file, code, table_file, table, line = _steps()
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


def test_the_loss_of_contributing_can_be_trained_with(copy):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.strip() == "usable", done.stderr


def test_the_loss_of_contributing_passes_the_gate_of_style(copy):
    new_file = _steps()[0]
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["format", "--check"], ["check", "--no-cache"]):
        done = subprocess.run(
            [ruff, *command, new_file], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
