"""The summary of an evaluation as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from perception.metrics.bootstrap import MIN_BLOCKS
from perception.metrics.evaluator import EFFECT, MASK_EFFECTS, UNMASKED

# the figures whose intervals are shown; the others' are in the summary
MAIN = (
    "miou", "road_iou", "road_precision", "road_recall", "road_f1", "vehicle_called_road", "ap50",
)  # fmt: skip
CAPTION = (
    "with the box mask / without it; all but frames in [0, 1]. 95 %: interval of a bootstrap over blocks of neighbouring "
    f"frames; few blocks make it too narrow, fewer than {MIN_BLOCKS} make none"
)

Rows = dict[str, list[str]]


def figures_table(summary: Mapping[str, Any]) -> Table:
    """The figures of `evaluate`: a row each, a column for every set; with the box mask, and behind the stroke without it.

    Under the main figures stand their intervals, and at the end what the mask changes.
    """
    title = f"{summary['engine']}, {summary['backend']} {summary['precision']}"
    table = Table(title=title, caption=CAPTION)
    table.add_column("figure", no_wrap=True)
    sets = summary["figures"]
    rows: Rows = {}
    effects: Rows = {}
    for column, (name, figures) in enumerate(sets.items()):
        table.add_column(name, justify="right")
        intervals = summary["intervals"][name]
        blocks = rows.setdefault("blocks of frames", [""] * len(sets))
        blocks[column] = str(summary["bootstrap"][name]["blocks"])
        for key, value in figures.items():
            row = rows.setdefault(key.replace(UNMASKED, ""), [""] * len(sets))
            text = f"{value:.0f}" if key.startswith("frames") else f"{value:.4f}"
            row[column] = f"{row[column]} / {text}" if UNMASKED in key else text
        for key in MASK_EFFECTS:
            if key in figures and key + UNMASKED in figures:
                row = effects.setdefault(f"{key}, with minus without", [""] * len(sets))
                row[column] = f"{figures[key] - figures[key + UNMASKED]:+.4f}"
                if key + EFFECT in intervals:
                    row = effects.setdefault(f"  95 %, {key}", [""] * len(sets))
                    row[column] = "{:+.4f} to {:+.4f}".format(*intervals[key + EFFECT])
    for key, cells in rows.items():
        table.add_row(key, *cells)
        for suffix, label in (("", "  95 %"), (UNMASKED, "  95 %, no mask")):
            found = [summary["intervals"][name].get(key + suffix) for name in sets]
            if key in MAIN and any(found):
                table.add_row(label, *("{:.3f} to {:.3f}".format(*i) if i else "" for i in found))
    table.add_section()
    for key, cells in effects.items():
        table.add_row(key, *cells)
    return table
