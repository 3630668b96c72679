"""What `perception verify` found, as a page and a table that a person can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

COLUMNS = (
    "backend", "precision", "frames", "equal pixels", "worst frame", "road IoU", "worst frame",
    "boxes matched", "box px", "score", "verdict",
)  # fmt: skip


def parity_table(summary: Mapping[str, Any]) -> Table:
    """The figures as a table."""
    table = Table(title=f"{summary['engine']}: difference from torch in float32")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for row in _rows(summary):
        table.add_row(*row)
    return table


def parity_page(summary: Mapping[str, Any]) -> str:
    """The same as Markdown, with the tolerances."""
    lines = [
        f"# {summary['engine']}: difference from torch in float32",
        "",
        "Written by `perception verify`. Shares are of all pixels, of what either calls road, of torch's boxes of score 0.05 or more; box and "
        "score are the largest differences of a matched box. A frame with hardly any road is not looked at by itself. Of two boxes of one "
        "object whose scores are nearly equal, one runner may keep the one and one the other: such pairs make the large box differences.",
        "",
        *_markdown(COLUMNS, _rows(summary)),
        "",
        "Tolerances; a precision that has none is reported, not judged:",
        "",
    ]
    limits = summary["tolerances"]
    names = ("equal_pixels", "road_iou", "worst_road_iou", "matched", "box_px", "score")
    header = ("precision", *(name.replace("_", " ") for name in names))
    rows = [
        (precision, *("-" if limit[n] is None else f"{limit[n]:g}" for n in names))
        for precision, limit in limits.items()
    ]
    return "\n".join((*lines, *_markdown(header, rows))) + "\n"


def _rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            result["backend"],
            result["precision"],
            str(result["frames"]),
            *(
                f"{100 * result[key]:.3f} %"
                for key in (
                    "equal_pixels",
                    "worst_equal",
                    "road_iou",
                    "worst_road_iou",
                    "matched_boxes",
                )
            ),
            f"{result['box_px']:.2f}",
            f"{result['score']:.4f}",
            _verdict(result),
        )
        for result in summary["results"]
    ]


def _verdict(result: Mapping[str, Any]) -> str:
    if not result["frames"]:
        return "no frame of its size"
    return ("within" if result["ok"] else "OUTSIDE") if result["judged"] else "reported"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
