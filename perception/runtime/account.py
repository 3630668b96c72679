"""What a run shows and leaves behind: a line while it goes on, a table at its end, a picture of its latency."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from perception.core.timing import LatencyReport, Percentiles
from perception.core.types import Scene

SHOW_EVERY_S = 0.25
RECENT = 60  # frames that the line is about
PLOT_INCHES = (11.0, 5.0)
NAME_CHARS = 16  # of a source in a table, so that a row fits into 80


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


def show_address(url: str) -> None:
    """Say where the page of the run is."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"watch at {escape(url)}")


def show_report(report: LatencyReport, cameras: Sequence[Mapping[str, Any]] = ()) -> None:
    """Print the account of a run on stderr, and that of its cameras (`Camera.summary`) where they are several."""
    console = Console(stderr=True)
    console.print(report_table(report))
    if len(cameras) > 1:
        console.print(camera_table(cameras))


def camera_table(cameras: Sequence[Mapping[str, Any]]) -> Table:
    """A row a camera: what it gave, how old its results were, its longest silence, and whether it was lost."""
    table = Table(
        title=f"{len(cameras)} cameras", caption="age at the sinks, ms; longest silence, s"
    )
    table.add_column("camera", no_wrap=True)
    for name in ("frames", "dropped", "p50", "p95", "silent"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for one in cameras:
        counts = [str(one[key]) for key in ("frames", "dropped")]
        ages = [f"{one['age_ms'][key]:.1f}" for key in ("p50", "p95")]
        silent = f"{one['longest_silence_s']:.1f}"
        stalled = f"stalled {one['stalls']}x" if one["stalls"] else ""
        source = one["source"]
        # the end of a path or an address tells more than its beginning
        name = source if len(source) <= NAME_CHARS else f"…{source[1 - NAME_CHARS :]}"
        table.add_row(
            escape(f"{one['camera']}: {name}"),
            *counts,
            *ages,
            silent,
            "lost" if one["lost"] else stalled,
        )
    return table


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
    for part, times in report.device_ms().items():
        table.add_row(f"  infer, on the GPU: {part}", *_cells(times), "")
    table.add_section()
    table.add_row("age at the sinks", *_cells(report.age_ms()), "")
    return table


def _cells(times: Percentiles) -> list[str]:
    values = (times.p50, times.p95, times.p99, times.max)
    return [str(times.n), *(f"{value:.2f}" for value in values)]


def plot_latency(report: LatencyReport, path: Path, title: str) -> None:
    """Write a PNG: stages stacked and age on top, ms over s; warm-up is left out.

    Raises:
        OSError: the file cannot be written.
    """
    frames = report.frames
    figure = Figure(figsize=PLOT_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    first_ns = frames[0].finished_ns if frames else 0
    times_s = np.array([(f.finished_ns - first_ns) / 1e9 for f in frames])
    stages = list(report.stages_ms())
    spent_ms = np.array([[f.stages_ns.get(s, 0) / 1e6 for f in frames] for s in stages])
    if len(frames):
        axes.stackplot(times_s, spent_ms, labels=stages, alpha=0.8)
        ages_ms = [f.age_ns / 1e6 for f in frames]
        axes.plot(times_s, ages_ms, color="black", linewidth=1.0, label="age at the sinks")
        axes.legend(loc="upper right", ncols=len(stages) + 1)
        axes.margins(x=0)
    age = report.age_ms()
    axes.set_title(
        f"{title}\n{age.n} frames, {report.fps:.1f} fps, {report.dropped} dropped, "
        f"age p50 {age.p50:.0f} / p95 {age.p95:.0f} / p99 {age.p99:.0f} / max {age.max:.0f} ms"
    )
    axes.set_xlabel("time, s")
    axes.set_ylabel("ms")
    axes.set_ylim(bottom=0)
    figure.savefig(path, format="png", dpi=110)
