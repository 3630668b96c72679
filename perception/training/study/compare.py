"""Means over seeds, and how far each arm is from the first: intervals from resampled frames. NumPy only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception.core.errors import ConfigError, InputError
from perception.core.labels import MAP_CLASSES
from perception.core.types import Bool, Float64, Int64
from perception.metrics.segmentation import Confusion
from perception.training.study.config import ScoringConfig

INTERVAL = (2.5, 97.5)  # percentiles: 95 %
CLASSES = range(len(MAP_CLASSES))


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One scored run.

    Attributes:
        seed: it was trained with.
        parameters: of the network.
        figures: of each ``"SET:SPLIT"``.
        counts: of each ``"SET:SPLIT"``, ``int64[F, label, prediction]`` of its frames.
    """

    seed: int
    parameters: int
    figures: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, Int64]

    def value(self, figure: str) -> float | None:
        """One figure by its ``"SET:SPLIT/FIGURE"``; ``None`` where the network has no head for it."""
        key, _, name = figure.partition("/")
        return self.figures[key].get(name)


def check_figure(figure: str, runs: Sequence[Run]) -> None:
    """Raise `ConfigError` for a ``"SET:SPLIT/FIGURE"`` that no run gives."""
    if all(run.value(figure) is None for run in runs):
        key, _, name = figure.partition("/")
        known = sorted({known for run in runs for known in run.figures[key]})
        raise ConfigError(f"scoring.figures: {key} has no figure {name!r}; known: {known}")


def compare_arms(
    runs: Mapping[str, Sequence[Run]], steps: Mapping[str, int], scoring: ScoringConfig
) -> dict[str, Any]:
    """Mean and range of every chosen figure, and its difference to the first arm.

    Returns:
        ``"arms"``: for each arm ``steps``, ``seeds``, ``parameters`` and ``figures``; for each figure ``mean``, ``min``, ``max`` and
        ``values`` over the seeds and, but for the first arm, ``difference`` of the means and ``interval``: its 95 %
        bootstrap interval, or ``None`` for a figure that is no sum over frames' pixels, such as average precision. Both
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
            if arm != first and figure in arms[first]["figures"]:
                entry["difference"] = entry["mean"] - arms[first]["figures"][figure]["mean"]
                entry["interval"] = _interval(drawn[arm], drawn[first], figure)
            figures[figure] = entry
        arms[arm] = {
            "steps": steps[arm],
            "seeds": [run.seed for run in arm_runs],
            "parameters": arm_runs[0].parameters,
            "figures": figures,
        }
    return {"arms": arms}


def _resample(runs: Sequence[Run], key: str, scoring: ScoringConfig) -> dict[str, Float64]:
    """Figures of drawn frames, each ``float64[resamples]``: the mean over the seeds.

    The same generator starts each call, so every arm gets the same frames.
    """
    lengths = {len(run.counts[key]) for run in runs}
    if len(lengths) != 1:
        raise InputError(
            f"{key}: the runs were scored on different frames ({sorted(lengths)}); delete their result.json and run again"
        )
    frames = lengths.pop()
    starts = np.arange(0, frames, scoring.block)
    luck = np.random.default_rng(0)
    # [resamples, blocks]: how often each block is drawn
    draws = luck.multinomial(len(starts), np.full(len(starts), 1 / len(starts)), scoring.resamples)
    by_seed = [_figures(run.counts[key], starts, draws) for run in runs]
    names = set.intersection(*(set(found) for found in by_seed))
    return {name: np.mean([found[name] for found in by_seed], axis=0) for name in names}


def _figures(counts: Int64, starts: Int64, draws: Int64) -> dict[str, Float64]:
    """Every figure of every draw; a figure that some draw does not allow is left out."""
    grouped: Bool = np.asarray(counts[:, len(MAP_CLASSES) :].any(axis=(1, 2)))
    classes = np.where(grouped[:, None, None], 0, counts)
    decided_drawn, classes_drawn = (
        np.tensordot(draws, np.add.reduceat(part, starts), axes=1) for part in (counts, classes)
    )
    found = [
        Confusion(decided, single).figures(CLASSES)
        for decided, single in zip(decided_drawn, classes_drawn, strict=True)
    ]
    names = set.intersection(*(set(figures) for figures in found))
    return {name: np.array([figures[name] for figures in found]) for name in names}


def _interval(
    drawn: Mapping[str, Mapping[str, Float64]],
    first: Mapping[str, Mapping[str, Float64]],
    figure: str,
) -> list[float] | None:
    key, _, name = figure.partition("/")
    if name not in drawn[key] or name not in first[key]:
        return None
    low, high = np.percentile(drawn[key][name] - first[key][name], INTERVAL)
    return [float(low), float(high)]
