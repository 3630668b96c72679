"""Does an engine give what torch gives, on every backend and in every precision? Judged on real frames, and by their labels."""

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console

from perception.backends import BACKENDS, CPU_BACKENDS
from perception.backends.cpu import int8_sums_overflow
from perception.backends.plan import plans_of
from perception.core.errors import EngineError, InputError, PerceptionError
from perception.core.manifest import PARITY_FILE, PARITY_PAGE, Engine
from perception.datasets import Sample
from perception.export.int8.engine import engine_feed
from perception.export.labelled import LabelChange, label_changes
from perception.export.parity import NO_THRESHOLD, TOLERANCES, Parity
from perception.export.parity_page import label_table, parity_page, parity_table
from perception.export.runner import EMULATED, PLANS, Runner
from perception.models.graph import InferenceGraph
from perception.models.weights import load_network

logger = logging.getLogger(__name__)


def compare(
    engine: Engine, frames: Iterable[tuple[str, Sample]], runners: Sequence[tuple[str, str]]
) -> list[Parity]:
    """Run torch and every runner on the same frames.

    Args:
        engine: with its weights.
        frames: name and sample; the labels are not read.
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
    with ExitStack() as stack:
        opened = [stack.enter_context(Runner(engine, *runner)) for runner in runners]
        for name, sample in frames:
            feed = engine_feed(engine, sample.image)
            with torch.no_grad():
                want = {key: value.numpy() for key, value in graph(torch.from_numpy(feed)).items()}
            for result, runner in zip(results, opened, strict=True):
                if runner.takes(sample.image):
                    result.add(name, want, runner.infer(feed), threshold)
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


def _rounding(engine: Engine) -> list[tuple[str, str]]:
    """What is compared besides the runners that were asked for."""
    runners = [(EMULATED, "fp16")]
    if engine.manifest.int8_sha256:
        unfit = {"openvino"} if int8_sums_overflow() else set()
        runners += [(EMULATED, "int8")]
        runners += [(name, "int8") for name in CPU_BACKENDS if name not in unfit]
        for name in sorted(unfit):
            logger.warning("%s int8 is not compared: this CPU has no VNNI", name)
    found = plans_of(engine)
    plans = [plan for plan in found.values() if plan.fit is None]
    if whole := [path.name for path, plan in found.items() if plan.fit is not None]:
        logger.warning("plans for whole frames are not compared: %s", ", ".join(whole))
    precisions = sorted({plan.precision for plan in plans})
    if precisions and (problem := _no_gpu()):
        logger.warning("the plans beside %s are not compared: %s", engine.manifest.name, problem)
    elif precisions:
        runners += [(PLANS, precision) for precision in precisions]
    return runners


def verify(
    engine: Engine, frames: Sequence[tuple[str, Sample]], runners: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Compare, write ``parity.json`` and ``parity.md`` into the engine folder, show the tables on stderr, and judge.

    Compared too are the graph that TensorRT gets in FP16, with its rounding done on the CPU; where the engine has an INT8 graph, that
    of every CPU backend and TensorRT's; and, where there are a GPU and plans beside the engine, these, on the frames that they fit.
    Of all that is not float32, the figures on the labels of these frames are compared with float32's.

    Args:
        engine: with its weights.
        frames: name and sample; they are read twice.
        runners: backend and precision.

    Raises:
        EngineError: an output or a figure is outside its tolerance; the files tell the figures all the same.
        InputError: there was no frame.
    """
    runners = [*runners, *_rounding(engine)]
    results = compare(engine, frames, runners)
    changes = label_changes(engine, frames, [r for r in runners if r[1] != "fp32"])
    summary = {
        "engine": engine.manifest.name,
        "onnx_sha256": engine.manifest.onnx_sha256,
        "tolerances": {name: asdict(limit) for name, limit in TOLERANCES.items()},
        "results": [result.figures() for result in results],
        "labels": [change.summary() for change in changes],
    }
    text = json.dumps(summary, indent=2) + "\n"
    (engine.folder / PARITY_FILE).write_text(text, encoding="utf-8")
    (engine.folder / PARITY_PAGE).write_text(parity_page(summary), encoding="utf-8")
    console = Console(stderr=True)
    console.print(parity_table(summary), label_table(summary))
    judged: list[Parity | LabelChange] = [*results, *changes]
    wrong = [
        f"{r.backend} {r.precision}: {', '.join(found)}"
        for r in judged
        if (found := r.violations())
    ]
    if wrong:
        raise EngineError(
            f"engine {engine.manifest.name!r} is outside its tolerances, see {engine.folder / PARITY_PAGE}: {'; '.join(wrong)}"
        )
    return summary
