"""The latency account as a picture: stages stacked, and the age of each result, over the run."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from perception.core.timing import LatencyReport

SIZE_INCHES = (11.0, 5.0)


def plot_latency(report: LatencyReport, path: Path, title: str) -> None:
    """Write a PNG: stages stacked and age on top, ms over s; warm-up is left out.

    Raises:
        OSError: the file cannot be written.
    """
    frames = report.frames
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
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
