"""A comparison as tables: on the terminal, and in a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

NOTES = (
    "Figures: mean over the seeds (lowest to highest seed), with the box mask of the arm; a dash where the network has no head for it.",
    "Differences: of the means, with the 95 % interval of a paired bootstrap over blocks of frames; it tells how sure the "
    "frames make the difference, not how far other seeds would be. Figures without an interval are those of road scores and ap50_95, and those that some draw of frames, or too few blocks of them, do not allow.",
)

Rows = list[list[str]]


def figure_rows(comparison: Mapping[str, Any]) -> Rows:
    """A header and a row for each figure; a column for each arm."""
    arms = comparison["arms"]
    return [
        ["figure", *arms],
        ["steps", *(str(arm["steps"]) for arm in arms.values())],
        ["seeds", *(" ".join(map(str, arm["seeds"])) for arm in arms.values())],
        ["parameters, M", *(f"{arm['parameters'] / 1e6:.2f}" for arm in arms.values())],
        *_forward_rows(arms),
        *(
            [figure, *(_text(arm["figures"].get(figure)) for arm in arms.values())]
            for figure in _figures(comparison)
        ),
    ]


def _forward_rows(arms: Mapping[str, Any]) -> Rows:
    """Forward time, where it was measured: each arm then has ``forward`` with the name of the reference and the ratio to it."""
    if not all("forward" in arm for arm in arms.values()):
        return []
    times = [arm["forward"] for arm in arms.values()]
    texts = (f"{t['ratio']:.3f} ({t['ratio_low']:.3f} to {t['ratio_high']:.3f})" for t in times)
    return [[f"forward time at {times[0]['size']}, {times[0]['reference']} = 1", *texts]]


def difference_rows(comparison: Mapping[str, Any]) -> Rows:
    """The same of the differences to the first arm, or to the one that a figure is compared with; nothing where there is one arm.

    The place of that arm stays empty.
    """
    first, *others = comparison["arms"]
    if not others:
        return []
    against = comparison.get("against", {})
    rows = [[f"difference to {first}", "", *others]]
    for figure in _figures(comparison):
        other = against.get(figure, first)
        title = figure if other == first else f"{figure}, to {other}"
        cells = (
            "" if arm == other else _difference(found["figures"].get(figure))
            for arm, found in comparison["arms"].items()
        )
        rows.append([title, *cells])
    return rows


def rich_table(title: str, comparison: Mapping[str, Any]) -> Table:
    """For the terminal."""
    header, *rows = figure_rows(comparison)
    table = Table(title=title, caption=" ".join(NOTES))
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for row in rows:
        table.add_row(*row)
    table.add_section()
    for i, row in enumerate(difference_rows(comparison)):
        table.add_row(*row, style=None if i else "bold")
    return table


def write_markdown(path: Path, title: str, comparison: Mapping[str, Any]) -> None:
    """For a text."""
    blocks = [rows for rows in (figure_rows(comparison), difference_rows(comparison)) if rows]
    parts = (f"# {title}", *map(_markdown, blocks), *NOTES)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _figures(comparison: Mapping[str, Any]) -> list[str]:
    """In the order in which the arms have them."""
    return list(dict.fromkeys(f for arm in comparison["arms"].values() for f in arm["figures"]))


def _markdown(rows: Rows) -> str:
    header, *others = rows
    lines = [header, ["---"] * len(header), *others]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return f"{entry['mean']:.3f} ({entry['min']:.3f} to {entry['max']:.3f})"


def _difference(entry: Mapping[str, Any] | None) -> str:
    if entry is None or "difference" not in entry:
        return "-"
    text = f"{entry['difference']:+.3f}"
    if entry["interval"] is None:
        return text
    low, high = entry["interval"]
    return f"{text} ({low:+.3f} to {high:+.3f})"
