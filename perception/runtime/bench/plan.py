"""What a plan takes on this GPU: latency of one frame at a time, and rate with the next frame's copy under way, as trtexec reports them."""

import time
from collections import defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from perception.backends.plan import BUILD
from perception.backends.tensorrt import SLOTS, TensorRTBackend
from perception.core.errors import ConfigError, EngineError
from perception.core.geometry import parse_size
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.timing import percentiles

PARTS = ("upload", "compute", "download")


def bench_plan(
    engine: Engine,
    *,
    precision: str,
    size: str,
    frame: str = "",
    frames: int,
    warmup: int = 50,
    binding: str = "",
) -> dict[str, Any]:
    """Time a plan on random frames.

    Args:
        engine: with a plan of this precision for this size.
        precision: of the plan.
        size: of what the network sees, ``WIDTHxHEIGHT``.
        frame: of whole frames, which the plan fits itself, ``WIDTHxHEIGHT``; empty: it takes fitted ones.
        frames: timed, in each of the two ways.
        warmup: frames before, which are not timed.
        binding: of CUDA; empty: the first that is installed.

    Returns:
        ``latency_ms``, from the call to its return, and ``device_ms`` with the three parts by the GPU's clock, as percentiles; ``fps_single``, one
        frame after the other; ``fps``, with `SLOTS` frames in flight; what ran where.

    Raises:
        ConfigError: `frames` is below 1.
        PerceptionError: there is no such plan, or no GPU that runs it.
    """
    if frames < 1:
        raise ConfigError(f"frames: expected at least 1, got {frames}")
    size_wh = parse_size(size)
    frame_wh = parse_size(frame, 1) if frame else None
    rng = np.random.default_rng(0)
    with TensorRTBackend(
        engine, size_wh, precision=precision, frame_wh=frame_wh, binding=binding
    ) as runner:
        if frame and runner.fit is None:
            raise EngineError(
                f"{engine.folder}: no {precision} plan that fits {frame} to {size}; "
                f"{BUILD} --engine {engine.manifest.name} --precision {precision} --size {size} --frame {frame}"
            )
        shape = runner.inputs[GRAPH_INPUT].shape
        feeds = [{GRAPH_INPUT: rng.integers(0, 256, shape, np.uint8)} for _ in range(4)]
        for index in range(warmup):
            runner.infer(feeds[index % len(feeds)])
        spent_ns: list[int] = []
        device_ns: dict[str, list[int]] = defaultdict(list)
        began_ns = time.monotonic_ns()
        for index in range(frames):
            started_ns = time.monotonic_ns()
            runner.infer(feeds[index % len(feeds)])
            spent_ns.append(time.monotonic_ns() - started_ns)
            for part in PARTS:
                device_ns[part].append(round(runner.device_ms[part] * 1e6))
        single_ns = time.monotonic_ns() - began_ns
        began_ns = time.monotonic_ns()
        for index in range(frames):
            if index >= SLOTS:
                runner.collect()
            runner.submit(feeds[index % len(feeds)])
        for _ in range(min(SLOTS, frames)):
            runner.collect()
        together_ns = time.monotonic_ns() - began_ns
        device = runner.device
    return {
        "engine": engine.manifest.name,
        "precision": precision,
        "size": size,
        "frame": frame,
        "device": device,
        "latency_ms": asdict(percentiles(spent_ns)),
        "device_ms": {part: asdict(percentiles(device_ns[part])) for part in PARTS},
        "fps_single": frames * 1e9 / max(single_ns, 1),
        "fps": frames * 1e9 / max(together_ns, 1),
    }


def plan_table(summary: dict[str, Any]) -> Table:
    """The summary as a table."""
    table = Table(
        title=f"{summary['engine']} {summary['precision']} {summary['size']}: {summary['fps']:.0f} fps",
        caption=f"ms; {summary['device']}; {summary['fps_single']:.0f} fps one frame after the other",
    )
    for column in ("", "n", "p50", "p95", "p99", "max"):
        table.add_column(column, justify="right" if column else "left")
    rows = {"latency": summary["latency_ms"], **summary["device_ms"]}
    for name, times in rows.items():
        cells = (f"{times[key]:.3f}" for key in ("p50", "p95", "p99", "max"))
        table.add_row(name, str(times["n"]), *cells)
    return table
