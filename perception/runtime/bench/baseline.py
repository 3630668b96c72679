"""A latency report against one of before: better, same or worse, with the noise of both runs taken into account.

Each run is some twenty blocks, and noise from block to block is seen inside it. What moves a whole run, as another load on the
machine does, is seen in neither: it is what the tolerance is for.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from perception.core.errors import InputError
from perception.runtime.bench.statistics import judge, ratio_interval

FORMAT = 1  # of a report
TOLERANCE = 0.03
SAME = ("scenario", "fps", "source")  # in two reports that can be compared


def read_baseline(path: Path) -> dict[str, Any]:
    """A ``latency.json``.

    Raises:
        InputError: it is missing, or no report of `perception bench latency` in this version of its format.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a latency.json: {error}") from error
    found = report.get("format") if isinstance(report, dict) else None
    if not isinstance(report, dict) or found != FORMAT:
        raise InputError(
            f"{path}: expected a latency.json of `perception bench latency` in format {FORMAT}, got format {found}; measure it again"
        )
    return report


def check_comparable(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise `InputError` unless two reports are of one kind, machine and engine and share a configuration."""
    pairs = [(key, before.get(key), after[key]) for key in SAME]
    pairs += [
        (key, before.get("machine", {}).get(key), after["machine"][key]) for key in ("cpu", "cores")
    ]
    for name in shared(before, after):
        old, new = before["configurations"][name], after["configurations"][name]
        pairs += [(f"device of {name}", old.get("device"), new["device"])]
    for key, old, new in pairs:
        if old != new:
            raise InputError(
                f"baseline: expected {key} {new!r} as now, got {old!r}; measure it again here"
            )
    if not shared(before, after):
        raise InputError(
            f"baseline: expected one of {list(after['configurations'])}, got {list(before['configurations'])}; measure the same engine and configuration"
        )


def shared(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the configurations that both reports have."""
    return [name for name in after["configurations"] if name in before["configurations"]]


def judge_reports(
    before: dict[str, Any], after: dict[str, Any], tolerance: float
) -> dict[str, dict[str, Any]]:
    """By configuration: ``verdict``, and ``ratio`` of the latencies with ``low`` and ``high`` of its 95 % interval.

    Args:
        before: the baseline.
        after: the report of now, comparable with it.
        tolerance: a share; what the whole interval must exceed.
    """
    judged = {}
    for name in shared(before, after):
        blocks = [np.array(r["configurations"][name]["block_medians_ms"]) for r in (before, after)]
        ratio, interval = ratio_interval(*blocks)
        judged[name] = {
            "verdict": judge(interval, tolerance),
            "ratio": ratio,
            "low": interval[0],
            "high": interval[1],
        }
    return judged
