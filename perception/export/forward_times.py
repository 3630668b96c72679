"""How long the networks of a study take, in units of the reference network, and how good they are for it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from perception.backends import DEFAULT_BACKEND
from perception.core.config import build_config, dump_config, merge
from perception.export.reference import reference_engine
from perception.export.variants import CACHE_DIR, untrained_engine
from perception.runtime.bench.compare import Comparison, compare_engines
from perception.training.checkpoint import read_checkpoint
from perception.training.config import TrainConfig
from perception.training.study.config import Arm, Study

logger = logging.getLogger(__name__)


def time_arms(study: Study, pairs: int, cache: Path = CACHE_DIR) -> dict[str, dict[str, Any]]:
    """Time the graph of every arm, untrained, at the study's ``forward_size``, in turn with the reference network.

    Args:
        study: whose arms.
        pairs: forward passes of each network.
        cache: where the engines are kept.

    Returns:
        For each arm ``backend``, ``precision``, ``size``, ``reference``, and ``ratio`` with ``ratio_low`` and ``ratio_high``, its 95 % interval.
    """
    reference = reference_engine(cache)
    backend, precision, size = DEFAULT_BACKEND, "fp32", study.scoring.forward_size
    setting = {"backend": backend, "precision": precision, "size": size}
    times: dict[str, dict[str, Any]] = {}
    for arm in study.arms:
        logger.info("timing %s", arm.name)
        engine = untrained_engine(_config(arm), cache)
        found = compare_engines(
            engine, reference, pairs, backend=backend, precision=precision, size=size
        )
        times[arm.name] = {**setting, "reference": reference.manifest.name, **as_ratio(found)}
    return times


def as_ratio(found: Comparison) -> dict[str, float]:
    """A comparison as first over second instead of the difference."""
    return {
        "ratio": 1 + found.share,
        "ratio_low": 1 + found.share_low,
        "ratio_high": 1 + found.share_high,
    }


def draw_pareto(path: Path, arms: Mapping[str, Any]) -> None:
    """A picture of each figure of a study against forward time, an arm a point, a bar from lowest to highest seed.

    Args:
        path: of the PNG.
        arms: as `perception.training.study.compare.compare_arms` gives them, with what `time_arms` gives under ``forward``.
    """
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm["figures"]))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5 * columns, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(rows, columns, squeeze=False).flat, names, strict=False):
        for arm, entry in arms.items():
            if name not in entry["figures"]:
                continue
            found, x = entry["figures"][name], entry["forward"]["ratio"]
            spread = [[found["mean"] - found["min"]], [found["max"] - found["mean"]]]
            axes.errorbar(x, found["mean"], yerr=spread, marker="o", capsize=3)
            axes.annotate(arm, (x, found["mean"]), xytext=(5, 3), textcoords="offset points")
        axes.set(title=name, xlabel="forward time, reference = 1")
        axes.margins(x=0.35)
    figure.savefig(path, dpi=80)


def _config(arm: Arm) -> TrainConfig:
    trained = arm.phases[-1] if arm.checkpoint is None else read_checkpoint(arm.checkpoint)[0]
    table = dump_config(trained)
    graph = merge(table["graph"], arm.graph)
    return build_config(TrainConfig, {**table, "graph": graph}, f"arm {arm.name!r}")
