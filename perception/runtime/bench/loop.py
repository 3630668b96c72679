"""Two measurements of the loop: how much it costs beside the inference alone, and how old live results are."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import cv2
import numpy as np

from perception.backends import DEFAULT_BACKEND
from perception.backends.base import Backend
from perception.core.errors import ConfigError
from perception.core.manifest import DEFAULT_ENGINE, GRAPH_INPUT, Engine, load_engine
from perception.core.timing import FrameTiming, LatencyReport
from perception.core.types import UInt8
from perception.runtime.opening import FOLDER_FPS, RunConfig, open_for
from perception.runtime.pipeline import Pipeline
from perception.sinks import open_sinks
from perception.sinks.base import SinkContext
from perception.sources import open_source
from perception.sources.base import Picture, Source
from perception.sources.paced import PacedSource
from perception.stages.preprocess import preprocess

SINKS = {  # what is written in each way of running the loop; {} is a folder
    "jsonl": ("jsonl={}/results.jsonl",),
    "overlay": ("jsonl={}/results.jsonl", "overlay={}/overlay.mp4"),
}
WORK = (
    "preprocess",
    "infer",
    "postprocess",
)  # stages without which no result can be; the rest of an age is waiting
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """What to measure."""

    source: str = "demo"
    engine: str = DEFAULT_ENGINE
    backend: str = DEFAULT_BACKEND
    precision: str = ""
    size: str = ""  # of the engine input, as WIDTHxHEIGHT; empty: as the frames need
    threads: int | None = None  # of the inference; None: every core
    frames: int = 60  # in each segment of `bench_loop`; they are kept in memory
    rounds: int = 3  # of `bench_loop`
    warmup: int = 5  # frames of each segment that are left out
    fps: float = 30.0  # at which `bench_live` plays the recording
    duration_s: float = 60.0  # of `bench_live`


def bench_loop(config: BenchConfig) -> dict[str, Any]:
    """Frames a second of the loop over those of back-to-back inference alone, on the same frames, interleaved.

    Each round is: inference alone, loop with JSONL, loop with JSONL and overlay MP4, inference alone. The ratios of a round take
    the mean of its two runs of inference alone.

    Returns:
        ``fps`` and ``ratio`` with min, median and max over the rounds; ``cpu_ms_by_stage``, mean of the CPU time of each
        stage's thread; ``cpu_ms_outside_inference``, its sum without inference; ``process_cpu_ms``, of all threads, a frame.
    """
    if config.rounds < 1 or config.frames <= config.warmup + 1:
        raise ConfigError("bench: expected at least 1 round and more frames than warm-up")
    cv2.setNumThreads(1)
    engine = load_engine(config.engine)
    fps: dict[str, list[float]] = {"alone": [], **{way: [] for way in SINKS}}
    cpu: dict[str, list[float]] = {name: [] for name in fps}
    kept: dict[str, list[FrameTiming]] = {way: [] for way in SINKS}
    with (
        open_source(config.source, live=False) as source,
        open_for(source, engine, _run(config)) as backend,
    ):
        feeds = _feeds(source, backend, config.frames)
        for _ in range(config.rounds):
            before = _alone(backend, feeds, config.warmup)
            for way, specs in SINKS.items():
                report, process_ms = _loop(engine, backend, specs, config)
                fps[way].append(report.fps)
                cpu[way].append(process_ms)
                kept[way].extend(report.frames)
            after = _alone(backend, feeds, config.warmup)
            fps["alone"].append((before[0] + after[0]) / 2)
            cpu["alone"].append((before[1] + after[1]) / 2)
        about = _about(engine, backend)
    ratios = {way: [a / b for a, b in zip(fps[way], fps["alone"], strict=True)] for way in SINKS}
    by_stage = {way: _mean_cpu_ms(frames) for way, frames in kept.items()}
    return {
        **about,
        "frames": len(feeds),
        "rounds": config.rounds,
        "fps": {name: _spread(values) for name, values in fps.items()},
        "ratio": {way: _spread(values) for way, values in ratios.items()},
        "cpu_ms_by_stage": by_stage,
        "cpu_ms_outside_inference": {
            way: sum(spent for stage, spent in stages.items() if stage != "infer")
            for way, stages in by_stage.items()
        },
        "process_cpu_ms": {name: _spread(values) for name, values in cpu.items()},
    }


def bench_live(config: BenchConfig) -> dict[str, Any]:
    """Age of live results beyond the work itself: a recording, repeated, played as a camera for `duration_s`.

    Returns:
        ``work_ms`` and ``waiting_ms`` (age minus work) as percentiles, ``waiting_p50_by_third_ms`` of the run, and
        ``drift_ms``, the last third minus the first.
    """
    if config.duration_s <= 0 or config.fps <= 0:
        raise ConfigError("bench: expected a duration and a rate above 0")
    cv2.setNumThreads(1)
    engine = load_engine(config.engine)
    repeated = RepeatedSource(config.source)
    with (
        PacedSource(repeated, config.fps) as source,
        open_for(source, engine, _run(config)) as backend,
        tempfile.TemporaryDirectory() as folder,
    ):
        sinks = open_sinks([s.format(folder) for s in SINKS["jsonl"]], _context(engine, config.fps))
        deadline_s = time.monotonic() + config.duration_s
        with Pipeline(source, backend, engine.manifest, sinks, warmup=config.warmup) as pipeline:
            for _ in pipeline.scenes():
                if time.monotonic() >= deadline_s:
                    pipeline.interrupt()
        about = _about(engine, backend)
    return {**about, "fps_of_source": config.fps, **live_account(pipeline.report)}


def live_account(report: LatencyReport) -> dict[str, Any]:
    """The figures of `bench_live` from the account of a live run."""
    work_ms = [sum(f.stages_ns[s] for s in WORK) / NS_PER_MS for f in report.frames]
    waiting_ms = [
        f.age_ns / NS_PER_MS - work for f, work in zip(report.frames, work_ms, strict=True)
    ]
    thirds = [median(part) for part in np.array_split(waiting_ms, 3) if len(part)]
    return {
        "frames": report.finished,
        "dropped": report.dropped,
        "fps": report.fps,
        "work_ms": _spread(work_ms),
        "waiting_ms": _spread(waiting_ms),
        "waiting_p50_by_third_ms": thirds,
        "drift_ms": thirds[-1] - thirds[0] if thirds else 0.0,
    }


class RepeatedSource(Source):
    """A recording, from its start again whenever it ends. It has no time stamps.

    Args:
        spec: of the recording, as `open_source` takes it.
    """

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        with open_source(spec, live=False) as first:
            self.size_wh = first.size_wh
            self.fps = first.fps
        self.live = False

    def _pictures(self) -> Iterator[Picture]:
        while not self._stopping.is_set():
            with open_source(self.name, live=False) as recording:
                for frame in recording:
                    yield Picture(frame.image, frame.captured_ns, None)
                    if self._stopping.is_set():
                        return


def _run(config: BenchConfig) -> RunConfig:
    return RunConfig(
        source=config.source,
        engine=config.engine,
        backend=config.backend,
        precision=config.precision,
        size=config.size,
        threads=config.threads,
    )


def _context(engine: Engine, fps: float | None) -> SinkContext:
    return SinkContext(engine.manifest.box_classes, engine.manifest.map_classes, fps or FOLDER_FPS)


def _about(engine: Engine, backend: Backend) -> dict[str, Any]:
    return {
        "engine": engine.manifest.name,
        "backend": backend.name,
        "precision": backend.precision,
        "device": backend.device,
        "size_wh": list(backend.size_wh),
        "fit_on_device": backend.fit is not None,
    }


def _feeds(source: Source, backend: Backend, limit: int) -> list[UInt8]:
    feeds = []
    for frame in source:
        feeds.append(preprocess(frame, backend.size_wh, backend.fit).feed)
        if len(feeds) == limit:
            break
    return feeds


def _alone(backend: Backend, feeds: Sequence[UInt8], warmup: int) -> tuple[float, float]:
    """Frames a second, and CPU ms a frame, of inference back to back after `warmup` frames."""
    for feed in feeds[:warmup]:
        backend.infer({GRAPH_INPUT: feed})
    began_ns, began_cpu_ns = time.monotonic_ns(), time.process_time_ns()
    for feed in feeds[warmup:]:
        backend.infer({GRAPH_INPUT: feed})
    count = len(feeds) - warmup
    cpu_ms = (time.process_time_ns() - began_cpu_ns) / NS_PER_MS / count
    return count * 1e9 / (time.monotonic_ns() - began_ns), cpu_ms


def _loop(
    engine: Engine, backend: Backend, specs: Sequence[str], config: BenchConfig
) -> tuple[LatencyReport, float]:
    """The account of one loop, and CPU ms a frame of the whole process during it."""
    with open_source(config.source, live=False) as source, tempfile.TemporaryDirectory() as folder:
        sinks = open_sinks(
            [spec.format(Path(folder)) for spec in specs], _context(engine, source.fps)
        )
        began_ns = time.process_time_ns()
        with Pipeline(
            source, backend, engine.manifest, sinks, live=False, warmup=config.warmup
        ) as pipeline:
            report = pipeline.run(config.frames)
        cpu_ms = (time.process_time_ns() - began_ns) / NS_PER_MS / max(1, report.finished)
    return report, cpu_ms


def _mean_cpu_ms(frames: Sequence[FrameTiming]) -> dict[str, float]:
    stages = frames[0].cpu_ns if frames else {}
    return {s: fmean(f.cpu_ns[s] for f in frames) / NS_PER_MS for s in stages}


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Min, median, p95 and max of some figures; zeros where there are none."""
    if not values:
        return {"n": 0, "min": 0.0, "p50": 0.0, "p95": 0.0, "max": 0.0}
    p50, p95 = np.percentile(values, (50, 95))
    return {
        "n": len(values),
        "min": min(values),
        "p50": float(p50),
        "p95": float(p95),
        "max": max(values),
    }
