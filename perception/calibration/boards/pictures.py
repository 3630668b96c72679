"""A calibration in pictures: the frame before and after, where corners err, where they were, and how the views compare."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from perception.calibration.boards.choose import GRID
from perception.calibration.boards.fit import Fit
from perception.calibration.boards.uncertainty import Calibrated
from perception.core.types import UInt8

BACK, PANEL, TEXT, DIM, BLUE, RED = "#14171a", "#1d2226", "#e4e9ec", "#8f9ba3", "#7fb2ff", "#ff6b5e"  # fmt: skip
PAGE_INCHES, CHART_INCHES, DPI = (14.0, 13.0), (14.0, 8.4), 100
WIDE_PX = 700  # of each of the two pictures
LINES = 8  # drawn over both, that straight edges may be compared with
ERROR_CELLS = (16, 9)


def before_and_after(picture: UInt8, fit: Fit) -> UInt8:
    """The picture beside its undistorted form at the same focal length, with a grid of straight lines over both."""
    size = fit.size_wh
    if fit.model.lens == "fisheye":
        x_px, y_px = cv2.fisheye.initUndistortRectifyMap(
            fit.matrix, fit.distortion, np.eye(3), fit.matrix, size, cv2.CV_32FC1
        )
    else:
        x_px, y_px = cv2.initUndistortRectifyMap(
            fit.matrix, fit.distortion, np.eye(3), fit.matrix, size, cv2.CV_32FC1
        )
    straight = cv2.remap(picture, x_px, y_px, cv2.INTER_LINEAR)
    height = max(1, round(WIDE_PX * size[1] / size[0]))
    sides = []
    for image in (picture, np.asarray(straight, np.uint8)):
        small = cv2.resize(image, (WIDE_PX, height), interpolation=cv2.INTER_AREA)
        for i in range(1, LINES):
            x, y = WIDE_PX * i // LINES, height * i // LINES
            cv2.line(small, (x, 0), (x, height), (255, 178, 127), 1)
            cv2.line(small, (0, y), (WIDE_PX, y), (255, 178, 127), 1)
        sides.append(np.asarray(small, np.uint8))
    gap = np.full((height, 8, 3), 26, np.uint8)
    return np.hstack((sides[0], gap, sides[1]))


def charts_png(result: Calibrated) -> bytes:
    """The four charts."""
    figure = Figure(figsize=CHART_INCHES, facecolor=BACK, layout="constrained")
    FigureCanvasAgg(figure)
    _charts(list(figure.subplots(2, 2).ravel()), result)
    return _png(figure)


def page_png(result: Calibrated, title: str, rows: Sequence[Sequence[str]]) -> bytes:
    """All on one page.

    Args:
        result: the calibration.
        title: the first line.
        rows: of the table of values; the first is its head.
    """
    figure = Figure(figsize=PAGE_INCHES, facecolor=BACK, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=TEXT, fontsize=13)
    places = figure.add_gridspec(4, 2, height_ratios=(1.25, 1, 1, 0.25))
    pair = figure.add_subplot(places[0, :])
    pair.imshow(before_and_after(result.gathered.picture, result.fit)[..., ::-1])
    pair.set_title("as taken, and undistorted", color=DIM, fontsize=10)
    pair.axis("off")
    _charts([figure.add_subplot(places[1 + i // 2, i % 2]) for i in range(4)], result)
    below = figure.add_subplot(places[3, :])
    below.axis("off")
    turned = list(zip(*rows, strict=True))
    table = below.table(cellText=turned, loc="center", cellLoc="center", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(8.5)
    table.scale(1, 1.15)
    for cell in table.get_celld().values():
        cell.get_text().set_color(TEXT)
        cell.set_edgecolor(DIM)
    return _png(figure)


def _charts(axes: Sequence[Axes], result: Calibrated) -> None:
    _style(axes)
    _errors(axes[0], result)
    _coverage(axes[1], result)
    _scatter(axes[2], result.fit)
    _bars(axes[3], result)


def _errors(axis: Axes, result: Calibrated) -> None:
    """Mean error of the corners in each part of the picture, and single ones, enlarged, as arrows."""
    width, height = result.fit.size_wh
    corners = np.concatenate([view.corners_px for view in result.choice.views])
    errors = np.concatenate(result.fit.residuals)
    off = np.linalg.norm(errors, axis=1)
    bounds = [[0, width], [0, height]]
    x, y = corners.T
    total, _, _ = np.histogram2d(x, y, ERROR_CELLS, bounds, weights=off)
    count, _, _ = np.histogram2d(x, y, ERROR_CELLS, bounds)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).T
    drawn = axis.imshow(mean, extent=(0, width, height, 0), cmap="viridis", vmin=0)
    bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.8)
    bar.ax.tick_params(colors=DIM, labelsize=8)
    scale = 0.03 * width / max(float(np.quantile(off, 0.95)), 1e-9)
    axis.quiver(
        x, y, *(scale * errors).T, angles="xy", scale_units="xy", scale=1, color="w", width=0.0012
    )
    axis.set_title(f"mean error, px; arrows: errors x {scale:.0f}", color=DIM, fontsize=10)
    axis.set(xlim=(0, width), ylim=(height, 0))


def _coverage(axis: Axes, result: Calibrated) -> None:
    width, height = result.fit.size_wh
    for view, color in zip(result.choice.views, _colors(len(result.choice.views)), strict=True):
        axis.plot(*view.corners_px.T, ".", ms=2.5, color=color)
    for i in range(1, GRID[0]):
        axis.axvline(width * i / GRID[0], color=DIM, lw=0.4)
    for i in range(1, GRID[1]):
        axis.axhline(height * i / GRID[1], color=DIM, lw=0.4)
    axis.plot(*result.fit.values[2:4], "+", color=TEXT, ms=12)
    axis.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axis.set_title("corners of each view; +: principal point", color=DIM, fontsize=10)


def _scatter(axis: Axes, fit: Fit) -> None:
    for residual, color in zip(fit.residuals, _colors(len(fit.residuals)), strict=True):
        axis.plot(*residual.T, ".", ms=3, color=color)
    axis.set_aspect("equal", adjustable="datalim")
    axis.set_title("errors of corners, px: right, down", color=DIM, fontsize=10)


def _bars(axis: Axes, result: Calibrated) -> None:
    rms = result.fit.view_rms_px
    names = [view.name.rpartition(".")[0] or view.name for view in result.choice.views]
    axis.bar(range(len(rms)), rms, color=BLUE)
    axis.axhline(result.fit.rms_px, color=RED, lw=1)
    axis.set_xticks(range(len(rms)), names, rotation=60, ha="right", fontsize=7)
    axis.set_title("rms of each view, px; line: of all", color=DIM, fontsize=10)


def _style(axes: Sequence[Axes]) -> None:
    for axis in axes:
        axis.set_facecolor(PANEL)
        axis.tick_params(colors=DIM, labelsize=8)
        for spine in axis.spines.values():
            spine.set_color("#313a40")


def _colors(count: int) -> list[str]:
    cycle = (BLUE, "#ffd166", RED, "#4cc38a", "#c78bff", "#5ee0e0", "#f49ac2")
    return [cycle[i % len(cycle)] for i in range(count)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    return buffer.getvalue()
