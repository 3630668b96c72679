"""One call with the frames of several cameras against one call for each: what the loop would gain by batches.

The backends take one frame a call, so the graphs are opened here, with their batch axis fixed as asked, and otherwise as the backends open them.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import onnxruntime

from perception.backends import CPU_BACKENDS, default_precision
from perception.backends.onnxruntime import session_options
from perception.core.errors import ConfigError
from perception.core.geometry import parse_size
from perception.core.manifest import GRAPH_INPUT, Engine
from perception.core.process import usable_cores
from perception.core.types import UInt8
from perception.runtime.bench.compare import compare

Infer = Callable[[UInt8], object]


def bench_batch(
    engine: Engine,
    *,
    backend: str,
    precision: str,
    size: str,
    frames: int,
    pairs: int,
    threads: int | None = None,
) -> dict[str, Any]:
    """Time one call with `frames` random frames and `frames` calls with one each, in turn.

    Returns:
        ``batched_ms`` and ``single_ms``, medians for all frames of a pair; ``share``: how much longer the batch takes, with its 95 % interval.

    Raises:
        ConfigError: fewer than two frames, or a backend that runs on no CPU.
    """
    if frames < 2 or pairs < 1:
        raise ConfigError(f"bench: expected at least 2 frames and 1 pair, got {frames} and {pairs}")
    if backend not in CPU_BACKENDS:
        raise ConfigError(
            f"bench batch: expected a backend of {list(CPU_BACKENDS)}, got {backend!r}: a plan is built for one frame"
        )
    width, height = parse_size(size)
    precision = precision or default_precision(backend, engine)
    shape = (frames, height, width, 3)
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    opener = _onnxruntime if backend == "onnxruntime" else _openvino
    many = opener(engine, shape, precision, threads or usable_cores())
    single = opener(engine, (1, *shape[1:]), precision, threads or usable_cores())

    def one_by_one() -> None:
        for index in range(frames):
            single(batch[index : index + 1])

    found = asdict(compare(lambda: many(batch), one_by_one, pairs))
    found["batched_ms"], found["single_ms"] = found.pop("first_ms"), found.pop("second_ms")
    return {
        "engine": engine.manifest.name,
        "backend": backend,
        "precision": precision,
        "size": size,
        "frames": frames,
        "threads": threads or usable_cores(),
        **found,
    }


def _onnxruntime(engine: Engine, shape: tuple[int, ...], precision: str, threads: int) -> Infer:
    batch, height, width, _ = shape
    options = session_options((width, height), threads, batch)
    session = onnxruntime.InferenceSession(
        str(engine.graph_path(precision)), options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: session.run(None, {GRAPH_INPUT: feed})


def _openvino(engine: Engine, shape: tuple[int, ...], precision: str, threads: int) -> Infer:
    import openvino  # noqa: PLC0415 (an extra)

    from perception.backends.openvino import compile_options  # noqa: PLC0415 (the same)

    core = openvino.Core()
    model = core.read_model(engine.graph_path(precision))
    model.reshape({GRAPH_INPUT: list(shape)})
    request = core.compile_model(
        model, "CPU", compile_options(precision, threads)
    ).create_infer_request()
    return lambda feed: request.infer({GRAPH_INPUT: feed}, share_inputs=True, share_outputs=True)
