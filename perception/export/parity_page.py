"""What `perception verify` found, as a page and as tables that a person can read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from perception.export.parity import Points

COLUMNS = (
    "backend", "precision", "frames", "equal pixels", "worst frame", "road IoU", "worst frame",
    "boxes matched", "box px", "score", "verdict",
)  # fmt: skip
SHOWN_FLIPS = 20  # of one runner

Summary = Mapping[str, Any]


def parity_table(summary: Summary) -> Table:
    """How far each runner is from torch."""
    title = f"{summary['engine']}: difference from torch in float32"
    return _table(title, COLUMNS, _rows(summary))


def label_table(summary: Summary) -> Table:
    """By how many points each runner's figures on labels differ from float32's."""
    title = f"{summary['engine']}: difference from float32 on labels, points"
    return _table(title, _label_columns(summary), _label_rows(summary))


def parity_page(summary: Summary) -> str:
    """The same as Markdown, with the tolerances and the matches that flip."""
    lines = [
        f"# {summary['engine']}: difference from torch in float32",
        "",
        "Written by `perception verify`. Shares are of all pixels, of what either calls road, of torch's boxes of score 0.05 or more; box and "
        "score are the largest differences of a matched box. A frame with hardly any road is not looked at by itself. Of two boxes of one "
        "object whose scores are nearly equal, one runner may keep the one and one the other: such pairs make the large box differences.",
        "",
        *_markdown(COLUMNS, _rows(summary)),
        "",
        "Tolerances; what has none is reported, not judged. Those of figures on labels are points:",
        "",
        *_tolerances(summary["tolerances"]),
        "",
        "## On labels",
        "",
        "What rounding changes in the figures on the labels of the same frames, all sets together, in points: 100 x (rounded - float32), float32 "
        "being ONNX Runtime's. A match flips where only one of the two meets a labelled box at IoU 0.5: at all, which changes AP50, or with at "
        "least the engine's score threshold, which is what a user sees. The largest differences of scores come first; - is no box that meets it.",
        "",
        *_markdown(_label_columns(summary), _label_rows(summary)),
    ]
    for result in summary["labels"]:
        lines += ["", *_label_section(result)]
    return "\n".join(lines) + "\n"


def _rows(summary: Summary) -> list[tuple[str, ...]]:
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


def _label_columns(summary: Summary) -> tuple[str, ...]:
    names = _union(result["figures"] for result in summary["labels"])
    return ("backend", "precision", "frames", *names, "flipped", "verdict")


def _label_rows(summary: Summary) -> list[tuple[str, ...]]:
    names = _union(result["figures"] for result in summary["labels"])
    return [
        (
            result["backend"],
            result["precision"],
            str(result["frames"]),
            *(f"{f[n]['points']:+.2f}" if n in (f := result["figures"]) else "-" for n in names),
            f"{len(result['flips'])} of {result['labelled']}",
            _verdict(result),
        )
        for result in summary["labels"]
    ]


def _label_section(result: Summary) -> list[str]:
    figures = [
        (name, f"{row['float32']:.4f}", f"{row['rounded']:.4f}", f"{row['points']:+.3f}")
        for name, row in result["figures"].items()
    ]
    flips = [
        (
            flip["frame"],
            flip["class_name"],
            " ".join(f"{edge:.0f}" for edge in flip["box_xyxy"]),
            *(f"{flip[key]:.3f}" if flip[key] else "-" for key in ("float32", "rounded")),
        )
        for flip in result["flips"][:SHOWN_FLIPS]
    ]
    more = len(result["flips"]) - len(flips)
    lines = [
        f"### {result['backend']} {result['precision']}",
        "",
        *_markdown(("figure", "float32", "rounded", "points"), figures),
    ]
    header = ("frame", "class", "box, px", "score, float32", "score, rounded")
    lines += ["", *(_markdown(header, flips) if flips else ["No match flips."])]
    if more:
        lines += ["", f"and {more} more in `parity.json`"]
    return lines


def _tolerances(limits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    outputs = ("equal_pixels", "road_iou", "worst_road_iou", "matched", "box_px", "score")
    figures = _union(limit["points"] for limit in limits.values())
    header = ("precision", *(name.replace("_", " ") for name in outputs), *figures)
    rows = [
        (
            precision,
            *("-" if limit[name] is None else f"{limit[name]:g}" for name in outputs),
            *(
                str(Points(**p[name])) if name in (p := limit["points"]) else "-"
                for name in figures
            ),
        )
        for precision, limit in limits.items()
    ]
    return _markdown(header, rows)


def _union(names: Iterable[Iterable[str]]) -> list[str]:
    """Every name once, as they first come."""
    return list(dict.fromkeys(name for some in names for name in some))


def _verdict(result: Summary) -> str:
    if not result["frames"]:
        return "no frame of its size"
    return ("within" if result["ok"] else "OUTSIDE") if result["judged"] else "reported"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A column for each runner, the first two of `columns` being its name: there are fewer of them than of figures."""
    table = Table(title=title)
    table.add_column(no_wrap=True)
    for row in rows:
        table.add_column(" ".join(row[:2]), justify="right", overflow="fold")
    for name, *cells in list(zip(columns, *rows, strict=True))[2:]:
        table.add_row(name, *cells)
    return table


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
