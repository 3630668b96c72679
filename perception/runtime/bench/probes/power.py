"""Power, clocks, temperature and throttling of the machine's NVIDIA GPUs while something is measured, as NVML tells them.

A GPU that is throttled or whose clock has not come up makes other latencies; the figures say so. Needs the package `nvidia-ml-py`; where it or
the driver is missing there is nothing to watch. NVML itself averages power over up to 100 ms.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from perception.core.process import Closing
from perception.runtime.machine import nvidia_gpus

PERIOD_S = 0.02
QUANTITIES = ("power_w", "sm_mhz", "memory_mhz", "temperature_c")
REASON = "nvmlClocksThrottleReason"  # how NVML's names of reasons begin
NO_REASON = ("GpuIdle", "None", "All")

Summary = dict[str, Any]

_log = logging.getLogger(__name__)


class GpuWatch(Closing):
    """Reads every GPU at a fixed period, in a thread of its own, while it is told to.

    Args:
        nvml: the module `pynvml`.
        period_s: between readings.

    Raises:
        nvml.NVMLError: there is no driver.
    """

    def __init__(self, nvml: Any, period_s: float = PERIOD_S) -> None:  # noqa: ANN401 (an untyped module)
        self._nvml = nvml
        self._period_s = period_s
        nvml.nvmlInit()
        self._handles = {}
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name = nvml.nvmlDeviceGetName(handle)
            text = name.decode() if isinstance(name, bytes) else name  # bytes before version 12
            self._handles[f"{index} {text}"] = handle
        self._reasons = throttle_reasons(vars(nvml))
        self._keep: Record | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="gpu-watch", daemon=True)
        self._thread.start()

    def begin(self, keep: "Record") -> None:
        """From now on readings go to `keep`."""
        with self._lock:
            self._keep = keep

    def end(self) -> None:
        """Read once more, so that also a short block has a reading, and stop."""
        with self._lock:
            self._read()
            self._keep = None

    def close(self) -> None:
        """Stop the thread and let NVML go."""
        if not self._closed.is_set():
            self._closed.set()
            self._thread.join()
            self._nvml.nvmlShutdown()

    def _work(self) -> None:
        while not self._closed.wait(self._period_s):
            with self._lock:
                self._read()

    def _read(self) -> None:
        if self._keep is None:
            return
        nvml = self._nvml
        for name, handle in self._handles.items():
            clock = nvml.nvmlDeviceGetClockInfo
            mask = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
            milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
            self._keep.add(
                name,
                {
                    "power_w": None if milliwatts is None else milliwatts / 1000,
                    "sm_mhz": self._ask(clock, handle, nvml.NVML_CLOCK_SM),
                    "memory_mhz": self._ask(clock, handle, nvml.NVML_CLOCK_MEM),
                    "temperature_c": self._ask(
                        nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
                    ),
                },
                None if mask is None else [r for bit, r in self._reasons.items() if mask & bit],
            )

    def _ask(self, question: Callable[..., int], *arguments: object) -> int | None:
        """``None`` for what this GPU does not tell, as a Jetson its power."""
        try:
            return question(*arguments)
        except self._nvml.NVMLError:
            return None


class Record:
    """Readings of one configuration."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._reasons: dict[str, list[list[str]]] = defaultdict(list)
        self._n: dict[str, int] = defaultdict(int)

    def add(self, gpu: str, values: Mapping[str, float | None], reasons: list[str] | None) -> None:
        """One reading; ``None`` where NVML does not tell."""
        self._n[gpu] += 1
        for key, value in values.items():
            if value is not None:
                self._values[gpu][key].append(value)
        if reasons is not None:
            self._reasons[gpu].append(reasons)

    def summary(self) -> Summary | None:
        """By GPU: ``n`` readings, ``mean``, ``min`` and ``max`` of each of `QUANTITIES`, and ``throttled``, the share of readings by reason.

        ``None`` where nothing was read; a quantity that was never told is ``None``.
        """
        return {gpu: self._of(gpu) for gpu in self._n} or None

    def _of(self, gpu: str) -> Summary:
        values, reasons = self._values[gpu], self._reasons[gpu]
        named = sorted({reason for reading in reasons for reason in reading})
        return {
            "n": self._n[gpu],
            **{key: _spread(values[key]) if values[key] else None for key in QUANTITIES},
            "throttled": {
                reason: sum(reason in reading for reading in reasons) / len(reasons)
                for reason in named
            }
            if reasons
            else None,
        }


def open_watch() -> GpuWatch | None:
    """Watch the GPUs of this machine; ``None`` where it has none, or the package is missing, which is logged."""
    try:
        nvml = import_module("pynvml")
    except ModuleNotFoundError:
        if nvidia_gpus().devices:
            _log.warning("power and clocks are not read: pip install 'perception[power]'")
        return None
    try:
        return GpuWatch(nvml)
    except nvml.NVMLError as error:
        _log.debug("power and clocks are not read: %s", error)
        return None


def throttle_reasons(names: Mapping[str, Any]) -> dict[int, str]:
    """Bit of NVML's mask -> reason, of the module's constants; an idle GPU is not throttled."""
    found: dict[int, str] = {}
    for name, bit in sorted(names.items()):
        reason = name.removeprefix(REASON)
        if name.startswith(REASON) and reason not in NO_REASON:
            found.setdefault(bit, reason)  # one bit has had two names
    return found


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": float(np.mean(values)),
        "min": float(min(values)),
        "max": float(max(values)),
    }
