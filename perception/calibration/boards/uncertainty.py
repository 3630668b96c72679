"""A camera from its views, and how far to trust it.

The formula's standard deviations (`Fit.sigmas`) hold where corners err independently, all alike, and the model is right. On real
boards, which are bent a little, the corners of one view err together. The jackknife, how the values move when views are left
out, does not mind that, but is itself uncertain where views are few. What is stated is the larger of the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.calibration.boards.board import Board
from perception.calibration.boards.choose import Choice, choose, warnings
from perception.calibration.boards.find import View
from perception.calibration.boards.fit import MIN_VIEWS, Fit, Model, fit_camera
from perception.calibration.boards.gather import Gathered
from perception.core.errors import InputError
from perception.core.types import Float64

MOST_FITS = 30  # more views than this are left out in groups


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """What the fits without some of the views gave.

    Attributes:
        names: of each fit, the views that it did without.
        values: ``float64[G, P]``, as in `Fit.values`.
        rms_px: ``float64[G]``.
        sigmas: ``float64[P]``: standard deviations of the values of all views, by the jackknife: views err independently, corners
            of one view need not. NaN where there are too few views.
    """

    names: tuple[str, ...]
    values: Float64
    rms_px: Float64
    sigmas: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A camera from its pictures.

    Attributes:
        board: what was held.
        gathered: the pictures.
        choice: the views that were kept, and their fit.
        left_out: the fits without some of them.
        warnings: what they do not constrain, a line each.
    """

    board: Board
    gathered: Gathered
    choice: Choice
    left_out: LeftOut
    warnings: tuple[str, ...]

    @property
    def fit(self) -> Fit:
        """Of the views that were kept."""
        return self.choice.fit

    @property
    def sigmas(self) -> Float64:
        """``float64[P]``: standard deviations to state: of formula and jackknife the larger."""
        return stated(self.fit, self.left_out)


def calibrate_views(
    gathered: Gathered, board: Board, model: Model, *, keep_all: bool = False
) -> Calibrated:
    """Choose, fit, and find out how far to trust it.

    Raises:
        InputError: too few views, or none that determine a camera.
    """
    if len(gathered.views) < MIN_VIEWS:
        raise InputError(_too_few(gathered, board))
    choice = choose(gathered.views, gathered.size_wh, model, keep_all=keep_all)
    left_out = leave_out(choice.views, choice.fit)
    told = warnings(choice, stated(choice.fit, left_out), board)
    return Calibrated(board, gathered, choice, left_out, tuple(told))


def stated(fit: Fit, left_out: LeftOut) -> Float64:
    """``float64[P]``: the larger of the two standard deviations of each value; the formula's where there is only that."""
    return np.asarray(np.fmax(fit.sigmas, left_out.sigmas), np.float64)


def leave_out(views: Sequence[View], fit: Fit) -> LeftOut:
    """Fit again without each view, or without each of `MOST_FITS` groups of views.

    Source:
        Tukey, "Bias and Confidence in Not-Quite Large Samples", Annals of Mathematical Statistics 29, 1958.
    """
    groups = np.array_split(np.arange(len(views)), min(len(views), MOST_FITS))
    if len(views) - max(map(len, groups)) < MIN_VIEWS:
        return _nothing(len(fit.values))
    names, values, rms = [], [], []
    for group in groups:
        rest = [view for i, view in enumerate(views) if i not in group]
        try:
            found = fit_camera(rest, fit.size_wh, fit.model, start=fit)
        except InputError:  # the views that are left do not determine a camera
            return _nothing(len(fit.values))
        names.append(", ".join(views[i].name for i in group))
        values.append(found.values)
        rms.append(found.rms_px)
    table = np.array(values)
    n = len(table)
    sigmas = np.sqrt((n - 1) / n * ((table - table.mean(axis=0)) ** 2).sum(axis=0))
    return LeftOut(tuple(names), table, np.array(rms), sigmas)


def _nothing(count: int) -> LeftOut:
    return LeftOut((), np.zeros((0, count)), np.zeros(0), np.full(count, np.nan))


def _too_few(gathered: Gathered, board: Board) -> str:
    """What is wrong, and which board was seen instead, where most pictures show one and the same."""
    found = f"{len(gathered.views)} of {gathered.looked} pictures show a {board.kind} of {board.name} inner corners, expected at least {MIN_VIEWS}"
    seen = [skipped.seen for skipped in gathered.skipped if skipped.seen]
    own = sorted((board.columns, board.rows))
    other = max(set(seen), key=seen.count, default=None)
    if other is not None and sorted(other) != own:
        size = f"{other[0]}x{other[1]}"
        return f"{found}; {seen.count(other)} show {size}: is it --board {size}?"
    if gathered.skipped:
        first = gathered.skipped[0]
        return f"{found}; {first.name}: {first.reason}"
    return f"{found}; take more, in other places and tilts"
