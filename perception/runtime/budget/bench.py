"""The command ``perception bench budget``: how well budgets are kept, and what they cost in accuracy, on labelled frames that run through the real loop."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, inf
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table

from perception.backends import open_backend
from perception.backends.base import Backend
from perception.core.errors import ConfigError, OutputError
from perception.core.geometry import choose_model_size
from perception.core.manifest import Engine, load_engine
from perception.core.types import Float64, Scene
from perception.datasets import Sample
from perception.datasets.drives import rendered_drives
from perception.metrics.bootstrap import FrameRecords, Resampling, interval, resample_figures
from perception.metrics.evaluator import GraphResult
from perception.runtime.budget.pipeline import BudgetPipeline
from perception.runtime.budget.selector import TaskSelector
from perception.runtime.budget.variants import Variants, check_budget
from perception.runtime.evaluation.evaluate import build_evaluator
from perception.runtime.evaluation.frames import DataSplits, open_datasets, spread
from perception.sources.base import Picture, Source
from perception.stages.postprocess import Reading

FIGURES = ("miou", "road_iou", "ap50")
TABLE_COLUMNS = 120  # of a table that goes to a file or a pipe
WARMUP = 20  # frames left out of the times
DRIVE_BLOCK = 15  # frames of a rendered drive, half a second, that a bootstrap draws together
UNLIMITED = {"rule": "no budget", "budget_ms": None, "kept_at_p95": None}
# rules of the policy; in sets of single frames, which are no neighbours, no map can be carried
SINGLE: dict[str, dict[str, Any]] = {"map in every frame": {"map_every": 1}}
DRIVES: dict[str, dict[str, Any]] = {
    "as shipped": {},
    **SINGLE,
    "map in every second frame": {"still": inf},
}
REFERENCE_FRAMES = (
    60  # on which the time of a frame without a budget is taken anew before each budget
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetBench:
    """What to run.

    Attributes:
        data: name and split of labelled sets of single frames, among which no map can be carried.
        drives: root of rendered drives, as ``perception render --out ROOT/val`` leaves them; ``None``: none.
        engine, backend, precision: as usual; the backend is one for CPUs.
        shares: budgets, of the median time of a frame with everything at full size.
        frames: of each set, spread over it; of drives, the first.
        passes: over them, in each run; the first is scored, all are timed.
        threads: of the inference; ``None`` is every core.
        out: file for the closing JSON object; ``None``: none.
    """

    data: DataSplits
    drives: Path | None
    engine: str
    backend: str
    precision: str
    shares: tuple[float, ...]
    frames: int
    passes: int
    threads: int | None
    out: Path | None


class Samples(Source):
    """Labelled frames as a recording, again and again; their sizes may differ a little."""

    def __init__(self, name: str, samples: Sequence[Sample], passes: int) -> None:
        super().__init__(name)
        self.live = True  # only such a source may change its size
        self.fps = None
        self.length = passes * len(samples)
        height, width = samples[0].image.shape[:2]
        self.size_wh = (width, height)
        self._samples = samples
        self._passes = passes

    def _pictures(self) -> Iterator[Picture]:
        for _ in range(self._passes):
            for sample in self._samples:
                yield Picture(sample.image, time.monotonic_ns(), None)

    def close(self) -> None:
        """Nothing is open."""


def bench_budget(bench: BudgetBench) -> dict[str, Any]:
    """Measure, and show the table on stderr.

    Returns:
        Engine, backend, precision, device, and ``"rows"``: for each set, every size without a budget (``"budget_ms"`` is null), then every budget and
        rule: what `BudgetAccount.summary` gives, the `FIGURES`, and under ``"minus_whole"`` 95 % intervals of each figure minus the same at the
        largest size without a budget, on the same draws.

    Raises:
        ConfigError, InputError, EngineError: of the data, the engine or the backend.
        OutputError: the file cannot be written.
    """
    cv2.setNumThreads(1)  # as in a run
    engine = load_engine(bench.engine)
    check_budget(inf, bench.backend, engine)
    rows: list[dict[str, Any]] = []
    summary = {"engine": engine.manifest.name, "backend": bench.backend, "rows": rows}
    for scored in _sets(bench):
        if len(scored.samples) * bench.passes <= WARMUP:
            raise ConfigError(
                f"{scored.name}: expected more than {WARMUP} frames, which are warm-up, got {bench.passes} times {len(scored.samples)}; raise --passes"
            )
        height, width = scored.samples[0].image.shape[:2]
        size_wh = choose_model_size((width, height), engine.manifest.max_pixels)
        with (
            open_backend(
                bench.backend, engine, size_wh, precision=bench.precision, threads=bench.threads
            ) as whole,
            Variants(engine, whole, (width, height), bench.threads) as variants,
        ):
            rows += _rows(_Runs(bench, engine, whole, variants, scored))
            summary.update(precision=whole.precision, device=whole.device)
    Console(stderr=True, width=None if sys.stderr.isatty() else TABLE_COLUMNS).print(
        _table(summary)
    )
    if bench.out is not None:
        _leave(bench.out, summary)
    return summary


@dataclass(frozen=True, slots=True)
class _Set:
    """Labelled frames, how many neighbours a bootstrap draws together, and the rules that they can tell apart."""

    name: str
    samples: Sequence[Sample]
    resampling: Resampling
    rules: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Runs:
    """One set, and what it is run with."""

    bench: BudgetBench
    engine: Engine
    whole: Backend
    variants: Variants
    scored: _Set

    def run(self, budget_ms: float, **rules: Any) -> tuple[dict[str, Any], FrameRecords]:  # noqa: ANN401 (of the policy)
        """The account and the figures of one budget, and what the figures are counted from."""
        account, scenes = self._stream(self.scored.samples, self.bench.passes, budget_ms, rules)
        evaluator = build_evaluator(self.engine.manifest)
        for sample, scene in zip(self.scored.samples, scenes, strict=True):
            evaluator.update(sample, GraphResult(scene.detections, scene.class_map))
        figures = evaluator.compute()
        found = {name: figures[name] for name in FIGURES if name in figures}
        return {**account, **found}, evaluator.records()

    def whole_ms(self) -> float:
        """Median time of a frame without a budget, just now."""
        samples = self.scored.samples[: WARMUP + REFERENCE_FRAMES]
        passes = ceil((WARMUP + REFERENCE_FRAMES) / len(samples))
        account, _ = self._stream(samples, passes, inf, {})
        return float(account["spent_ms"]["p50"])

    def _stream(
        self, samples: Sequence[Sample], passes: int, budget_ms: float, rules: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[Scene]]:
        """The account of a run, and the scenes of its first pass."""
        manifest = replace(self.engine.manifest, score_threshold=0.0)  # AP counts every box
        source = Samples(self.scored.name, samples, passes)
        selector = TaskSelector(
            self.variants,
            budget_ms,
            Reading.of(manifest),
            frame_wh=source.size_wh,
            warmup=WARMUP,
            **rules,
        )
        scenes: list[Scene] = []
        with BudgetPipeline(
            source, self.whole, manifest, live=False, observers=(selector,), selector=selector
        ) as pipeline:
            for scene in pipeline.scenes():
                if len(scenes) < len(samples):
                    scenes.append(scene)
        return selector.summary(), scenes


def _sets(bench: BudgetBench) -> Iterator[_Set]:
    """In memory, so that reading the frames takes no time from the run."""
    if bench.data:
        for name, dataset in open_datasets(bench.data).items():
            samples = [dataset[index] for index in spread(len(dataset), bench.frames)]
            yield _Set(name, samples, Resampling(block=dataset.stretch), SINGLE)
    if bench.drives is not None:
        frames = [
            (drive, index)
            for drive in rendered_drives(bench.drives)
            for index in range(len(drive.moments_s))
        ]
        samples = [drive.load(index) for drive, index in frames[: bench.frames]]
        yield _Set(str(bench.drives), samples, Resampling(block=DRIVE_BLOCK), DRIVES)


def _rows(runs: _Runs) -> Iterator[dict[str, Any]]:
    """Each size by itself without a budget, then each budget by each rule."""
    scored = runs.scored
    for size_wh in runs.variants.sizes:
        row, records = runs.run(inf, sizes=(size_wh,))
        own = resample_figures(records, scored.resampling)
        if size_wh == runs.variants.sizes[0]:
            whole = own
        yield {"data": scored.name, **_lost(own, whole), **row, **UNLIMITED}
    for share, (rule, changes) in product(runs.bench.shares, scored.rules.items()):
        row, records = runs.run(share * runs.whole_ms(), **changes)
        own = resample_figures(records, scored.resampling)
        yield {"data": scored.name, "rule": rule, "share": share, **_lost(own, whole), **row}


def _lost(own: dict[str, Float64], whole: dict[str, Float64]) -> dict[str, Any]:
    """The 95 % intervals of the figures minus those at the largest size without a budget."""
    names = [name for name in FIGURES if name in own and name in whole]
    return {"minus_whole": {name: interval(own[name] - whole[name]) for name in names}}


def _table(summary: dict[str, Any]) -> Table:
    table = Table(
        title=f"{summary['engine']}, {summary['backend']} {summary['precision']}, {summary['device']}",
        caption="p50, p95: ms of a frame, preprocess, infer and postprocess; intervals are in the JSON",
    )
    for name in ("data", "budget, ms", "rule"):
        table.add_column(name)
    for name in ("p50", "p95", "missed", *FIGURES):
        table.add_column(name, justify="right")
    table.add_column("most frames")
    for row in summary["rows"]:
        spent, n = row["spent_ms"], max(1, row["spent_ms"]["n"])
        budget = "" if row["budget_ms"] is None else f"{row['budget_ms']:.1f} ({row['share']:g})"
        missed = "" if row["budget_ms"] is None else f"{row['missed'] / n:.1%}"
        most, count = max(row["variants"].items(), key=lambda item: item[1], default=("", 0))
        table.add_row(
            row["data"], budget, row["rule"],
            *(f"{spent[p]:.1f}" for p in ("p50", "p95")), missed,
            *(f"{row[name]:.3f}" if name in row else "" for name in FIGURES),
            f"{most} {count / n:.0%}",
        )  # fmt: skip
    return table


def _leave(path: Path, summary: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
