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

PROCESS: Final = 1  # of the first camera; each has its own, as the viewers fold and name processes
NS_PER_US: Final = 1e3


class TraceWriter(Observer):
    """Writes one bar for each stage of each frame, on a line of its own for each stage of each camera, and age and drops as curves.

    Args:
        path: of the JSON file; it is replaced.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[int, dict[str, int]] = {}  # camera -> stage -> its line in the trace
        self._first = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from error
        self._lines_of(0)

    def observe(self, timing: FrameTiming, report: LatencyReport) -> None:
        """Write the bars of one frame."""
        camera = timing.camera
        lines = self._lines_of(camera)
        for stage, began_ns in timing.began_ns.items():
            if stage not in lines:
                lines[stage] = len(lines) + 1
                title = {"name": "thread_name", "ph": "M", "args": {"name": stage}}
                self._write(title, camera, lines[stage])
            bar = {
                "name": stage,
                "ph": "X",
                "ts": began_ns / NS_PER_US,
                "dur": timing.stages_ns[stage] / NS_PER_US,
                "args": {"frame": timing.frame_id},
            }
            self._write(bar, camera, lines[stage])
        curves = {"age, ms": timing.age_ns / 1e6, "dropped": report.dropped_by[camera]}
        for name, value in curves.items():
            at = timing.finished_ns / NS_PER_US
            self._write({"name": name, "ph": "C", "ts": at, "args": {name: value}}, camera)

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        if self._file.closed:
            return
        try:
            self._file.write("\n]\n")
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def _lines_of(self, camera: int) -> dict[str, int]:
        """The lines of a camera, which get their heading when it comes first."""
        if camera not in self._lines:
            self._lines[camera] = {}
            title = f"perception, camera {camera}" if camera else "perception"
            self._write({"name": "process_name", "ph": "M", "args": {"name": title}}, camera)
        return self._lines[camera]

    def _write(self, event: Mapping[str, Any], camera: int, line_number: int = 0) -> None:
        line = json.dumps({**event, "pid": PROCESS + camera, "tid": line_number})
        try:
            self._file.write(f"[\n{line}" if self._first else f",\n{line}")
        except OSError as error:
            raise self._failed(error) from error
        self._first = False

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: cannot be written: {error.strerror or error}")
