"""Which views and corners a calibration keeps, and what its views leave open."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from perception.calibration.boards.board import Board
from perception.calibration.boards.find import Skipped, View
from perception.calibration.boards.fit import MIN_VIEWS, Fit, Model, fit_camera
from perception.core.types import Bool, Float64

NORMAL = (
    1.4826  # times the median of absolute deviations is the standard deviation of normal errors
)
VIEW_SPREAD = 4.0  # such deviations above the median: a view beyond is an outlier
VIEW_FACTOR = 2.0  # and this many times the median
RAYLEIGH = (
    1.1774  # the median distance of corners that err normally, in standard deviations of one axis
)
CORNER_SPREAD = 6.0  # standard deviations; a normal error is larger once in 65 million corners
WORST_SHARE = 0.25  # a view that loses more of its corners than this is left out
ROUNDS = 20
GRID = (8, 5)  # cells by which coverage is counted, columns and rows
ENOUGH_COVERED = 0.6
ENOUGH_VIEWS = 10
TILTED_DEG, ENOUGH_TILTED = 20.0, 3
LOOSE_FOCAL, LOOSE_CENTRE = 0.01, 0.01  # of the focal length; of the width
SHAPE_VIEWS = (6, 12)  # that tell whether the board is flat, at least and at most
SHAPE_ROUNDS = 10  # of that fit, which is slow where the views determine little
BENT = 0.75  # times the rms: where freeing the board's shape brings it below, the board is not what it should be


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was kept, and its fit.

    Attributes:
        views: kept, some without their worst corners.
        fit: of them.
        rejected: views that were left out, with the reason.
        corners: how many corners of kept views were left out.
    """

    views: tuple[View, ...]
    fit: Fit
    rejected: tuple[Skipped, ...]
    corners: int


def choose(
    views: Sequence[View], size_wh: tuple[int, int], model: Model, *, keep_all: bool = False
) -> Choice:
    """Fit, leave out what does not fit with the rest, and fit again, until all do; the worst view goes first.

    Args:
        views: at least `MIN_VIEWS`.
        size_wh: of the pictures, px.
        model: which camera.
        keep_all: leave nothing out.
    """
    kept, rejected, dropped = list(views), [], 0
    fit = fit_camera(kept, size_wh, model)
    for _ in range(0 if keep_all else ROUNDS):
        worst, reason = _worst_view(kept, fit)
        if worst is not None and len(kept) > MIN_VIEWS:
            rejected.append(Skipped(kept.pop(worst).name, reason))
        else:
            bad = _bad_corners(fit)
            count = sum(int(b.sum()) for b in bad)
            if not count:
                break
            dropped += count
            kept = [v.without(b) for v, b in zip(kept, bad, strict=True)]
        fit = fit_camera(kept, size_wh, model)
    return Choice(tuple(kept), fit, tuple(rejected), dropped)


def _worst_view(views: Sequence[View], fit: Fit) -> tuple[int | None, str]:
    """The view that fits worst without its bad corners, or has the most of them, where that is too much; and why."""
    bad = _bad_corners(fit)
    good = [
        float(np.sqrt((r[~b] ** 2).sum() / max((~b).sum(), 1)))
        for r, b in zip(fit.residuals, bad, strict=True)
    ]
    median = float(np.median(good))
    deviation = NORMAL * float(np.median(np.abs(np.array(good) - median)))
    limit = max(median + VIEW_SPREAD * deviation, VIEW_FACTOR * median)
    lost = np.array([float(b.mean()) for b in bad])
    rms = fit.view_rms_px
    excess = np.where((lost > WORST_SHARE) | (np.array(good) > limit), rms, 0.0)
    worst = int(excess.argmax())
    if not excess[worst]:
        return None, ""
    reason = (
        f"does not fit the others: rms {rms[worst]:.2f} px, limit {limit:.2f}, median {median:.2f}"
    )
    if _fits_mirrored(views[worst], fit, limit):
        reason += "; mirrored it would fit: was the picture flipped?"
    return worst, reason


def _bad_corners(fit: Fit) -> list[Bool]:
    """Of each view, ``bool[N]``: corners too far off, measured by the middle one, which a few bad ones do not move."""
    off = [np.linalg.norm(residual, axis=1) for residual in fit.residuals]
    limit = CORNER_SPREAD * float(np.median(np.concatenate(off))) / RAYLEIGH
    return [distance > limit for distance in off]


def _fits_mirrored(view: View, fit: Fit, limit_px: float) -> bool:
    if fit.model.lens == "fisheye":
        return False
    mirrored = view.points * np.array([-1, 1, 1], np.float32)
    matrix, coefficients = fit.matrix, fit.distortion
    found, turn, shift = cv2.solvePnP(mirrored, view.corners_px, matrix, coefficients)
    if not found:
        return False
    seen = cv2.projectPoints(mirrored, turn, shift, matrix, coefficients)[0].reshape(-1, 2)
    off = np.asarray(seen, np.float64) - view.corners_px
    return float(np.sqrt((off**2).sum(axis=1).mean())) < limit_px


def covered(views: Sequence[View], size_wh: tuple[int, int]) -> Bool:
    """``bool[rows, columns]`` of `GRID`: cells of the picture in which a corner was."""
    cells = np.zeros(GRID[::-1], bool)
    for view in views:
        column, row = (view.corners_px / size_wh * GRID).astype(int).clip(0, np.array(GRID) - 1).T
        cells[row, column] = True
    return cells


def warnings(choice: Choice, sigmas: Float64, board: Board) -> list[str]:
    """What the views do not constrain, a line each; none where all is well.

    Args:
        choice: views and fit.
        sigmas: ``float64[P]``, standard deviations of the values.
        board: what was held.
    """
    return [
        *_about_views(choice),
        *_about_values(choice.fit, sigmas),
        *_about_board(choice, board),
    ]


def _about_views(choice: Choice) -> list[str]:
    fit, lines = choice.fit, []
    if len(choice.views) < ENOUGH_VIEWS:
        lines.append(
            f"only {len(choice.views)} views: from {ENOUGH_VIEWS} on the stated intervals are to be trusted"
        )
    cells = covered(choice.views, fit.size_wh)
    if cells.mean() < ENOUGH_COVERED:
        bare = {"left": cells[:, 0], "right": cells[:, -1], "top": cells[0], "bottom": cells[-1]}
        where = ", ".join(name for name, edge in bare.items() if edge.mean() < ENOUGH_COVERED / 2)
        lines.append(
            f"corners in {100 * cells.mean():.0f} % of the picture only{f'; hardly any near its {where}' if where else ''}: there the distortion is guessed"
        )
    tilted = int((fit.tilts_deg > TILTED_DEG).sum())
    if tilted < ENOUGH_TILTED:
        lines.append(
            f"{tilted} boards tilted by more than {TILTED_DEG:.0f} deg, expected {ENOUGH_TILTED}: without tilt, focal length and distance cannot be told apart"
        )
    return lines


def _about_values(fit: Fit, sigmas: Float64) -> list[str]:
    lines = []
    share = float((sigmas[:2] / fit.values[:2]).max())
    if share > LOOSE_FOCAL:
        lines.append(
            f"the focal length is known to {100 * share:.1f} % only: add views with more tilt"
        )
    centre = float(sigmas[2:4].max()) / fit.size_wh[0]
    if centre > LOOSE_CENTRE:
        lines.append(
            f"the principal point is known to {sigmas[2:4].max():.0f} px only: add views at the picture's edges, and some with the board turned by 90 deg"
        )
    loose = [
        name
        for name, value, sigma in zip(fit.model.names, fit.values, sigmas, strict=True)
        if name[0] == "k" and sigma > abs(value)
    ]
    if loose:
        lines.append(
            f"{', '.join(loose)} cannot be told from 0 by these views: outside of the boards the undistorted picture is a guess"
        )
    return lines


def _about_board(choice: Choice, board: Board) -> list[str]:
    """Where the corners fit much better once the board need not be flat and even: it is bent, or not printed as said."""
    fit, whole = choice.fit, board.columns * board.rows
    full = [view for view in choice.views if len(view.ids) == whole]
    if fit.model.lens == "fisheye" or len(full) < SHAPE_VIEWS[0]:
        return []
    flags = cv2.CALIB_RATIONAL_MODEL if fit.model.rational else 0
    points = [view.points for view in full[: SHAPE_VIEWS[1]]]
    corners = [view.corners_px for view in full[: SHAPE_VIEWS[1]]]
    plain = cv2.calibrateCamera(points, corners, fit.size_wh, None, None, flags=flags)[0]
    freed = cv2.calibrateCameraRO(  # type: ignore[call-overload]
        points,
        corners,
        fit.size_wh,
        board.columns - 1,
        None,
        None,
        flags=flags,
        criteria=(cv2.TERM_CRITERIA_COUNT, SHAPE_ROUNDS, 0.0),
    )[0]
    freedom = len(points) * (2 * whole - 6) - len(fit.values)
    by_chance = max(1 - 3 * whole / freedom, 0.0) ** 0.5  # the shape fits some of the noise
    if freed > BENT * by_chance * plain:
        return []
    return [
        f"with the board's own shape set free the rms falls from {plain:.2f} to {freed:.2f} px: the board is bent, or not printed as said; "
        "glue it to glass"
    ]
