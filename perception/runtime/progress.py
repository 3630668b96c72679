"""What a run shows on stderr: a line while it goes on, a table at its end."""

import time
from collections import deque
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from perception.core.timing import LatencyReport, Percentiles
from perception.core.types import Scene

SHOW_EVERY_S = 0.25
RECENT = 60  # frames that the line is about


class ProgressLine:
    """One line that is renewed in place: frames, frames a second, age, drops. Silent where stderr is no terminal.

    Args:
        total: frames that will come, ``None`` where unknown.
    """

    def __init__(self, total: int | None) -> None:
        self._of = f"/{total}" if total else ""
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._ages_ms: deque[float] = deque(maxlen=RECENT)
        self._times_s: deque[float] = deque(maxlen=RECENT)
        self._shown_s = 0.0

    def show(self, scene: Scene, report: LatencyReport) -> None:
        """Take note of a finished frame, and renew the line if it is time."""
        now_s = time.monotonic()
        self._times_s.append(now_s)
        self._ages_ms.append(now_s * 1e3 - scene.frame.captured_ns / 1e6)
        if self._console.is_terminal and now_s - self._shown_s >= SHOW_EVERY_S:
            self._shown_s = now_s
            self._live.update(Text(self.line(report)), refresh=True)

    def line(self, report: LatencyReport) -> str:
        """The line as it stands."""
        span_s = self._times_s[-1] - self._times_s[0] if self._times_s else 0.0
        fps = (len(self._times_s) - 1) / span_s if span_s else 0.0
        age_ms = median(self._ages_ms) if self._ages_ms else 0.0
        return (
            f"{report.finished}{self._of} frames  {fps:.1f} fps  age p50 {age_ms:.0f} ms  "
            f"{report.dropped} dropped"
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()


def show_report(report: LatencyReport) -> None:
    """Print the account of a run as a table on stderr."""
    Console(stderr=True).print(report_table(report))


def report_table(report: LatencyReport) -> Table:
    """Stages and age by percentile, in ms; below, what the percentiles leave out."""
    left_out = report.finished - len(report.frames)
    table = Table(
        title=f"{report.finished} frames, {report.dropped} dropped, {report.fps:.1f} fps",
        caption=f"ms; the first {left_out} frames are left out as warm-up",
    )
    table.add_column("stage")
    for name in ("n", "p50", "p95", "p99", "max", "CPU p50"):
        table.add_column(name, justify="right")
    cpu_ms = report.cpu_ms()
    for stage, times in report.stages_ms().items():
        table.add_row(stage, *_cells(times), f"{cpu_ms[stage].p50:.2f}" if stage in cpu_ms else "")
    table.add_section()
    table.add_row("age at the sinks", *_cells(report.age_ms()), "")
    return table


def _cells(times: Percentiles) -> list[str]:
    values = (times.p50, times.p95, times.p99, times.max)
    return [str(times.n), *(f"{value:.2f}" for value in values)]
