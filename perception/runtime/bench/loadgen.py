"""An engine under MLPerf's own load generator, whose verdict counts: it issues the queries, takes the times, and says VALID or INVALID.

A sample is one frame of a recording, fitted when LoadGen loads its samples; a query is inference and postprocessing. Every backend takes
one frame at a time, so the samples of a query run one after the other, and queries that come meanwhile wait, which LoadGen counts.

Source:
    Reddi et al., "MLPerf Inference Benchmark", 2020, and the package `mlcommons-loadgen`. Runs are shorter than a submission's 600 s
    unless that is asked for.
"""

import itertools
import re
import signal
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mlperf_loadgen
import numpy as np

from perception.backends import default_precision
from perception.backends.base import Backend
from perception.core.errors import ConfigError, OutputError, RunError
from perception.core.geometry import Letterbox
from perception.core.manifest import GRAPH_INPUT, load_engine
from perception.core.timing import NS_PER_MS
from perception.core.types import Frame, UInt8
from perception.runtime.bench.latency import FRAMES
from perception.runtime.bench.probes.host import describe_host
from perception.runtime.bench.statistics import summarise_latency
from perception.runtime.opening import RunConfig, open_for
from perception.sources import open_source
from perception.stages.postprocess import Reading, postprocess
from perception.stages.preprocess import preprocess

SUMMARY = "mlperf_log_summary.txt"
PAUSE_S = 0.01  # a query, once one has failed: LoadGen cannot be told to stop
# name -> LoadGen's, and the fewest queries with which its early stopping can say VALID (percentiles 90, 99, 99)
SCENARIOS = {
    "single-stream": ("SingleStream", 64),
    "multi-stream": ("MultiStream", 662),
    "server": ("Server", 662),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadgenConfig:
    """What LoadGen is asked for.

    Attributes:
        scenario: of `SCENARIOS`.
        queries: at least; 0: the fewest of the scenario.
        seconds: at least.
        fps: of ``server``, Poisson arrivals: mean rate of queries.
        bound_ms: of ``server``: what 99 % of latencies must stay under.
        samples: of ``multi-stream``: frames of a query, as cameras that are read together.
        out: folder for LoadGen's logs; ``None``: they are not kept.
    """

    scenario: str = "single-stream"
    source: str = "demo"
    engine: str
    backend: str
    precision: str = ""
    size: str = ""
    threads: int | None = None
    queries: int = 0
    seconds: float = 60.0
    fps: float = 10.0
    bound_ms: float = 100.0
    samples: int = 8
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise ConfigError(
                f"bench loadgen: expected a scenario of {list(SCENARIOS)}, got {self.scenario!r}; "
                "perception bench latency --fps has a constant stream"
            )
        positive = {"fps": self.fps, "latency bound": self.bound_ms, "samples": self.samples}
        for name, value in positive.items():
            if not value > 0:
                raise ConfigError(f"bench loadgen: expected a {name} above 0, got {value}")
        if self.queries < 0 or self.seconds < 0:
            raise ConfigError(
                f"bench loadgen: expected queries and seconds of at least 0, got {self.queries} and {self.seconds}"
            )


class SystemUnderTest:
    """What LoadGen calls: loads samples, and answers queries one after the other.

    Attributes:
        spent_ns: what each frame took, inference and postprocessing.
        error: the first that a query met; the queries after it do no work.
    """

    def __init__(self, backend: Backend, reading: Reading, frames: Sequence[Frame]) -> None:
        self._backend = backend
        self._reading = reading
        self._frames = frames
        self._loaded: dict[int, tuple[UInt8, Letterbox]] = {}
        self.spent_ns: list[int] = []
        self.error: Exception | None = None

    def load(self, numbers: Iterable[int]) -> None:
        """Fit frames into memory; this is not timed."""
        for number in numbers:
            self._loaded[number] = preprocess(
                self._frames[number], self._backend.size_wh, self._backend.fit
            )

    def unload(self, numbers: Iterable[int]) -> None:
        """Forget them."""
        for number in numbers:
            self._loaded.pop(number, None)

    def issue(self, samples: Iterable[Any]) -> None:
        """Answer one query."""
        for sample in samples:
            try:
                self._answer(sample.index)
            except Exception as error:  # noqa: BLE001 (through LoadGen's C++ it would end the process)
                self.error = self.error or error
            response = mlperf_loadgen.QuerySampleResponse(sample.id, 0, 0)
            mlperf_loadgen.QuerySamplesComplete([response])

    def flush(self) -> None:
        """Nothing waits here."""

    def _answer(self, number: int) -> None:
        if self.error is not None:
            time.sleep(PAUSE_S)
            return
        feed, box = self._loaded[number]
        began_ns = time.monotonic_ns()
        outputs = self._backend.infer({GRAPH_INPUT: feed})
        postprocess(self._frames[number], outputs, box, self._reading)
        self.spent_ns.append(time.monotonic_ns() - began_ns)


def bench_loadgen(config: LoadgenConfig) -> dict[str, Any]:
    """Run one scenario in LoadGen's performance mode.

    Returns:
        ``loadgen``: of `parse_summary`; ``frames_ms``: the distribution of what single frames took by our own clock, where waiting does not
        count; what ran where.

    Raises:
        PerceptionError: the engine cannot be opened, the logs cannot be written, or LoadGen left no verdict.
    """
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(config.source, live=False))
        frames = list(itertools.islice(source, FRAMES))
        engine = load_engine(config.engine)
        run = RunConfig(
            source=config.source,
            engine=config.engine,
            backend=config.backend,
            precision=config.precision or default_precision(config.backend, engine),
            size=config.size,
            threads=config.threads,
        )
        backend = stack.enter_context(open_for(source, engine, run))
        machine = describe_host({config.backend})
        system = SystemUnderTest(backend, Reading.of(engine.manifest), frames)
        out = config.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = parse_summary(run_scenario(config, system, len(frames), out))
        return {
            "scenario": config.scenario,
            "engine": engine.manifest.name,
            "backend": backend.name,
            "precision": backend.precision,
            "size": "x".join(map(str, backend.size_wh)),
            "threads": config.threads,
            "device": backend.device,
            "machine": machine,
            "loadgen": found,
            "frames_ms": summarise_latency(np.array(system.spent_ns) / NS_PER_MS),
        }


def run_scenario(config: LoadgenConfig, system: SystemUnderTest, count: int, out: Path) -> str:
    """LoadGen's summary of one run over `count` samples; its logs are left in `out`.

    Raises:
        OutputError: the folder cannot be written.
        RunError: LoadGen left no summary.
        Exception: what a query raised.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / SUMMARY).write_text("", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
    logs = mlperf_loadgen.LogSettings()
    logs.enable_trace = False
    logs.log_output = mlperf_loadgen.LogOutputSettings()
    logs.log_output.outdir = str(out)
    sut = mlperf_loadgen.ConstructSUT(system.issue, system.flush)
    library = mlperf_loadgen.ConstructQSL(count, count, system.load, system.unload)
    # LoadGen cannot be told to stop, and no Python may run in the midst of it: Ctrl-C ends the process at once
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        mlperf_loadgen.StartTestWithLogSettings(sut, library, _settings(config), logs)
    finally:
        signal.signal(signal.SIGINT, previous)
        mlperf_loadgen.DestroyQSL(library)
        mlperf_loadgen.DestroySUT(sut)
    if system.error is not None:
        raise system.error
    text = (out / SUMMARY).read_text(encoding="utf-8")
    if "Result is" not in text:
        raise RunError(f"{out / SUMMARY}: expected LoadGen's verdict, got {text[:80]!r}")
    return text


def parse_summary(text: str) -> dict[str, Any]:
    """LoadGen's summary: ``result``, ``VALID`` or ``INVALID``; ``satisfied`` by constraint; ``latency_ms``; ``rates``, queries a second."""
    latency = re.findall(r"^(Min|Max|Mean|[\d.]+ percentile) latency \(ns\) +: (\d+)", text, re.M)
    satisfied = re.findall(r"^ +(.+?) satisfied ?: (\w+)", text, re.M)
    rates = re.findall(r"^(QPS .*?|\w+ samples per second) +: ([\d.]+)", text, re.M)
    verdict = re.search(r"^Result is : (\w+)", text, re.M)
    return {
        "result": verdict[1] if verdict else "",
        "satisfied": {name.lower(): word.lower() == "yes" for name, word in satisfied},
        "latency_ms": {_short(name): int(value) / NS_PER_MS for name, value in latency},
        "rates": {name: float(value) for name, value in rates},
    }


def _short(name: str) -> str:
    """``"50.00 percentile"`` -> ``"p50"``."""
    number = name.removesuffix(" percentile")
    return name.lower() if number == name else f"p{float(number):g}"


def _settings(config: LoadgenConfig) -> mlperf_loadgen.TestSettings:
    name, fewest = SCENARIOS[config.scenario]
    settings = mlperf_loadgen.TestSettings()
    settings.scenario = getattr(mlperf_loadgen.TestScenario, name)
    settings.mode = mlperf_loadgen.TestMode.PerformanceOnly
    settings.min_query_count = config.queries or fewest
    settings.min_duration_ms = round(config.seconds * 1000)
    settings.multi_stream_samples_per_query = config.samples
    settings.server_target_qps = config.fps
    settings.server_target_latency_ns = round(config.bound_ms * NS_PER_MS)
    return settings
