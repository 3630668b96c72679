"""The roofline of an engine: work, traffic and time of each part of its graph, and the share of the machine's roof that it reaches.

Source:
    Williams, Waterman, Patterson, "Roofline: An Insightful Visual Performance Model for Multicore Architectures", 2009. Differs from it: bytes
    are those that the nodes after fusion take and give, each tensor once, weights included, not what crossed the memory bus. What a node
    leaves in a cache for the next is counted twice, so a part may reach more than its roof.
"""

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from perception.backends import open_backend
from perception.backends.onnxruntime import session_options
from perception.core.errors import ConfigError
from perception.core.geometry import parse_size
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.process import usable_cores
from perception.core.timing import NS_PER_MS
from perception.core.types import Float64, UInt8
from perception.runtime.bench.probes.host import describe_host
from perception.runtime.bench.roofline.parts import OTHER, VIEWS, follow, operations, parts_of
from perception.runtime.bench.roofline.peaks import Peaks, measure_peaks
from perception.runtime.bench.roofline.wire import read_nodes

BACKEND = "onnxruntime"
WARMUP = 5  # frames
KERNEL = "_kernel_time"  # how ONNX Runtime ends the names of the nodes' events


@dataclass(frozen=True, slots=True)
class Cost:
    """What a node, or a part, does for one frame: operations, bytes taken and given, seconds."""

    part: str
    flops: int
    moved_bytes: int
    seconds: float


def bench_roofline(
    engine: Engine,
    *,
    backend: str = BACKEND,
    precision: str = "fp32",
    size: str,
    threads: int | None = None,
    frames: int = 100,
) -> dict[str, Any]:
    """Measure the peaks, the graph, and the peaks again, of which the higher count: a machine that slows down meanwhile shows.

    Peaks and nodes alike are the best of many, for what other load adds belongs to neither.

    Returns:
        ``peaks``, ``stages`` in the order of the graph and ``total``, and what ran where. ``infer_ms`` and ``infer_best_ms`` are median and
        minimum of whole inferences without the profiler, ``nodes_ms`` the sum of the nodes' minima with it.

    Raises:
        ConfigError: another backend or precision than the one that tells what each node takes, or no frame.
        PerceptionError: the engine cannot be opened.
    """
    if backend != BACKEND or precision != "fp32":
        raise ConfigError(
            f"bench roofline: expected {BACKEND} in fp32, whose profiler tells shapes and times of every node, got {backend} in "
            f"{precision}; perception bench latency times the others"
        )
    if frames < 1:
        raise ConfigError(f"bench roofline: expected at least 1 frame, got {frames}")
    width, height = size_wh = parse_size(size)
    used = threads or usable_cores()
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    machine = describe_host({BACKEND})
    with open_backend(BACKEND, engine, size_wh, precision=precision, threads=threads) as opened:
        device = opened.device
        infer_ms = _times_ms(lambda: opened.infer({GRAPH_INPUT: frame}), frames)
    before = measure_peaks(used)
    costs = profile(engine, frame, used, frames)
    after = measure_peaks(used)
    peaks = before.best_of(after)
    total = _sum("all", costs)
    return {
        "engine": engine.manifest.name,
        "backend": backend,
        "precision": precision,
        "size": size,
        "threads": used,
        "device": device,
        "machine": machine,
        "frames": frames,
        "peaks": {**_rates(peaks), "before": _rates(before), "after": _rates(after)},
        "infer_ms": float(np.median(infer_ms)),
        "infer_best_ms": float(infer_ms.min()),
        "nodes_ms": total.seconds * 1e3,
        "stages": [place(cost, peaks, total.seconds) for cost in by_part(costs)],
        "total": place(total, peaks, total.seconds),
    }


def profile(engine: Engine, frame: UInt8, threads: int, frames: int) -> list[Cost]:
    """The cost of every node of the graph as ONNX Runtime fuses it, the shortest of its times.

    Args:
        engine: checked engine folder.
        frame: ``uint8[1, H, W, 3]``.
        threads: of the session.
        frames: timed, at least 1.
    """
    path = engine.graph_path("fp32")
    _, height, width, _ = frame.shape
    with tempfile.TemporaryDirectory() as folder:
        fused = Path(folder) / "fused.onnx"
        options = session_options((width, height), threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.optimized_model_filepath = str(fused)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(WARMUP + frames):
            session.run(None, {GRAPH_INPUT: frame})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        parts = follow(read_nodes(fused), parts_of(read_nodes(path)))
    return _costs(events, parts, frames)


def _costs(
    events: Sequence[Mapping[str, Any]], parts: Mapping[str, str], frames: int
) -> list[Cost]:
    """The cost of each node from a profile's events, whose durations are µs; the last `frames` count."""
    nodes: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            nodes[f"{event['args']['node_index']} {event['name'].removesuffix(KERNEL)}"].append(
                event
            )
    return [
        _cost(
            parts.get(key.partition(" ")[2], OTHER),
            found[-1]["args"],
            min(event["dur"] for event in found[-frames:]) / 1e6,
        )
        for key, found in nodes.items()
    ]


def _cost(part: str, args: Mapping[str, Any], seconds: float) -> Cost:
    inputs, outputs = (
        [shape for typed in args[key] for shape in typed.values()]
        for key in ("input_type_shape", "output_type_shape")
    )
    keys = () if args["op_name"] in VIEWS else ("activation_size", "parameter_size", "output_size")
    moved = sum(int(args[key]) for key in keys)
    return Cost(part, operations(args["op_name"], inputs, outputs), moved, seconds)


def by_part(costs: Sequence[Cost]) -> list[Cost]:
    """One for each part, in the order in which they begin."""
    parts = dict.fromkeys(cost.part for cost in costs)
    return [_sum(part, [cost for cost in costs if cost.part == part]) for part in parts]


def place(cost: Cost, peaks: Peaks, total_s: float) -> dict[str, Any]:
    """Where a part lies under the roof.

    ``share_of_roof`` is the time that it would take at the roof over the time that it takes: the achieved rate over the attainable, also
    where a part only moves data.
    """
    moved, seconds = max(cost.moved_bytes, 1), max(cost.seconds, 1e-9)
    intensity = cost.flops / moved
    return {
        "stage": cost.part,
        "ms": cost.seconds * 1e3,
        "share_of_time": cost.seconds / max(total_s, 1e-9),
        "gflop": cost.flops / 1e9,
        "mib": cost.moved_bytes / 2**20,
        "flops_per_byte": intensity,
        "gflops_per_s": cost.flops / seconds / 1e9,
        "gb_per_s": cost.moved_bytes / seconds / 1e9,
        "roof_gflops_per_s": peaks.roof(intensity) / 1e9,
        "share_of_roof": peaks.best_s(cost.flops, cost.moved_bytes) / seconds,
        "bound": "arithmetic" if intensity > peaks.ridge else "memory",
    }


def _sum(part: str, costs: Sequence[Cost]) -> Cost:
    return Cost(
        part,
        sum(cost.flops for cost in costs),
        sum(cost.moved_bytes for cost in costs),
        sum(cost.seconds for cost in costs),
    )


def _times_ms(call: Callable[[], object], times: int) -> Float64:
    spent_ns = []
    for _ in range(WARMUP + times):
        began_ns = time.monotonic_ns()
        call()
        spent_ns.append(time.monotonic_ns() - began_ns)
    return np.array(spent_ns[WARMUP:]) / NS_PER_MS


def _rates(peaks: Peaks) -> dict[str, float]:
    return {
        "gflops_per_s": peaks.flops_per_s / 1e9,
        "gb_per_s": peaks.bytes_per_s / 1e9,
        "ridge_flops_per_byte": peaks.ridge,
    }
