"""A calibration as tables, as one page that needs no other file, and as JSON."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from perception.calibration.boards.choose import covered
from perception.calibration.boards.pictures import before_and_after, charts_png, page_png
from perception.calibration.boards.stereo import Stereo
from perception.calibration.boards.uncertainty import Calibrated
from perception.core.files import write_atomically

JPEG_QUALITY = 85
LITTLE_BITS = 0.25  # a view that adds less could as well be missing
VALUE_HEAD = ("value", "fitted", "sigma", "formula", "jackknife")
VIEW_HEAD = ("view", "corners", "rms px", "tilt deg", "adds bits", "")
ASSUMED = (
    "sigma is one standard deviation, the larger of two estimates. The formula's (OpenCV's) assumes that corners err independently and all "
    "alike, and that the lens is of the fitted kind; a bent board breaks the first. The jackknife's is how the values move when views are left "
    "out one by one; it assumes only that views err independently, and is rough below ten views. Neither knows of a lens of another kind. "
    "Bits: by how much a view narrows all values together beyond what the others tell; 1 halves the volume of their joint interval."
)
STYLE = """
:root { --back: #14171a; --panel: #1d2226; --line: #313a40; --text: #e4e9ec; --dim: #8f9ba3; --bad: #ffd166; }
body { margin: 0 auto; max-width: 1440px; padding: 12px; background: var(--back); color: var(--text); font: 14px/1.4 system-ui, sans-serif; }
h1 { font-size: 16px; } h2 { color: var(--dim); font-size: 12px; font-weight: 400; margin: 0 0 6px; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 10px; margin-bottom: 12px; overflow-x: auto; }
.figures { display: flex; flex-wrap: wrap; gap: 8px; margin-bottom: 12px; }
.figure { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 6px 14px; }
.figure b { display: block; font-size: 20px; font-weight: 600; } .figure span, p { color: var(--dim); font-size: 12px; }
.columns { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); align-items: start; }
img { display: block; width: 100%; border-radius: 4px; } li { color: var(--bad); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--dim); font-weight: 400; font-size: 12px; border-bottom: 1px solid var(--line); }
th, td { padding: 2px 14px 2px 0; white-space: nowrap; } td:not(:first-child), th:not(:first-child) { text-align: right; }
.why td { white-space: normal; text-align: left !important; }
"""

Row = tuple[str, ...]


def write_report(
    result: Calibrated, folder: Path, name: str, title: str, stereo: Sequence[Row] = ()
) -> list[Path]:
    """Write ``NAME.html`` and ``NAME.png``; tell where.

    Raises:
        OutputError: the folder cannot be written.
    """
    page, picture = page_paths(folder, name)
    write_atomically(page, _page(result, title, stereo).encode())
    write_atomically(picture, page_png(result, title, [VALUE_HEAD, *value_rows(result)]))
    return [page, picture]


def page_paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Of the page and the picture of a report."""
    return folder / f"{name}.html", folder / f"{name}.png"


def value_rows(result: Calibrated) -> list[Row]:
    """What was fitted, with its standard deviations, in the order of `VALUE_HEAD`."""
    fit = result.fit
    columns = (fit.values, result.sigmas, fit.sigmas, result.left_out.sigmas)
    return [
        (name, *(_number(name, float(x)) for x in row))
        for name, *row in zip(fit.model.names, *columns, strict=True)
    ]


def view_rows(result: Calibrated) -> list[Row]:
    """The views that were kept, in the order of `VIEW_HEAD`."""
    fit = result.fit
    columns = (fit.view_rms_px, fit.tilts_deg, fit.bits)
    return [
        (
            view.name,
            str(len(view.ids)),
            f"{rms:.2f}",
            f"{tilt:.0f}",
            f"{bits:.2f}",
            "adds little" if bits < LITTLE_BITS else "",
        )
        for view, rms, tilt, bits in zip(result.choice.views, *columns, strict=True)
    ]


def left_out_rows(result: Calibrated) -> list[Row]:
    """The values without each view; the first row is of all views, the last the spread."""
    left, names = result.left_out, result.fit.model.names
    rows = [("none", f"{result.fit.rms_px:.3f}", *_numbers(names, result.fit.values))]
    for out, rms, values in zip(left.names, left.rms_px, left.values, strict=True):
        rows.append((out, f"{rms:.3f}", *_numbers(names, values)))
    if len(left.values):
        spread = np.ptp(left.values, axis=0)
        rows.append(("spread", f"{np.ptp(left.rms_px):.3f}", *_numbers(names, spread)))
    return rows


def left_out_head(result: Calibrated) -> Row:
    """Of `left_out_rows`."""
    return ("without", "rms", *(name.removesuffix("_px") for name in result.fit.model.names))


def stereo_rows(stereo: Stereo) -> list[Row]:
    """The second camera's pose, as name and value."""
    x, y, z = 1000 * stereo.position_m
    yaw, pitch, roll = stereo.angles_deg
    own, squares = 1000 * stereo.pair_baselines_m, stereo.squares_mm
    return [
        ("pairs", str(len(stereo.pairs))),
        ("baseline", f"{1000 * stereo.baseline_m:.2f} mm, sigma {1000 * stereo.baseline_sigma_m:.2f} (leaving pairs out)"),
        ("second camera right, down, ahead", f"{x:.2f}, {y:.2f}, {z:.2f} mm"),
        ("yaw, pitch, roll", f"{yaw:.3f}, {pitch:.3f}, {roll:.3f} deg"),
        ("rms of all corners", f"{stereo.rms_px:.3f} px"),
        ("distance from epipolar lines, rms", f"{stereo.epipolar_rms_px:.3f} px"),
        ("baseline of single pairs", f"median {np.median(own):.2f} mm, standard deviation {np.std(own):.2f}"),
        ("sides of squares, by both cameras", f"mean {squares.mean():.3f} mm, standard deviation {squares.std():.3f}"),
    ]  # fmt: skip


WIDE = 6  # columns: then they hold numbers


def table(title: str, head: Row, rows: Sequence[Row]) -> Table:
    """For the terminal."""
    made = Table(title=title)
    for i, name in enumerate(head):
        # a number that is folded cannot be read; names and reasons can
        made.add_column(
            name,
            justify="right" if i else "left",
            overflow="fold",
            no_wrap=i > 0 and len(head) > WIDE,
        )
    for row in rows:
        made.add_row(*row)
    return made


def summary(result: Calibrated) -> dict[str, Any]:
    """What the closing JSON object says of a camera; numbers that nobody knows are null."""
    fit, left = result.fit, result.left_out
    columns = (fit.values, result.sigmas, fit.sigmas, left.sigmas)
    keys = ("value", "sigma", "formula_sigma", "jackknife_sigma")
    return {
        "model": fit.model.kind,
        "size": "x".join(map(str, fit.size_wh)),
        "rms_px": _json(fit.rms_px),
        "pictures": result.gathered.looked,
        "views": [
            {"view": view.name, "corners": len(view.ids), "rms_px": _json(rms), "tilt_deg": _json(tilt), "bits": _json(bits)}
            for view, rms, tilt, bits in zip(result.choice.views, fit.view_rms_px, fit.tilts_deg, fit.bits, strict=True)
        ],
        "skipped": [{"view": s.name, "reason": s.reason} for s in result.gathered.skipped],
        "rejected": [{"view": s.name, "reason": s.reason} for s in result.choice.rejected],
        "rejected_corners": result.choice.corners,
        "coverage": _json(float(covered(result.choice.views, fit.size_wh).mean())),
        "values": {
            name: dict(zip(keys, map(_json, map(float, row)), strict=True))
            for name, *row in zip(fit.model.names, *columns, strict=True)
        },
        "warnings": list(result.warnings),
    }  # fmt: skip


def stereo_summary(stereo: Stereo) -> dict[str, Any]:
    """What the closing JSON object says of a pair."""
    x, y, z = (_json(v) for v in stereo.position_m)
    yaw, pitch, roll = (_json(v) for v in stereo.angles_deg)
    return {
        "pairs": len(stereo.pairs),
        "baseline_m": _json(stereo.baseline_m),
        "baseline_sigma_m": _json(stereo.baseline_sigma_m),
        "right_m": x,
        "down_m": y,
        "ahead_m": z,
        "yaw_deg": yaw,
        "pitch_deg": pitch,
        "roll_deg": roll,
        "rms_px": _json(stereo.rms_px),
        "epipolar_rms_px": _json(stereo.epipolar_rms_px),
        "pair_baseline_median_m": _json(float(np.median(stereo.pair_baselines_m))),
        "square_mean_mm": _json(float(stereo.squares_mm.mean())),
    }


def _page(result: Calibrated, title: str, stereo: Sequence[Row]) -> str:
    fit = result.fit
    _, jpeg = cv2.imencode(
        ".jpg",
        before_and_after(result.gathered.picture, fit),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    out = [(s.name, s.reason) for s in (*result.gathered.skipped, *result.choice.rejected)]
    if result.choice.corners:
        out.append((f"{result.choice.corners} corners", "far off, in views that are kept"))
    share = float(covered(result.choice.views, fit.size_wh).mean())
    figures = (
        ("rms", f"{fit.rms_px:.3f} px"),
        ("views kept", f"{len(result.choice.views)} of {result.gathered.looked}"),
        ("focal length", f"{fit.values[0]:.1f} ± {result.sigmas[0]:.1f} px"),
        ("picture covered", f"{100 * share:.0f} %"),
        ("lens", fit.model.kind),
    )
    tiles = "".join(f"<div class=figure><span>{k}</span><b>{v}</b></div>" for k, v in figures)
    told = "".join(f"<li>{escape(line)}</li>" for line in result.warnings)
    parts = [
        f"<h1>{escape(title)}</h1><div class=figures>{tiles}</div>",
        f"<div class=panel><h2>what these views leave open</h2><ul>{told}</ul></div>" if told else "",
        _panel("as taken, and undistorted", _image("jpeg", jpeg.tobytes())),
        _panel("errors and coverage", _image("png", charts_png(result))),
        "<div class=columns>",
        _panel("values, px where they are lengths", _html(VALUE_HEAD, value_rows(result)) + f"<p>{ASSUMED}</p>"),
        _panel("two cameras", f"<div class=why>{_html(('', ''), stereo)}</div>") if stereo else "",
        _panel("views kept", _html(VIEW_HEAD, view_rows(result))),
        _panel("left out", f"<div class=why>{_html(('picture', 'why'), out)}</div>") if out else "",
        "</div>",
        _panel("the values without single views", _html(left_out_head(result), left_out_rows(result))),
    ]  # fmt: skip
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _panel(title: str, inside: str) -> str:
    return f"<div class=panel><h2>{escape(title)}</h2>{inside}</div>"


def _image(kind: str, data: bytes) -> str:
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _html(head: Row, rows: Sequence[Row]) -> str:
    def line(cells: Row, tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _number(name: str, value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.2f}" if name.endswith("_px") else f"{value:.5f}"


def _short(name: str, value: float) -> str:
    return f"{value:.1f}" if name.endswith("_px") else f"{value:.4f}"


def _numbers(names: Sequence[str], values: "np.ndarray[Any, Any]") -> list[str]:
    return [_short(name, float(value)) for name, value in zip(names, values, strict=True)]


def _json(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
