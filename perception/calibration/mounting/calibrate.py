"""A recording and a camera without a mounting become a camera with one: the order of the steps, and what is refused."""

import csv
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from perception.calibration.mounting.combine import Joined
from perception.calibration.mounting.estimate import Mounting, Speed, estimate_mounting
from perception.calibration.mounting.look import open_look
from perception.calibration.mounting.observe import Observer, Seen
from perception.calibration.mounting.report import write_report
from perception.core.camera import Camera, find_camera, save_camera
from perception.core.errors import ConfigError, InputError
from perception.core.files import check_names, check_writable
from perception.core.manifest import DEFAULT_ENGINE
from perception.sources import open_source

logger = logging.getLogger(__name__)

FALLBACK_FPS = 10.0  # of a folder of pictures, which has no times; `fps` says otherwise
COLUMNS = ("time_s", "speed_mps")
LARGEST_KMH = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MountingConfig:
    """What to look at, and with what."""

    source: str  # a recording, as `open_source` takes it
    camera: (
        str | Path
    )  # a name in calib/cameras/, or a file: its intrinsics; the mounting in it is not used, but for the roll
    speed: str = (
        ""  # km/h, or the path of a CSV with the columns time_s and speed_mps; empty: unknown
    )
    engine: str = DEFAULT_ENGINE  # empty: none
    backend: str = ""
    precision: str = ""
    fps: float = FALLBACK_FPS
    limit: int | None = None  # frames to read


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What was seen of a recording, and by which camera."""

    seen: Seen
    camera: Camera  # at the size of the frames
    interrupted: bool


def observe(config: MountingConfig, tell: Callable[[int, int], None]) -> Observed:
    """Read the recording; an interruption ends it early and keeps what was found.

    Raises:
        InputError: it cannot be opened, or is damaged.
        ConfigError: the camera's frames have another shape, or the source never ends.
    """
    camera = find_camera(config.camera)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(config.source, live=False))
        camera = camera.scaled(source.size_wh)
        look, classes = None, (0, 0)
        if config.engine:
            look, *numbers = stack.enter_context(
                open_look(config.engine, config.backend, config.precision, camera)
            )
            classes = numbers[0], numbers[1]
        observer = Observer(camera, source.fps or config.fps, look, *classes)
        total = config.limit or source.length or 0
        interrupted = False
        try:
            for frame in source:
                observer.add(frame)
                tell(frame.frame_id + 1, max(total, frame.frame_id + 1))
                if config.limit and frame.frame_id + 1 >= config.limit:
                    break
        except KeyboardInterrupt:
            interrupted = True
    return Observed(observer.seen, camera, interrupted)


def calibrate_mounting(
    config: MountingConfig, out: Path, report: Path, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    """Find the mounting, write the camera file and the report; returns the summary.

    Raises:
        InputError: the recording does not tell enough; nothing is written then.
        KeyboardInterrupt: interrupted before it told enough; later, what was seen so far is used.
        ConfigError, OutputError: see `observe`, `write_report`.
    """
    speed = read_speed(config.speed)
    check_names(out, report)
    check_writable(out, report)
    observed = observe(config, tell)
    seen = observed.seen
    try:
        mounting = estimate_mounting(seen, observed.camera, speed)
    except InputError as error:
        if not observed.interrupted:
            raise
        logger.warning("interrupted too early: nothing is written: %s", error)
        raise KeyboardInterrupt from error
    original = find_camera(config.camera)
    today = datetime.now(UTC).date().isoformat()
    told = f"mounting from the road: {mounting.pairs} pairs of {config.source}"
    save_camera(
        replace(mounting.camera(original), date=today, source=f"{original.source}; {told}".strip("; ")), out
    )  # fmt: skip
    write_report(report, seen, mounting, observed.camera)
    return {
        "camera": str(out),
        "report": str(report),
        "frames": seen.frames,
        **summary_of(mounting, observed.camera.roll_deg),
        "refused": dict(seen.refused),
        "interrupted": observed.interrupted,
    }


def summary_of(mounting: Mounting, roll_deg: float) -> dict[str, Any]:
    """The figures of a mounting, for JSON."""
    return {
        "pairs": mounting.pairs,
        "boxes": mounting.boxes,
        "pitch_deg": _table(mounting.pitch),
        "yaw_deg": _table(mounting.yaw),
        "roll_deg": {"value": roll_deg, "observed": False},
        "height_m": None if mounting.height is None else _table(mounting.height),
        "disagree": list(mounting.disagree),
    }


def _table(joined: Joined) -> dict[str, Any]:
    one = joined.estimate
    return {
        "value": round(one.value, 4),
        "sigma": round(one.sigma, 4),
        "interval_95": [round(end, 4) for end in one.interval],
        "cues": {
            name: {"value": round(cue.value, 4), "sigma": round(cue.sigma, 4), "n": cue.count}
            for name, cue in joined.cues.items()
        },
    }


def read_speed(text: str) -> Speed | None:
    """``""``, a number in km/h, or the path of a CSV with `COLUMNS` -> m/s over time.

    Raises:
        ConfigError: no such speed.
        InputError: the CSV cannot be read.
    """
    if not text:
        return None
    try:
        kmh = float(text)
    except ValueError:
        return _read_speeds(Path(text))
    if not 0 < kmh <= LARGEST_KMH:
        raise ConfigError(
            f"speed: expected more than 0 and at most {LARGEST_KMH:g} km/h, got {text}"
        )
    return lambda _time_s: kmh / 3.6


def _numbers(path: Path, index: int, row: dict[str, Any]) -> list[float]:
    """The numbers of `COLUMNS` in a row, the first of which has index 0."""
    try:
        return [float(row[name]) for name in COLUMNS]
    except (TypeError, ValueError) as error:  # nothing there; no number
        raise InputError(
            f"{path}: row {index + 1}: expected a number for each of {','.join(COLUMNS)}, got "
            f"{', '.join(str(row[name] or 'nothing') for name in COLUMNS)}"
        ) from error


def _read_speeds(path: Path) -> Speed:
    try:
        # spreadsheets begin a file with a byte order mark
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            named = reader.fieldnames or ()
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: expected a CSV file with the columns {','.join(COLUMNS)}, which this is not: {error}"
        ) from error
    except OSError as error:
        raise InputError(
            f"speed {str(path)!r}: expected km/h or a CSV file, which cannot be read: {error.strerror}"
        ) from error
    if missing := [name for name in COLUMNS if name not in named]:
        raise InputError(
            f"{path}: expected the columns {','.join(COLUMNS)}, got {','.join(named)[:80] or 'nothing'}: {missing[0]} is missing"
        )
    table = np.array([_numbers(path, index, row) for index, row in enumerate(rows)], np.float64)
    if len(table) < 2 or not np.isfinite(table).all() or (np.diff(table[:, 0]) <= 0).any():
        raise InputError(
            f"{path}: expected 2 rows or more, finite, time_s rising; got {len(table)} rows that are not"
        )
    first, last = table[0, 0], table[-1, 0]

    def speed(time_s: float) -> float:
        if not (isfinite(time_s) and first <= time_s <= last):
            return 0.0  # not known then: such a pair gives no height
        return float(np.interp(time_s, table[:, 0], table[:, 1]))

    return speed
