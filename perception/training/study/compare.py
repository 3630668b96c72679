"""Means over seeds, and how far each arm is from the first: intervals from resampled frames. NumPy only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from perception.core.errors import ConfigError, InputError
from perception.core.labels import MAP_CLASSES
from perception.core.types import Float64
from perception.metrics.bootstrap import FrameRecords, Resampling, interval, resample_figures
from perception.training.study.config import ScoringConfig


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One scored run.

    Besides what the evaluation gives, ``miou_but/CLASS`` is the mean of ``iou/CLASS`` of all other classes.

    Attributes:
        seed: it was trained with.
        parameters: of the network.
        figures: of each ``"SET:SPLIT"``.
        records: of each ``"SET:SPLIT"``, frame by frame.
    """

    seed: int
    parameters: int
    figures: Mapping[str, Mapping[str, float]]
    records: Mapping[str, FrameRecords]

    def value(self, figure: str) -> float | None:
        """One figure by its ``"SET:SPLIT/FIGURE"``; ``None`` where the network has no head for it."""
        key, _, name = figure.partition("/")
        mean = _mean_but(name, self.figures[key])
        return self.figures[key].get(name) if mean is None else float(mean)


def _mean_but(name: str, figures: Mapping[str, Any]) -> Any:  # noqa: ANN401 (a number, or one of each draw)
    """``miou_but/CLASS`` from the figures of the classes; ``None`` for another name, or where one of the classes has none."""
    prefix, _, left_out = name.partition("/")
    ious = [v for n, v in figures.items() if n.startswith("iou/") and n != f"iou/{left_out}"]
    wanted = prefix == "miou_but" and len(ious) == len(MAP_CLASSES) - 1
    return np.mean(ious, axis=0) if wanted else None


def check_figure(figure: str, runs: Sequence[Run]) -> None:
    """Raise `ConfigError` for a ``"SET:SPLIT/FIGURE"`` that no run gives."""
    if all(run.value(figure) is None for run in runs):
        key, _, name = figure.partition("/")
        known = sorted({known for run in runs for known in run.figures[key]})
        raise ConfigError(f"scoring.figures: {key} has no figure {name!r}; known: {known}")


def compare_arms(
    runs: Mapping[str, Sequence[Run]], steps: Mapping[str, int], scoring: ScoringConfig
) -> dict[str, Any]:
    """Mean and range of every chosen figure, and its difference to the first arm, or to the one that it is compared with.

    Returns:
        ``"arms"``: for each arm ``steps``, ``seeds``, ``parameters`` and ``figures``; for each figure ``mean``, ``min``, ``max`` and
        ``values`` over the seeds and, but for the arm it is compared with, ``difference`` of the means and ``interval``: its 95 %
        bootstrap interval, or ``None`` for a figure that `perception.metrics.bootstrap.resample_figures` does not give. Both
        arms are scored on the same drawn frames; the seeds are not drawn, so the interval tells nothing of how far other
        seeds would be.
    """
    first, *_ = runs
    arms: dict[str, Any] = {}
    drawn = {
        arm: {key: _resample(arm_runs, key, scoring) for key in {f.partition("/")[0] for f in scoring.figures}}
        for arm, arm_runs in runs.items()
    }  # fmt: skip
    for arm, arm_runs in runs.items():
        figures: dict[str, Any] = {}
        for figure in scoring.figures:
            values = [value for run in arm_runs if (value := run.value(figure)) is not None]
            if not values:
                continue
            entry: dict[str, Any] = {
                "mean": float(np.mean(values)),
                "min": min(values),
                "max": max(values),
                "values": values,
            }
            figures[figure] = entry
        arms[arm] = {
            "steps": steps[arm],
            "seeds": [run.seed for run in arm_runs],
            "parameters": arm_runs[0].parameters,
            "figures": figures,
        }
    for figure in scoring.figures:
        other = scoring.against.get(figure, first)
        for arm in arms:
            found, base = arms[arm]["figures"].get(figure), arms[other]["figures"].get(figure)
            if arm != other and found is not None and base is not None:
                found["difference"] = found["mean"] - base["mean"]
                found["interval"] = _interval(drawn[arm], drawn[other], figure)
    return {"arms": arms, "against": dict(scoring.against)}


def _resample(runs: Sequence[Run], key: str, scoring: ScoringConfig) -> dict[str, Float64]:
    """Figures of drawn frames, each ``float64[resamples]``: the mean over the seeds. Every arm gets the same frames."""
    lengths = {run.records[key].frames for run in runs}
    if len(lengths) != 1:
        raise InputError(
            f"{key}: the runs were scored on different frames ({sorted(lengths)}); delete their result.json and run again"
        )
    stretch = next(entry.stretch for entry in scoring.sets if entry.key == key)
    resampling = Resampling(resamples=scoring.resamples, block=stretch)
    by_seed = [resample_figures(run.records[key], resampling) for run in runs]
    for found, figure in product(by_seed, scoring.figures):
        name = figure.removeprefix(f"{key}/")
        mean = _mean_but(name, found)
        if mean is not None:
            found[name] = mean
    names = set.intersection(*(set(found) for found in by_seed))
    return {name: np.mean([found[name] for found in by_seed], axis=0) for name in names}


def _interval(
    drawn: Mapping[str, Mapping[str, Float64]],
    first: Mapping[str, Mapping[str, Float64]],
    figure: str,
) -> list[float] | None:
    key, _, name = figure.partition("/")
    if name not in drawn[key] or name not in first[key]:
        return None
    return [*interval(drawn[key][name] - first[key][name])]
