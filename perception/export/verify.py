"""Does an engine give what torch gives, on every backend and in every precision? Judged on real frames."""

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console

from perception.backends import BACKENDS, CPU_BACKENDS, DEFAULT_BACKEND, open_backend
from perception.backends.base import Backend
from perception.backends.cpu import int8_sums_overflow
from perception.backends.plan import plans_of
from perception.core.errors import EngineError, InputError, PerceptionError
from perception.core.geometry import choose_model_size, fit_letterbox
from perception.core.manifest import GRAPH_INPUT, PARITY_FILE, PARITY_PAGE, Engine
from perception.export.parity import NO_THRESHOLD, TOLERANCES, NamedFrame, Parity
from perception.export.parity_page import parity_page, parity_table
from perception.export.variants import emulated_variant
from perception.models.graph import InferenceGraph
from perception.models.weights import load_network
from perception.stages.preprocess import fit_image

PLANS = "tensorrt"  # the backend that runs them
EMULATED = "tensorrt, emulated"  # its typed graph, rounded as it says, on the CPU

logger = logging.getLogger(__name__)


def compare(
    engine: Engine, frames: Iterable[NamedFrame], runners: Sequence[tuple[str, str]]
) -> list[Parity]:
    """Run torch and every backend on the same frames.

    Args:
        engine: with its weights.
        frames: name and ``uint8[H, W, 3]``.
        runners: backend, or `EMULATED`, and precision.

    Raises:
        InputError: there was no frame.
    """
    network, config = load_network(engine)
    graph = InferenceGraph(network, config).eval()
    manifest = engine.manifest
    # a hard mask turns whole columns at its threshold; other forms change little there
    threshold = manifest.mask_threshold if manifest.mask_form == "hard" else NO_THRESHOLD
    results = [Parity(backend, precision) for backend, precision in runners]
    rounded = {p: emulated_variant(engine, p) for backend, p in runners if backend == EMULATED}
    plans = list(plans_of(engine).values())
    with ExitStack() as stack:
        opened: dict[tuple[str, str, tuple[int, int]], Backend] = {}
        for name, image in frames:
            frame_wh = (image.shape[1], image.shape[0])
            size = choose_model_size(frame_wh, manifest.max_pixels)
            feed = fit_image(image, fit_letterbox(frame_wh, size))[None]
            with torch.no_grad():
                want = {key: value.numpy() for key, value in graph(torch.from_numpy(feed)).items()}
            for result in results:
                key = (result.backend, result.precision, size)
                if key[0] == PLANS and not any(
                    plan.precision == key[1] and plan.fits(size) for plan in plans
                ):
                    continue
                if key not in opened:
                    opened[key] = stack.enter_context(
                        open_backend(DEFAULT_BACKEND, rounded[key[1]], size, precision="fp32")
                        if key[0] == EMULATED
                        else open_backend(key[0], engine, size, precision=key[1])
                    )
                result.add(name, want, opened[key].infer({GRAPH_INPUT: feed}), threshold)
    if not any(result.frames for result in results):
        raise InputError("parity: no frame was given; expected at least one")
    return results


def _no_gpu() -> str:
    """Why no plan can run here; empty where one can."""
    try:
        BACKENDS[PLANS].probe()
    except PerceptionError as error:
        return str(error)
    return ""


def verify(
    engine: Engine, frames: Iterable[NamedFrame], runners: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Compare, write ``parity.json`` and ``parity.md`` into the engine folder, show the table on stderr, and judge.

    Compared too are the graph that TensorRT gets in FP16, with its rounding done on the CPU; where the engine has an INT8 graph, that
    of every CPU backend and TensorRT's; and, where there are a GPU and plans beside the engine, these, on the frames that they fit.

    Raises:
        EngineError: an output is outside its tolerance; the file tells the figures all the same.
    """
    more = [(EMULATED, "fp16")]
    if engine.manifest.int8_sha256:
        unfit = {"openvino"} if int8_sums_overflow() else set()
        more += [(EMULATED, "int8")]
        more += [(name, "int8") for name in CPU_BACKENDS if name not in unfit]
        for name in sorted(unfit):
            logger.warning("%s int8 is not compared: this CPU has no VNNI", name)
    precisions = sorted({manifest.precision for manifest in plans_of(engine).values()})
    if precisions and (problem := _no_gpu()):
        logger.warning("the plans beside %s are not compared: %s", engine.manifest.name, problem)
    elif precisions:
        more += [(PLANS, precision) for precision in precisions]
    results = compare(engine, frames, [*runners, *more])
    summary = {
        "engine": engine.manifest.name,
        "onnx_sha256": engine.manifest.onnx_sha256,
        "tolerances": {name: asdict(limit) for name, limit in TOLERANCES.items()},
        "results": [result.figures() for result in results],
    }
    text = json.dumps(summary, indent=2) + "\n"
    (engine.folder / PARITY_FILE).write_text(text, encoding="utf-8")
    (engine.folder / PARITY_PAGE).write_text(parity_page(summary), encoding="utf-8")
    Console(stderr=True).print(parity_table(summary))
    wrong = [
        f"{r.backend} {r.precision}: {', '.join(r.violations())}" for r in results if r.violations()
    ]
    if wrong:
        raise EngineError(f"engine {engine.manifest.name!r} differs from torch: {'; '.join(wrong)}")
    return summary
