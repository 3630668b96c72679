"""The machine that figures come from, for a report: another one makes other figures."""

import os
import platform
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from perception import __version__
from perception.backends import BACKENDS
from perception.backends.cpu import cpu_name
from perception.core.process import usable_cores
from perception.runtime.machine import memory_gib, read_text

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_host(backends: Collection[str]) -> dict[str, Any]:
    """Processor, cores, clock governor (``None`` where the system does not tell), memory, load, versions, time.

    Args:
        backends: whose versions matter.
    """
    memory = memory_gib()
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "governor": read_text(GOVERNOR) or None,
        "memory_gib": None if memory is None else round(memory[0], 1),
        "load_average_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "versions": {
            "perception": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{name: str(BACKENDS[name].probe()) for name in sorted(backends)},
        },
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
    }
