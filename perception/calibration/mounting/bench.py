"""How far the estimate is off on synthetic drives, and how often its 95 % interval holds; what the loop's watch says of the same drives."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from perception.calibration.mounting.calibrate import MountingConfig, observe
from perception.calibration.mounting.combine import NORMAL_95, Joined
from perception.calibration.mounting.drives import bench_drive, drive_folder
from perception.calibration.mounting.estimate import estimate_mounting
from perception.calibration.mounting.watched import watch_drive, watch_summary
from perception.core.camera import Camera, save_camera
from perception.core.errors import InputError
from perception.render.disk import read_facts
from perception.render.store import StoredDrive, write_drive

FIRST_SEED = 200


def bench_mountings(
    drives: int, engine: str, tell: Callable[[int, int], None], first: int = FIRST_SEED
) -> dict[str, Any]:
    """Estimate the mounting of each drive, with its speed and without; drives are rendered where they are not kept yet."""
    rows = []
    for index in range(drives):
        seed = first + index
        stored = write_drive(bench_drive(seed), drive_folder(seed, None), processes=1)
        watched = {"watch": watch_drive(stored, engine)} if engine else {}
        rows.append({"seed": seed, **_judge(stored, engine), **watched})
        tell(index + 1, drives)
    names = ("pitch_deg", "height_m", "height_without_speed_m")
    summary: dict[str, Any] = {name: _summary(rows, name) for name in names}
    if engine:
        summary["watch"] = watch_summary([row["watch"] for row in rows])
    return {"first_seed": first, "engine": engine, "drives": rows, "summary": summary}


def _judge(stored: StoredDrive, engine: str) -> dict[str, Any]:
    facts = [read_facts(stored.folder, index) for index in range(stored.frames)]
    times = [float(one["time_s"]) for one in facts]
    speeds = [float(one["ego"]["speed_mps"]) for one in facts]
    truth = stored.camera
    with tempfile.TemporaryDirectory() as folder:
        unmounted = Path(folder) / "camera.toml"
        save_camera(bare(truth), unmounted)
        source = f"synthetic:{stored.folder}"
        config = MountingConfig(source=source, camera=unmounted, engine=engine)
        observed = observe(config, lambda _done, _total: None)
    row: dict[str, Any] = {"place": stored.config.place}
    try:
        known = estimate_mounting(
            observed.seen, observed.camera, lambda t: float(np.interp(t, times, speeds))
        )
        unknown = estimate_mounting(observed.seen, observed.camera, None)
    except InputError as error:
        return {**row, "refused": str(error)}
    height = float(truth.height_m or 0)
    row["pitch_deg"] = _row(known.pitch, truth.pitch_deg)
    row["height_m"] = _row(known.height, height)
    row["height_without_speed_m"] = _row(unknown.height, height)
    return {**row, "disagree": list(known.disagree)}


def bare(camera: Camera) -> Camera:
    """The camera without its mounting."""
    return replace(camera, height_m=None, pitch_deg=0.0, yaw_deg=0.0)


def _row(found: Joined | None, truth: float) -> dict[str, Any] | None:
    if found is None:
        return None
    low, high = found.estimate.interval
    return {
        "truth": truth,
        "error": round(found.estimate.value - truth, 4),
        "sigma": round(found.estimate.sigma, 4),
        "holds": low <= truth <= high,
    }


def _summary(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = [row[name] for row in rows if row.get(name)]
    errors = np.abs([one["error"] for one in found]) if found else np.array([np.nan])
    return {
        "n": len(found),
        "median_error": round(float(np.median(errors)), 4) if found else None,
        "largest_error": round(float(errors.max()), 4) if found else None,
        "interval_holds": sum(one["holds"] for one in found),
    }


def bench_table(summary: dict[str, Any]) -> Table:
    """A row a drive, and the interval of 95 % beside each error."""
    table = Table(title="mounting from the road, error (half width of the 95 % interval)")
    heads = (
        "seed",
        "place",
        "pitch, deg",
        "height, m",
        "height without speed, m",
        "watch warns at, deg",
    )
    for column in heads:
        table.add_column(column)
    for row in summary["drives"]:
        cells = [
            _cell(row.get(name)) for name in ("pitch_deg", "height_m", "height_without_speed_m")
        ]
        table.add_row(str(row["seed"]), row["place"], *cells, _watch_cell(row.get("watch")))
    return table


def _watch_cell(one: dict[str, Any] | None) -> str:
    """The turns up and down from which it warns; what it sees of the camera as it is."""
    if one is None or one["offset_deg"] is None:
        return "-"
    ways = "/".join("never" if one[way] is None else f"{one[way]:.2f}" for way in ("up_deg", "down_deg"))  # fmt: skip
    return f"{ways} (sees {one['offset_deg']:+.2f}{', false' if one['false'] else ''})"


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "-"
    return (
        f"{one['error']:+.3f} ({NORMAL_95 * one['sigma']:.3f}){'' if one['holds'] else ' missed'}"
    )
