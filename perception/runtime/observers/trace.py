"""The stages of every finished frame as a trace that chrome://tracing and ui.perfetto.dev open.

Source:
    Google, "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: complete events (``X``), counters
    (``C``) and metadata (``M``) as a JSON array, whose closing bracket may be missing: so what was written before a kill opens too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from perception.core.errors import OutputError
from perception.core.timing import FrameTiming, LatencyReport
from perception.runtime.observers.base import Observer

PROCESS: Final = 1
NS_PER_US: Final = 1e3


class TraceWriter(Observer):
    """Writes one bar for each stage of each frame, on a line of its own for each stage, and the age and the drops as curves.

    Args:
        path: of the JSON file; it is replaced.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, int] = {}  # stage -> its line in the trace
        self._first = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from error
        self._write({"name": "process_name", "ph": "M", "args": {"name": "perception"}})

    def observe(self, timing: FrameTiming, report: LatencyReport) -> None:
        """Write the bars of one frame."""
        for stage, began_ns in timing.began_ns.items():
            if stage not in self._lines:
                self._lines[stage] = len(self._lines) + 1
                self._write({"name": "thread_name", "ph": "M", "args": {"name": stage}}, stage)
            bar = {
                "name": stage,
                "ph": "X",
                "ts": began_ns / NS_PER_US,
                "dur": timing.stages_ns[stage] / NS_PER_US,
                "args": {"frame": timing.frame_id},
            }
            self._write(bar, stage)
        curves = {"age, ms": timing.age_ns / 1e6, "dropped": report.dropped}
        for name, value in curves.items():
            at = timing.finished_ns / NS_PER_US
            self._write({"name": name, "ph": "C", "ts": at, "args": {name: value}})

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        if self._file.closed:
            return
        try:
            self._file.write("\n]\n")
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def _write(self, event: Mapping[str, Any], stage: str = "") -> None:
        line = json.dumps({**event, "pid": PROCESS, "tid": self._lines.get(stage, 0)})
        try:
            self._file.write(f"[\n{line}" if self._first else f",\n{line}")
        except OSError as error:
            raise self._failed(error) from error
        self._first = False

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: cannot be written: {error.strerror or error}")
