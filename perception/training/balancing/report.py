"""What was measured of how tasks get on with each other: kept line by line while training, as a table at its end."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from perception.core.errors import OutputError

LINES_FILE = "tasks.jsonl"
TABLE_FILE = "tasks.md"
PARTS = 4  # of the training, columns of the table


class TaskReport(pl.Callback):
    """Writes the table when the training ends.

    Args:
        folder: of the run.
        steps: of the whole run.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self._folder = folder
        self._steps = steps

    def on_train_end(self, *_: Any) -> None:  # noqa: ANN401 (Lightning's hook)
        """The last step is done."""
        lines = self._folder / LINES_FILE
        if lines.is_file():
            write_table(lines, self._folder / TABLE_FILE, self._steps)


def keep(folder: Path, step: int, measured: Mapping[str, Tensor]) -> None:
    """Add one measurement to the run's file; a run that goes on adds to what is there.

    Raises:
        OutputError: the file cannot be written.
    """
    row = {"step": step, **{name: round(float(value), 6) for name, value in measured.items()}}
    path = folder / LINES_FILE
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def write_table(lines: Path, table: Path, steps: int) -> None:
    """Means of every quarter of the training.

    Args:
        lines: as `keep` leaves them.
        table: Markdown.
        steps: of the whole run.
    """
    read = (json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines())
    rows = list({row["step"]: row for row in read}.values())  # steps done again after a kill
    names = sorted({name for row in rows for name in row} - {"step"})
    head = ["measured", *(f"steps {steps * i // PARTS} on" for i in range(PARTS))]
    text = [
        "Cosines between the tasks' gradients (`agreement`: below 0 they are in conflict), lengths of the gradients (`length`), and by what",
        "share of itself a task's loss falls with a step for another (`affinity`). Means over the measurements of each part of the training.",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for name in names:
        cells = []
        for part in range(PARTS):
            low, high = steps * part / PARTS, steps * (part + 1) / PARTS
            values = [row[name] for row in rows if name in row and low <= row["step"] < high]
            cells.append(f"{np.mean(values):.4f}" if values else "-")
        text.append(f"| {name} | {' | '.join(cells)} |")
    table.write_text("\n".join(text) + "\n", encoding="utf-8")
