"""How far off the distances of boxes are, by true distance, and how often the stated 95 % interval holds.

Sigmas are chosen on the even frames of a set (the first, third, ...), figures are of the odd ones. KITTI object is shuffled, so both halves show the same
drives; no frame is in both.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from perception import __version__
from perception.backends import DEFAULT_BACKEND
from perception.core.camera import Camera
from perception.core.geometry import box_iou
from perception.core.types import Bool, Float32, Float64
from perception.datasets.base import data_root
from perception.datasets.distances import DistanceSample, kitti_distances, rendered_distances
from perception.metrics.bootstrap import INTERVAL, MIN_BLOCKS, Resampling
from perception.metrics.matches import MATCH_IOU
from perception.runtime.api import Perceiver, load
from perception.stages.ground.locate import locate_boxes
from perception.stages.ground.plane import DEFAULT_SIGMAS, RoadPlane, Sigmas

BANDS_M = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0))
PITCHES_DEG = np.arange(0.05, 2.001, 0.05)  # among which the sigma of the pitch is chosen
HOLDS = 0.95
HEIGHTS_PX = ((0.0, 40.0), (40.0, 80.0), (80.0, 1e9))  # of boxes, by which their foot is judged
MAD_SIGMA = 1.4826  # sigmas of a normal distribution in its median absolute deviation


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of one frame and the true distances of the objects they are of.

    Attributes:
        camera: of the frame.
        xyxy: ``float32[K, 4]``, px.
        true_m: ``float64[K]``.
        labelled_xyxy: ``float32[K, 4]``: the labelled box of each.
        drive: frames of one name share their errors; of a shuffled set each has its own.
    """

    camera: Camera
    xyxy: Float32
    true_m: Float64
    labelled_xyxy: Float32
    drive: str = ""


def bench_distance(
    engine: str, drives: Path | None, *, backend: str = "", precision: str = ""
) -> dict[str, Any]:
    """Measure on KITTI object and, where given, on rendered drives.

    Returns:
        ``"sets"``: for each, of labels and of the engine's boxes: ``chosen_pitch_sigma_deg`` on the even frames, and of the odd ones ``bands`` with the
        shipped sigmas and ``holds`` with the chosen one. ``"foot_sigma_px"``: of the engine's boxes on the even frames, by height.

    Raises:
        PerceptionError: a set or the engine cannot be used.
    """
    sets: dict[str, Iterable[DistanceSample]] = {
        "kitti_object": kitti_distances(data_root() / "kitti_object")
    }
    if drives is not None:
        sets["rendered"] = rendered_distances(drives)
    found: dict[str, Any] = {}
    backend = backend or DEFAULT_BACKEND
    with load(engine, backend=backend, precision=precision) as perceiver:
        for name, samples in sets.items():
            by_source = _boxes(samples, perceiver)
            found[name] = {source: _figures(boxes) for source, boxes in by_source.items()}
            found[name]["foot_sigma_px"] = _foot_sigma_px(by_source["engine"][::2])
    return {
        "engine": engine,
        "backend": backend,
        "version": __version__,
        "date": datetime.now(UTC).date().isoformat(),
        "interval": HOLDS,
        "sigmas": {key: getattr(DEFAULT_SIGMAS, key) for key in Sigmas.__slots__},
        "sets": found,
    }


def _boxes(samples: Iterable[DistanceSample], perceiver: Perceiver) -> dict[str, list[Boxes]]:
    """Of each frame the labelled boxes and those that the engine found of them."""
    found: dict[str, list[Boxes]] = {"labels": [], "engine": []}
    for sample in samples:
        labels, drive = sample.boxes_xyxy, sample.name.rpartition("/")[0] or sample.name
        found["labels"].append(Boxes(sample.camera, labels, sample.true_m, labels, drive))
        seen = perceiver(sample.image).detections
        pairs = np.array(list(_pairs(sample, seen.boxes_xyxy, seen.class_ids)), int).reshape(-1, 2)
        of, box = pairs[:, 0], pairs[:, 1]
        found["engine"].append(
            Boxes(sample.camera, seen.boxes_xyxy[box], sample.true_m[of], labels[of], drive)
        )
    return found


def _pairs(
    sample: DistanceSample, boxes_xyxy: Float32, class_ids: np.ndarray[Any, np.dtype[np.int64]]
) -> Iterator[tuple[int, int]]:
    """Labelled box and found box of the same object: the best found first, each once, of one class, at `MATCH_IOU`."""
    overlaps = box_iou(sample.boxes_xyxy, boxes_xyxy)
    overlaps[sample.class_ids[:, None] != class_ids[None, :]] = 0
    for box in range(len(boxes_xyxy)):
        if not len(overlaps):
            return
        label = int(overlaps[:, box].argmax())
        if overlaps[label, box] >= MATCH_IOU:
            overlaps[label] = 0
            yield label, box


def _figures(boxes: list[Boxes]) -> dict[str, Any]:
    even, odd = boxes[::2], boxes[1::2]
    chosen = choose_pitch_sigma(even)
    true_m, found_m, held = measure(odd, DEFAULT_SIGMAS)
    at_chosen = DEFAULT_SIGMAS if chosen is None else replace(DEFAULT_SIGMAS, pitch_deg=chosen)
    _, _, held_chosen = measure(odd, at_chosen)
    bands = {}
    for low, high in BANDS_M:
        inside = (true_m >= low) & (true_m < high)
        bands[f"{low:g}-{high:g}m"] = _band(true_m, found_m, held, inside)
    return {
        "frames_chosen_on": len(even),
        "frames": len(odd),
        "chosen_pitch_sigma_deg": chosen,
        "bands": bands,
        "all": {
            **_band(true_m, found_m, held, true_m < BANDS_M[-1][1]),
            "interval_holds_95": holds_interval(odd, DEFAULT_SIGMAS),
        },
        "holds_with_chosen": _mean(held_chosen[~np.isnan(found_m) & (true_m < BANDS_M[-1][1])]),
    }


def _band(true_m: Float64, found_m: Float64, held: Float64, inside: Bool) -> dict[str, Any]:
    """Figures of the objects inside a band; what has no distance is counted and left out."""
    known = inside & ~np.isnan(found_m)
    errors = np.abs(found_m[known] / true_m[known] - 1)
    return {
        "objects": int(inside.sum()),
        "without_distance": int((inside & ~known).sum()),
        "median_relative_error": round(float(np.median(errors)), 4) if len(errors) else None,
        "interval_holds": _mean(held[known]),
    }


def _mean(values: Float64) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def measure(boxes: Iterable[Boxes], sigmas: Sigmas) -> tuple[Float64, Float64, Float64]:
    """True distances, those found (NaN where none) and whether the interval holds (0 or 1), ``float64[N]`` each."""
    true: list[Float64] = []
    found: list[Float64] = []
    held: list[Float64] = []
    for one in boxes:
        plane = RoadPlane(one.camera, sigmas)
        feet, intervals, _, _ = locate_boxes(one.xyxy.astype(np.float64), plane)
        true.append(one.true_m)
        found.append(feet[:, 1])
        inside = (intervals[:, 0] <= one.true_m) & (one.true_m <= intervals[:, 1])
        held.append(inside.astype(np.float64))
    empty = [np.zeros(0)]
    return np.concatenate(true or empty), np.concatenate(found or empty), np.concatenate(held or empty)  # fmt: skip


def holds_interval(boxes: Iterable[Boxes], sigmas: Sigmas) -> tuple[float, float] | None:
    """95 % interval of how often the stated interval holds, by drawing drives again: objects of a frame share its error. ``None`` with too few drives."""
    counts: dict[str, list[float]] = {}
    for one in boxes:
        true_m, found_m, held = measure([one], sigmas)
        known = ~np.isnan(found_m) & (true_m < BANDS_M[-1][1])
        count = counts.setdefault(one.drive, [0.0, 0.0])
        count[0] += float(held[known].sum())
        count[1] += int(known.sum())
    table = np.array(list(counts.values()), np.float64).reshape(-1, 2)
    if len(table) < MIN_BLOCKS:
        return None
    drawn = Resampling(block=1).draws(len(table)) @ table
    shares = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(shares[:, 0] / shares[:, 1], INTERVAL)
    return round(float(low), 4), round(float(high), 4)


def choose_pitch_sigma(boxes: list[Boxes]) -> float | None:
    """The smallest of `PITCHES_DEG` with which at least `HOLDS` of the intervals hold; ``None`` where none does."""
    for pitch_deg in PITCHES_DEG.round(2).tolist():
        _, found_m, held = measure(boxes, replace(DEFAULT_SIGMAS, pitch_deg=pitch_deg))
        known = held[~np.isnan(found_m)]
        if len(known) and known.mean() >= HOLDS:
            return float(pitch_deg)
    return None


def _foot_sigma_px(boxes: Iterable[Boxes]) -> dict[str, Any]:
    """Of the lower edge of found boxes against the labelled ones, by height of the labelled box: robust sigma, px and as a share of the height."""
    found = [(*one.labelled_xyxy[k], one.xyxy[k, 3]) for one in boxes for k in range(len(one.xyxy))]
    table = np.array(found, np.float64).reshape(-1, 5)
    heights, misses = table[:, 3] - table[:, 1], table[:, 4] - table[:, 3]
    rows: dict[str, Any] = {}
    for low, high in HEIGHTS_PX:
        inside = (heights >= low) & (heights < high)
        sigma, share = (
            None
            if not inside.any()
            else round(float(MAD_SIGMA * np.median(np.abs(value[inside]))), 4)
            for value in (misses, misses / heights)
        )
        rows[f"{low:g}-{high:g}px"] = {"boxes": int(inside.sum()), "px": sigma, "share": share}
    return rows


def distance_table(summary: Mapping[str, Any]) -> Table:
    """Rows by set, source of the boxes and band."""
    table = Table(title="distances of boxes, odd frames", caption="shipped sigmas")
    for name in ("boxes", "band", "objects", "none", "error", "holds"):
        table.add_column(name)
    for set_name, sources in summary["sets"].items():
        for source in ("labels", "engine"):
            rows = {**sources[source]["bands"], "all": sources[source]["all"]}
            for band, row in rows.items():
                error, holds = row["median_relative_error"], row["interval_holds"]
                table.add_row(
                    f"{set_name}, {source}",
                    band,
                    str(row["objects"]),
                    str(row["without_distance"]),
                    "" if error is None else f"{100 * error:.1f} %",
                    "" if holds is None else f"{100 * holds:.0f} %{_range(row)}",
                )
    return table


def _range(row: Mapping[str, Any]) -> str:
    """The interval of a share, where it has one."""
    bounds = row.get("interval_holds_95")
    return "" if bounds is None else f" ({100 * bounds[0]:.0f} to {100 * bounds[1]:.0f})"
