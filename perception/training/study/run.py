"""Every run of a study, one after the other. What is finished is not done again; what was killed goes on."""

import json
import logging
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception.core.config import Table, build_config, dump_config, merge
from perception.core.errors import ConfigError
from perception.core.files import write_atomically
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.manifest import EVALUATION_OUTPUTS, sha256
from perception.datasets import Dataset, open_dataset
from perception.metrics.bootstrap import FrameRecords
from perception.metrics.evaluator import Evaluator
from perception.models.config import GraphConfig
from perception.models.graph import InferenceGraph
from perception.models.multitask import wanted_labels
from perception.models.weights import build_network
from perception.training.checkpoint import read_checkpoint
from perception.training.config import read_stored
from perception.training.inference import TaskScores, run_on_sample
from perception.training.study.compare import Run, check_figure, compare_arms
from perception.training.study.config import Arm, ScoringConfig, Study, phase_config
from perception.training.study.report import write_markdown
from perception.training.train import BEST_FILE, LAST_FILE, train

logger = logging.getLogger(__name__)

RESULT_FILE = "result.json"
COUNTS_FILE = "counts.npz"
COUNTS_FORM = (
    3  # 2: with the matches of boxes; 3: with more groups. Of another form, a run is scored again
)
DONE_FILE = "done.json"


def run_study(study: Study, folder: Path) -> dict[str, Any]:
    """Train and score every arm with every seed, then compare.

    The seeds are the outer loop: after the first round every arm has a result.

    Args:
        study: as `load_study` gives it.
        folder: gets ``table.md`` and, for each run, ``ARM/seed-S/``: the training folders ``phase-N`` of its phases,
            ``result.json`` (configurations and figures) and ``counts.npz``: for each split the arrays of `FrameRecords.to_arrays`
            as ``SET:SPLIT/ARRAY``. A run whose file is of an older form is scored again.

    Returns:
        Summary: the study's name, folder and table, and what `compare_arms` gives.

    Raises:
        ConfigError: a data set, a split or a figure that is not there, or a run folder of another configuration.
    """
    _check_inputs(study, folder)
    total = len(study.arms) * len(study.seeds)
    runs: dict[str, list[Run]] = {arm.name: [] for arm in study.arms}
    for seed in study.seeds:
        for arm in study.arms:
            number = 1 + sum(map(len, runs.values()))
            logger.info("run %d of %d: %s, seed %d", number, total, arm.name, seed)
            runs[arm.name].append(_run(arm, seed, study.scoring, folder))
        # what no arm gives is known after the first round, not after all
        for figure in study.scoring.figures:
            check_figure(figure, [found[0] for found in runs.values()])
    steps = {arm.name: arm.steps for arm in study.arms}
    comparison = compare_arms(runs, steps, study.scoring)
    table = folder / "table.md"
    write_markdown(table, study.name, comparison)
    return {"study": study.name, "out": str(folder), "table": str(table), **comparison}


def score(
    graph: InferenceGraph, dataset: Dataset, scale: float
) -> tuple[dict[str, float], FrameRecords]:
    """Run a graph on every frame of a split.

    Args:
        graph: in evaluation mode.
        dataset: labelled frames.
        scale: of what the network sees, see `run_on_sample`.

    Returns:
        The figures of `Evaluator.compute` and of `TaskScores.compute`, and what they are counted from, frame by frame.
    """
    evaluator, scores = Evaluator(MAP_CLASSES, BOX_CLASSES), TaskScores(graph)
    dataset.further = wanted_labels(graph.model.config)
    for sample in dataset:
        result = run_on_sample(graph, sample, scale)
        evaluator.update(sample, result)
        scores.update(sample, result)
    return {**evaluator.compute(), **scores.compute()}, evaluator.records()


def _check_inputs(study: Study, folder: Path) -> None:
    """Open everything once, so that what is missing is known before hours of training; what lies in `folder` earlier arms may still make."""
    wanted = {(entry.name, entry.split) for entry in study.scoring.sets}
    for arm in study.arms:
        needed: list[tuple[str, str | Path | None]] = [("checkpoint", arm.checkpoint)]
        if arm.phases:
            first = arm.phases[0]
            needed += [("init", first.init), ("extend.checkpoint", first.extend.checkpoint)]
            if first.pretrain.steps and not (first.init or first.extend.checkpoint):
                wanted |= {(entry.name, entry.split) for entry in first.pretrain.data.sets}
            needed += [("loss.teacher", phase.loss.teacher) for phase in arm.phases]
        for key, path in needed:
            made_here = path and Path(path).resolve().is_relative_to(folder.resolve())
            if path and not made_here and not Path(path).is_file():
                raise ConfigError(f"arm {arm.name!r}: {key}: {path}: no such file")
        for phase in arm.phases:
            names = [entry.name for entry in phase.data.sets]
            wanted |= {(entry.name, entry.split) for entry in phase.data.sets}
            if phase.val_every:
                wanted |= {(name, "val") for name in phase.data.val_sets or names}
    for name, split in sorted(wanted):
        open_dataset(name, split)


def _run(arm: Arm, seed: int, scoring: ScoringConfig, study_folder: Path) -> Run:
    """One run, from where it stands."""
    folder = study_folder / arm.name / f"seed-{seed}"
    phases = [dump_config(phase_config(arm, i, seed, None)) for i in range(len(arm.phases))]
    # what is scored, and how; what is only shown or drawn afterwards may change
    scored: Table = {
        "phases": phases,
        "graph": arm.graph,
        "weights": sha256(arm.checkpoint) if arm.checkpoint else None,
        "sets": dump_config(scoring)["sets"],
        "checkpoint": scoring.checkpoint,
        "scale": scoring.scale,
        "counts_form": COUNTS_FORM,
    }
    result = folder / RESULT_FILE
    stored = _read_json(result) if (folder / COUNTS_FILE).is_file() else None
    if stored is not None and stored.get("counts_form") != COUNTS_FORM:
        logger.warning(
            "%s: of an older form; the run is scored again",
            folder / COUNTS_FILE,
        )
    if stored is not None:
        stored["phases"] = _stored_phases(stored, result)
    if stored is None or any(stored.get(key) != value for key, value in scored.items()):
        name = BEST_FILE if scoring.checkpoint == "best" else LAST_FILE
        trained = arm.checkpoint or (_train(arm, seed, study_folder) / name)
        folder.mkdir(parents=True, exist_ok=True)
        parameters, figures = _score_checkpoint(trained, arm, scoring, folder / COUNTS_FILE)
        stored = {
            "arm": arm.name,
            "seed": seed,
            "steps": arm.steps,
            "parameters": parameters,
            "figures": figures,
            **scored,
            "versions": {name: version(name) for name in ("perception", "torch")},
        }
        _write_json(result, stored)
    records = _read_records(folder / COUNTS_FILE, [entry.key for entry in scoring.sets])
    return Run(seed, stored["parameters"], stored["figures"], records)


def _read_records(path: Path, keys: Sequence[str]) -> dict[str, FrameRecords]:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return {
        key: FrameRecords.from_arrays(
            {n.removeprefix(f"{key}/"): a for n, a in arrays.items() if n.startswith(f"{key}/")}
        )
        for key in keys
    }


def _train(arm: Arm, seed: int, study_folder: Path) -> Path:
    """Train what is not trained yet; gives the last phase's folder."""
    init: Path | None = None
    history: list[dict[str, Any]] = []  # a phase that began elsewhere is another one
    anew = False
    for number in range(len(arm.phases)):
        owner = arm.trained_as[number]
        phase_folder = study_folder / owner / f"seed-{seed}" / f"phase-{number + 1}"
        config = phase_config(arm, number, seed, init)
        done = phase_folder / DONE_FILE
        init = phase_folder / LAST_FILE
        history = [*history, dump_config(config)]
        if not anew and _stored_phases(_read_json(done), done) == history and init.is_file():
            continue
        if anew and phase_folder.is_dir():
            shutil.rmtree(phase_folder)  # it went on from weights that are no more
        anew = True
        train(config, phase_folder)
        _write_json(done, {"phases": history})
    return phase_folder


def _score_checkpoint(
    path: Path, arm: Arm, scoring: ScoringConfig, counts_file: Path
) -> tuple[int, dict[str, dict[str, float]]]:
    """Score a checkpoint on every split; what the figures are counted from goes into a file.

    Returns:
        Parameters of the network, and the figures of each split.
    """
    config, weights = read_checkpoint(path)
    network = build_network(config.model, weights)
    table = merge(dump_config(config.graph), arm.graph)
    extras = EVALUATION_OUTPUTS if config.model.has_segmentation else ()
    graph = InferenceGraph(network, build_config(GraphConfig, table, "graph"), extras).eval()
    if config.accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        graph = graph.to("cuda")
    figures: dict[str, dict[str, float]] = {}
    arrays: dict[str, NDArray[np.generic]] = {}
    for entry in scoring.sets:
        logger.info("scoring %s on %s", path, entry.key)
        figures[entry.key], records = score(
            graph, open_dataset(entry.name, entry.split), scoring.scale
        )
        arrays |= {f"{entry.key}/{name}": array for name, array in records.to_arrays().items()}
    np.savez_compressed(counts_file, **arrays)  # type: ignore[arg-type]  # arrays by name
    return sum(p.numel() for p in network.parameters()), figures


def _read_json(path: Path) -> Table | None:
    if not path.is_file():
        return None
    table: Table = json.loads(path.read_text(encoding="utf-8"))
    return table


def _stored_phases(table: Table | None, origin: Path) -> list[Table] | None:
    """The configurations in a file of a run, with the defaults of what is new since then; none where they are of no use any more."""
    try:
        return [dump_config(read_stored(phase, str(origin))) for phase in (table or {})["phases"]]
    except (KeyError, ConfigError):
        return None


def _write_json(path: Path, table: Table) -> None:
    write_atomically(path, (json.dumps(table, indent=2) + "\n").encode())
