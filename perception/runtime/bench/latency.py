"""The latency of engines, in two of MLPerf's ways: one query after the other, and queries at a fixed rate.

A query is one frame: preprocess, infer, postprocess, one after the other. Batches are not among the choices: every backend opens
an engine for one frame at a time.

Source:
    Reddi et al., "MLPerf Inference Benchmark", 2020: single stream; server, here with even instead of Poisson arrivals.
"""

import itertools
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from perception.backends import default_precision
from perception.backends.base import Backend
from perception.core.errors import ConfigError
from perception.core.manifest import GRAPH_INPUT, Engine, load_engine
from perception.core.timing import NS_PER_MS
from perception.core.types import Float64, Frame, Int64
from perception.runtime.bench.baseline import FORMAT, check_comparable
from perception.runtime.bench.compare import summarise
from perception.runtime.bench.probes.host import describe_host
from perception.runtime.bench.probes.power import GpuWatch, Record, open_watch
from perception.runtime.bench.statistics import (
    due_ns,
    late_queries,
    latencies_ms,
    summarise_latency,
)
from perception.runtime.opening import RunConfig, open_for
from perception.sources import open_source
from perception.stages.postprocess import Reading, postprocess
from perception.stages.preprocess import preprocess

BLOCKS = 20  # of each configuration, at least; they are what runs are compared by
FRAMES = 60  # of the recording, in memory; repeated as often as needed
STAGES = ("preprocess", "infer", "postprocess")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyConfig:
    """What to measure: every combination of the lists.

    Attributes:
        queries: of each configuration, at least.
        seconds: of the whole run, at least.
        warmup: queries of each configuration that are left out.
        fps: rate of the constant stream; ``None``: single stream.
    """

    source: str = "demo"
    engines: tuple[str, ...]
    backends: tuple[str, ...]
    precisions: tuple[str, ...] = ("",)
    sizes: tuple[str, ...] = ("",)
    threads: tuple[int | None, ...] = (None,)
    queries: int = 1000
    seconds: float = 0.0
    warmup: int = 20
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.queries < 1 or self.seconds < 0 or self.warmup < 0:
            raise ConfigError(
                "bench latency: expected at least 1 query, and seconds and warm-up of at least 0, "
                f"got {self.queries}, {self.seconds} and {self.warmup}"
            )
        if self.fps is not None and not self.fps > 0:
            raise ConfigError(f"bench latency: expected a rate above 0, got {self.fps}")


@dataclass(slots=True)
class Measured:
    """One configuration and what its queries took, block by block.

    Attributes:
        name: engine, backend, precision, size and threads.
        query: runs the frame of a number, and returns what each of `STAGES` took, ns.
        facts: of the configuration, for the report.
        latency_ms: ``float64[queries]`` of each block.
        stages_ns: ``int64[queries, stage]`` of each block.
        gpu: what NVIDIA's GPUs told meanwhile.
    """

    name: str
    query: Callable[[int], list[int]]
    facts: dict[str, Any]
    latency_ms: list[Float64] = field(default_factory=list)
    stages_ns: list[Int64] = field(default_factory=list)
    cpu_ns: int = 0
    wall_ns: int = 0
    late: int = 0
    gpu: Record = field(default_factory=Record)

    def block(self, count: int, fps: float | None, watch: GpuWatch | None = None) -> None:
        """Run one block of queries and keep its figures; whatever queue a block leaves does not reach the next."""
        if watch is not None:
            watch.begin(self.gpu)
        began_ns, began_cpu_ns = time.monotonic_ns(), time.process_time_ns()
        due, finished, stages = run_block(self.query, count, fps)
        self.wall_ns += time.monotonic_ns() - began_ns
        self.cpu_ns += time.process_time_ns() - began_cpu_ns
        if watch is not None:
            watch.end()
        self.latency_ms.append(latencies_ms(due, finished))
        self.stages_ns.append(stages)
        self.late += late_queries(due, finished) if fps is not None else 0

    def block_medians_ms(self) -> Float64:
        """``float64[blocks]``."""
        return np.array([np.median(block) for block in self.latency_ms])

    def summary(self) -> dict[str, Any]:
        """Its part of the report."""
        latency_ms = np.concatenate(self.latency_ms)
        stages_ms = np.concatenate(self.stages_ns) / NS_PER_MS
        share = stages_ms.sum(axis=0) / max(stages_ms.sum(), np.finfo(float).tiny)
        return {
            **self.facts,
            "latency_ms": summarise_latency(latency_ms),
            "throughput_fps": len(latency_ms) * 1e9 / max(self.wall_ns, 1),
            "cpu_ms": self.cpu_ns / NS_PER_MS / len(latency_ms),
            "late": self.late,
            "gpu": self.gpu.summary(),
            "stages": {
                name: {"share": float(share[i]), **summarise_latency(stages_ms[:, i])}
                for i, name in enumerate(STAGES)
            },
            "block_medians_ms": self.block_medians_ms().tolist(),
        }


def bench_latency(
    config: LatencyConfig, before: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Float64]]:
    """Measure every configuration, a block of each in turn, so that the machine's moods meet all alike.

    Args:
        config: what to measure.
        before: a report that this one is for comparison with: one of something else is refused before anything is measured.

    Returns:
        The report, which JSON can hold, and ``float64[n]`` latencies in ms by configuration. ``ratios`` are to the first
        configuration, paired by turn. ``peak_rss_mib`` is that of the process with all configurations open. ``gpu`` of a configuration is
        ``None`` where there is no NVIDIA GPU or its package is missing.

    Raises:
        InputError: `before` cannot be compared.
        PerceptionError: a configuration cannot be opened.
    """
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        measured = _open_all(config, stack)
        head = {
            "format": FORMAT,
            "scenario": "single-stream" if config.fps is None else "constant-stream",
            "fps": config.fps,
            "source": config.source,
            "warmup": config.warmup,
            "machine": describe_host(set(config.backends)),
        }
        if before is not None:
            known = {"configurations": {one.name: one.facts for one in measured}}
            check_comparable(before, head | known)
        for one in measured:
            for number in range(config.warmup):
                one.query(number)
        if (watch := open_watch()) is not None:
            stack.enter_context(watch)
        _measure(measured, config, watch)
    first = measured[0].block_medians_ms()
    report = {
        **head,
        "peak_rss_mib": _peak_rss_mib(),
        "configurations": {one.name: one.summary() for one in measured},
        "ratios": {one.name: ratio(one.block_medians_ms(), first) for one in measured[1:]},
    }
    return report, {one.name: np.concatenate(one.latency_ms) for one in measured}


def ratio(blocks_ms: Float64, first_ms: Float64) -> dict[str, float]:
    """Latency in units of the first configuration's, with the 95 % interval of the pairs."""
    found = summarise(np.stack([blocks_ms, first_ms], axis=1))
    return {"ratio": 1 + found.share, "low": 1 + found.share_low, "high": 1 + found.share_high}


def run_block(
    query: Callable[[int], list[int]],
    count: int,
    fps: float | None,
    now_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[Int64, Int64, Int64]:
    """Run queries back to back, or each when it is due or, where that has passed, at once.

    Returns:
        ``int64[count]`` when each was due (back to back: when the one before it had finished) and when it had finished, and
        ``int64[count, stage]`` what its stages took, ns.
    """
    start = now_ns()
    due = start + due_ns(count, fps) if fps is not None else np.zeros(count, np.int64)
    finished = np.zeros(count, np.int64)
    stages = np.zeros((count, len(STAGES)), np.int64)
    for i in range(count):
        if fps is None:
            due[i] = now_ns()
        elif (wait_ns := int(due[i]) - now_ns()) > 0:
            sleep(wait_ns / 1e9)
        stages[i] = query(i)
        finished[i] = now_ns()
    return due, finished, stages


def _measure(measured: Sequence[Measured], config: LatencyConfig, watch: GpuWatch | None) -> None:
    """Blocks in turn, whose order rotates, until there are queries enough and the time has passed."""
    block = max(1, config.queries // BLOCKS)
    deadline_s = time.monotonic() + config.seconds
    for turn in itertools.count():
        if turn * block >= config.queries and time.monotonic() >= deadline_s:
            return
        shift = turn % len(measured)
        for one in (*measured[shift:], *measured[:shift]):
            one.block(block, config.fps, watch)


def _open_all(config: LatencyConfig, stack: ExitStack) -> list[Measured]:
    """Every configuration, opened until `stack` ends; those that come out the same are one."""
    source = stack.enter_context(open_source(config.source, live=False))
    frames = list(itertools.islice(source, FRAMES))
    opened: dict[str, Measured] = {}
    for folder, backend, precision, size, threads in itertools.product(
        config.engines, config.backends, config.precisions, config.sizes, config.threads
    ):
        engine = load_engine(folder)
        run = RunConfig(
            source=config.source,
            engine=folder,
            backend=backend,
            precision=precision or default_precision(backend, engine),
            size=size,
            threads=threads,
        )
        ready = stack.enter_context(open_for(source, engine, run))
        facts = _facts(engine, ready, threads)
        name = " ".join(str(facts[key]) for key in ("engine", "backend", "precision", "size"))
        name += "" if threads is None else f" {threads} threads"
        opened.setdefault(name, Measured(name, _query(ready, engine, frames), facts))
    return list(opened.values())


def _facts(engine: Engine, backend: Backend, threads: int | None) -> dict[str, Any]:
    return {
        "engine": engine.manifest.name,
        "onnx_sha256": engine.manifest.onnx_sha256,
        "backend": backend.name,
        "precision": backend.precision,
        "size": "x".join(map(str, backend.size_wh)),
        "threads": threads,
        "device": backend.device,
    }


def _query(backend: Backend, engine: Engine, frames: Sequence[Frame]) -> Callable[[int], list[int]]:
    reading = Reading.of(engine.manifest)

    def query(number: int) -> list[int]:
        frame = frames[number % len(frames)]
        began = time.monotonic_ns()
        feed, box = preprocess(frame, backend.size_wh, backend.fit)
        fed = time.monotonic_ns()
        outputs = backend.infer({GRAPH_INPUT: feed})
        inferred = time.monotonic_ns()
        postprocess(frame, outputs, box, reading)
        return [fed - began, inferred - fed, time.monotonic_ns() - inferred]

    return query


def _peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB on Linux
