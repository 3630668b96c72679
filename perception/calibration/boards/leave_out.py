"""How the values of a calibration move when views are left out: the jackknife, which does not believe that corners err independently."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception.calibration.boards.find import View
from perception.calibration.boards.fit import MIN_VIEWS, Fit, fit_camera
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


def leave_out(views: Sequence[View], fit: Fit) -> LeftOut:
    """Fit again without each view, or without each of `MOST_FITS` groups of views.

    Source:
        Tukey, "Bias and Confidence in Not-Quite Large Samples", Annals of Mathematical Statistics 29, 1958.
    """
    groups = [g for g in np.array_split(np.arange(len(views)), min(len(views), MOST_FITS)) if len(g)]
    names, values, rms = [], [], []
    if len(views) - max(map(len, groups)) >= MIN_VIEWS:
        for group in groups:
            rest = [view for i, view in enumerate(views) if i not in group]
            try:
                found = fit_camera(rest, fit.size_wh, fit.model, start=fit)
            except InputError:  # the views that are left do not determine a camera
                return _nothing(len(fit.values))
            names.append(", ".join(views[i].name for i in group))
            values.append(found.values)
            rms.append(found.rms_px)
    if not values:
        return _nothing(len(fit.values))
    table = np.array(values)
    n = len(table)
    sigmas = np.sqrt((n - 1) / n * ((table - table.mean(axis=0)) ** 2).sum(axis=0))
    return LeftOut(tuple(names), table, np.array(rms), sigmas)


def _nothing(count: int) -> LeftOut:
    return LeftOut((), np.zeros((0, count)), np.zeros(0), np.full(count, np.nan))
