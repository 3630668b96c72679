"""Streaming accuracy: how good what is in hand at each moment is, which is older than the moment by the latency.

Source: see `perception.metrics.streaming`. Both with boxes as they were found and with boxes moved on by their tracks; the boxes are the same, those
that a tracker shows, and only their places differ.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception.core.errors import ConfigError
from perception.core.types import Detections, Float64, Tracks
from perception.datasets import Sample
from perception.datasets.drives import LabelledDrive
from perception.metrics.bootstrap import Resampling, interval, resample_figures
from perception.metrics.evaluator import Evaluator, GraphResult
from perception.metrics.streaming import NONE, Latency, results_in_hand
from perception.stages.tracking import open_tracker
from perception.stages.tracking.forecast import move

Find = Callable[[Sample], GraphResult]
FIGURES = ("ap50", "ap50_95", "road_iou")
OFFLINE = Latency("none", np.zeros(1))
MS = 1e3
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of the table.

    Attributes:
        latency: of the results.
        forecast: whether boxes are moved to the moment of use.
    """

    latency: Latency
    forecast: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingConfig:
    """What to measure.

    Attributes:
        latencies_ms: fixed ones.
        measured: also draw from those of the detector itself, one frame after the other.
        tracker: whose speeds move the boxes on.
        score_threshold: of the boxes that are shown, in [0, 1].
        block_s: seconds of a drive that a bootstrap draws together.
    """

    latencies_ms: tuple[float, ...]
    measured: bool
    tracker: str = "bytetrack"
    score_threshold: float
    block_s: float


def oracle(sample: Sample) -> GraphResult:
    """A detector that finds what is labelled: what is left is the cost of latency alone."""
    labels = sample.boxes
    if labels is None:
        raise ConfigError(f"{sample.name}: expected boxes, got a frame without labels of them")
    scores = np.ones(len(labels.boxes_xyxy), np.float32)
    return GraphResult(Detections(labels.boxes_xyxy, scores, labels.class_ids), None)


def streaming_accuracy(
    drives: Sequence[LabelledDrive],
    find: Find,
    build_evaluator: Callable[[], Evaluator],
    config: StreamingConfig,
    progress: Callable[[LabelledDrive], None] | None = None,
) -> dict[str, Any]:
    """Score every moment of every drive against the result in hand then.

    Args:
        drives: labelled, each at an even rate.
        find: the detector; it sees every frame once, and its results serve every latency.
        build_evaluator: a new one for each condition.
        config: what to measure.
        progress: called with each drive before it is worked on.

    Returns:
        ``"conditions"``: for each latency, without and with forecasting, ``latency`` (name), ``latency_ms`` (median), ``forecast``, ``age_ms``
        (mean age of what is in hand), the `FIGURES`, and ``intervals`` of them, of ``ap50_minus_offline``, and, with forecasting, of
        ``ap50_gain`` over the same without, on the same draws. ``"frames"``, ``"drives"``, ``"blocks"``.

    Raises:
        ConfigError: no drive, no latency, or a tracker that cannot be had.
    """
    latencies = [Latency(f"{ms:g} ms", np.array([ms / MS])) for ms in config.latencies_ms]
    if not drives or not (latencies or config.measured):
        raise ConfigError("streaming accuracy: expected at least one drive and one latency")
    found: list[list[GraphResult]] = []
    spent_s: list[float] = []
    for drive in drives:
        if progress:
            progress(drive)
        results, times_s = _find_all(drive, find)
        found.append(results)
        spent_s += times_s
    if config.measured:
        latencies.append(Latency("measured", np.array(spent_s)))
    conditions = [Condition(OFFLINE, False)]
    conditions += [Condition(latency, ahead) for latency in latencies for ahead in (False, True)]
    scored = {condition: build_evaluator() for condition in conditions}
    ages_s: dict[Condition, list[float]] = {condition: [] for condition in conditions}
    for drive, results in zip(drives, found, strict=True):
        samples = [drive.load(index) for index in range(len(results))]
        for condition, evaluator in scored.items():
            used = _in_use(samples, drive.moments_s, results, condition, config)
            for sample, result in zip(samples, used, strict=True):
                evaluator.update(sample, result)
            ages_s[condition] += _ages(drive.moments_s, condition.latency)
    rate_hz = 1 / float(np.diff(drives[0].moments_s).mean())
    resampling = Resampling(block=max(1, round(config.block_s * rate_hz)))
    return {
        "frames": sum(map(len, found)),
        "drives": len(drives),
        "blocks": len(set(resampling.blocks(sum(map(len, found))).tolist())),
        "tracker": config.tracker,
        "conditions": _rows(scored, ages_s, resampling),
    }


def _find_all(drive: LabelledDrive, find: Find) -> tuple[list[GraphResult], list[float]]:
    """The result of every frame, and the seconds that each took."""
    results: list[GraphResult] = []
    spent_s: list[float] = []
    for index in range(len(drive.moments_s)):
        sample = drive.load(index)
        began_ns = time.monotonic_ns()
        results.append(find(sample))
        spent_s.append((time.monotonic_ns() - began_ns) / 1e9)
    return results, spent_s


def _ages(moments_s: Float64, latency: Latency) -> list[float]:
    """Of what is in hand, seconds; moments with nothing in hand are left out."""
    hand = results_in_hand(moments_s, latency)
    ages: list[float] = (moments_s - moments_s[hand])[hand != NONE].tolist()
    return ages


def _in_use(
    samples: Sequence[Sample],
    moments_s: Float64,
    results: Sequence[GraphResult],
    condition: Condition,
    config: StreamingConfig,
) -> list[GraphResult]:
    """What is in use at each moment of a drive: boxes, moved on or not, and the class map as it was."""
    tracker = open_tracker(config.tracker, config.score_threshold, live=False)
    if tracker is None:
        raise ConfigError("streaming accuracy: expected the name of a tracker, got none")
    tracked = (NOTHING, Tracks(np.zeros(0, np.int64), np.zeros((0, 4), np.float32)))
    used: list[GraphResult] = []
    last = NONE
    hand = results_in_hand(moments_s, condition.latency).tolist()
    for sample, moment_s, index in zip(samples, moments_s.tolist(), hand, strict=True):
        if index == NONE:
            used.append(GraphResult(NOTHING, None))
            continue
        if index != last:
            least = _at_least(results[index].detections, tracker.least_score)
            tracked, last = tracker.update(least, float(moments_s[index])), index
        ahead_s = moment_s - float(moments_s[index]) if condition.forecast else 0.0
        boxes = move(*tracked, ahead_s, sample.image.shape[1::-1])
        used.append(GraphResult(boxes, results[index].class_map))
    return used


def _at_least(detections: Detections | None, score: float) -> Detections:
    if detections is None:
        raise ConfigError("streaming accuracy: expected an engine that finds boxes")
    kept = detections.scores >= score
    return Detections(
        detections.boxes_xyxy[kept], detections.scores[kept], detections.class_ids[kept]
    )


def _rows(
    scored: dict[Condition, Evaluator],
    ages_s: dict[Condition, list[float]],
    resampling: Resampling,
) -> list[dict[str, Any]]:
    drawn = {c: resample_figures(e.records(), resampling) for c, e in scored.items()}
    offline, *_ = drawn.values()
    without: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for condition, evaluator in scored.items():
        figures, own = evaluator.compute(), drawn[condition]
        spread = {name: own[name] for name in FIGURES if name in own}
        if "ap50" in own and condition.latency is not OFFLINE:
            spread["ap50_minus_offline"] = own["ap50"] - offline["ap50"]
            if condition.forecast:
                spread["ap50_gain"] = own["ap50"] - without["ap50"]
        without = own
        rows.append(
            {
                "latency": condition.latency.name,
                "latency_ms": float(np.median(condition.latency.seconds)) * MS,
                "forecast": condition.forecast,
                "age_ms": float(np.mean(ages_s[condition])) * MS if ages_s[condition] else None,
                **{name: figures[name] for name in FIGURES if name in figures},
                "intervals": {name: interval(values) for name, values in spread.items()},
            }
        )
    return rows
