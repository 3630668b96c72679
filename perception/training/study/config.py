"""What a study compares, read from TOML. `perception/studies/NAME.toml` are shipped.

A study names arms; an arm is a list of phases, each a table of differences from the study's common configuration. A phase starts
from the last averaged weights of the phase before, as its ``init`` or, where it says ``extend.checkpoint = "previous"``, as the
network that it extends.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from perception.core.config import Table, build_config, merge, read_toml
from perception.core.errors import ConfigError
from perception.core.geometry import parse_size
from perception.datasets import open_dataset
from perception.models.config import GraphConfig
from perception.training.config import TrainConfig, read_preset

STUDIES_DIR = Path(__file__).parents[2] / "studies"
PREVIOUS = "previous"  # as ``extend.checkpoint``: of the phase before
ARM_NAME = re.compile(r"[\w][\w ,.-]*")  # it names a folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """One split that every run is scored on, all of its frames.

    Attributes:
        name: of a data set, see `perception.datasets.open_dataset`.
        split: of this set.
    """

    name: str
    split: str = "val"

    @property
    def key(self) -> str:
        """``"SET:SPLIT"``."""
        return f"{self.name}:{self.split}"

    @property
    def stretch(self) -> int:
        """How many neighbouring frames are drawn together, see `perception.datasets.base.Dataset`."""
        return open_dataset(self.name, self.split).stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringConfig:
    """How a finished run is scored: once, in float32, with the box mask of its arm.

    Attributes:
        sets: splits to score on; they need not be sets that anything trains on.
        figures: ``"SET:SPLIT/FIGURE"``, the columns of the table; `perception.metrics.evaluator.Evaluator.compute` names them.
        checkpoint: ``last`` takes the averaged weights of the last step, ``best`` those of the best validation. The best was
            chosen on validation frames and so looks better on them than it is.
        scale: by which frames are made smaller for the network, in (0, 1]; as ``data.val_scale``. Results are scored in the
            pixels of the frame on disk.
        forward_size: ``WIDTHxHEIGHT`` at which `perception study` times the graph of each arm, in turn with a reference network;
            empty: not at all.
        resamples: of the bootstrap.
        against: figure -> the arm that it is compared with, where that is not the first.
    """

    sets: tuple[SplitConfig, ...]
    figures: tuple[str, ...]
    checkpoint: Literal["last", "best"] = "last"
    scale: float = 1.0
    forward_size: str = ""
    resamples: int = 1000
    against: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmConfig:
    """One recipe.

    Attributes:
        name: names its folder too.
        phase: tables of a `TrainConfig`, only what differs from the study's ``train``.
        after: an arm above, from whose last phase the first one goes on; its phases are trained once for all.
        of: instead of phases: the arm above whose trained networks are scored once more, with another `graph`.
        checkpoint: instead of phases: of a run that is done; it is only scored.
        graph: table of a `GraphConfig` that the network is scored with, on top of the one it was trained with.
    """

    name: str
    phase: tuple[dict[str, Any], ...] = ()
    after: str = ""
    of: str = ""
    checkpoint: str = ""
    graph: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """The file as it is written.

    Attributes:
        preset: what all runs start from; empty: the defaults of `TrainConfig`.
        train: differences of all runs from it.
        seeds: each arm is trained once with each.
        scoring: of every run.
        arm: the recipes; the others are compared with the first.
    """

    preset: str = ""
    train: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1)
    scoring: ScoringConfig
    arm: tuple[ArmConfig, ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """One recipe, resolved.

    Attributes:
        name: names its folder too.
        phases: in their order, those of the arm that it comes after included; the seed and the weights that a later phase starts from
            come with the run.
        trained_as: for each phase the arm whose folder holds its trained networks; its own name where it trains.
        checkpoint: what is scored instead, or ``None``.
        graph: table of the `GraphConfig` that the network is scored with, on top of the one it was trained with.
    """

    name: str
    phases: tuple[TrainConfig, ...]
    trained_as: tuple[str, ...]
    checkpoint: Path | None
    graph: Table

    @property
    def steps(self) -> int:
        """Of all phases."""
        return sum(phase.steps for phase in self.phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study whose every run is known to have a sound configuration.

    Attributes:
        name: of the file.
        arms: at least one; the first is what the others are compared with.
        seeds: at least one.
        scoring: of every run.
    """

    name: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    scoring: ScoringConfig


def list_studies() -> list[str]:
    """Names of the shipped studies."""
    return sorted(p.stem for p in STUDIES_DIR.glob("*.toml"))


def load_study(study: str) -> Study:
    """Read a study and resolve the configuration of every phase.

    Args:
        study: a shipped name, or the path of a TOML file.

    Raises:
        ConfigError: unknown study, key, preset or figure, a value of the wrong type, or arms that cannot be run.
    """
    path = Path(study) if study.endswith(".toml") else STUDIES_DIR / f"{study}.toml"
    if not path.is_file():
        raise ConfigError(
            f"unknown study {study!r}; known: {list_studies()}, or a path ending in .toml"
        )
    origin = f"study {study!r}"
    config = build_config(StudyConfig, read_toml(path), origin)
    _check(config, origin)
    base = merge(read_preset(config.preset) if config.preset else {}, config.train)
    arms: list[Arm] = []
    for arm in config.arm:
        where = f"{origin}: arm {arm.name!r}"
        phases = tuple(
            _resolve(base, table, f"{where}, phase {number}")
            for number, table in enumerate(arm.phase, 1)
        )
        folders = (arm.name,) * len(phases)
        if arm.of or arm.after:
            before = next(other for other in arms if other.name == (arm.of or arm.after))
            phases, folders = before.phases + phases, before.trained_as + folders
        build_config(GraphConfig, arm.graph, where)
        checkpoint = Path(arm.checkpoint) if arm.checkpoint else None
        for number, phase in enumerate(phases):
            old = phase.extend.checkpoint
            if old and (old == PREVIOUS) != (number > 0):
                raise ConfigError(
                    f"{where}: extend.checkpoint: expected a file in the first phase, {PREVIOUS!r} in later ones, got {old!r}"
                )
        arms.append(Arm(arm.name, phases, folders, checkpoint, arm.graph))
    if config.scoring.checkpoint == "best":
        blind = [arm.name for arm in arms if arm.phases and not arm.phases[-1].val_every]
        if blind:
            raise ConfigError(
                f"{origin}: scoring.checkpoint 'best': the last phase of {blind} has val_every = 0; "
                "set checkpoint = 'last', or let it validate"
            )
    return Study(name=path.stem, arms=tuple(arms), seeds=config.seeds, scoring=config.scoring)


def phase_config(arm: Arm, number: int, seed: int, init: Path | None) -> TrainConfig:
    """The configuration of one phase, from 0, of one run; `init` is the checkpoint of the phase before."""
    phase = replace(arm.phases[number], seed=seed)
    if phase.extend.checkpoint:
        old = str(init or phase.extend.checkpoint)
        return replace(phase, init="", extend=replace(phase.extend, checkpoint=old))
    return phase if init is None else replace(phase, init=str(init))


def _resolve(base: Table, table: Table, origin: str) -> TrainConfig:
    config = build_config(TrainConfig, merge(base, table), origin)
    if config.devices != 1:
        raise ConfigError(f"{origin}: a study trains on one device, got devices = {config.devices}")
    return config


def _check(config: StudyConfig, origin: str) -> None:
    if not config.seeds or not config.arm or not config.scoring.sets or not config.scoring.figures:
        raise ConfigError(
            f"{origin}: seeds, arm, scoring.sets and scoring.figures: expected at least one of each"
        )
    names = [arm.name for arm in config.arm]
    for what, values in (("arm", names), ("seed", config.seeds)):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise ConfigError(f"{origin}: {what} {twice[0]!r} is there twice; each needs its own")
    for arm in config.arm:
        if not ARM_NAME.fullmatch(arm.name):
            raise ConfigError(
                f"{origin}: arm {arm.name!r}: expected letters, digits, spaces, ',', '.', '_' and '-': it names a folder"
            )
        trained = [other.name for other in config.arm[: names.index(arm.name)] if other.phase]
        ways = [bool(arm.phase), bool(arm.of), bool(arm.checkpoint)]
        if sum(ways) != 1 or (arm.of and arm.of not in trained):
            raise ConfigError(
                f"{origin}: arm {arm.name!r}: expected one of [[arm.phase]], checkpoint = a file, and of = one of {trained} above"
            )
        if arm.after and (not arm.phase or arm.after not in trained):
            raise ConfigError(
                f"{origin}: arm {arm.name!r}: after: expected [[arm.phase]] and one of {trained} above, got {arm.after!r}"
            )
        tables = (config.train, *arm.phase)
        if any("seed" in table for table in tables):
            raise ConfigError(
                f"{origin}: arm {arm.name!r} sets seed; every run has one of the study's seeds"
            )
        late = [
            number
            for number, table in enumerate(arm.phase, 1)
            if "init" in table and (number > 1 or arm.after)
        ]
        if late:
            raise ConfigError(
                f"{origin}: arm {arm.name!r}, phase {late[0]}: it starts from the phase before; only the first may set init"
            )
    _check_scoring(config.scoring, names, origin)


def _check_scoring(scoring: ScoringConfig, names: list[str], origin: str) -> None:
    keys = [entry.key for entry in scoring.sets]
    for figure in scoring.figures:
        key, _, name = figure.partition("/")
        if key not in keys or not name:
            raise ConfigError(
                f"{origin}: figure {figure!r}: expected SET:SPLIT/FIGURE with one of {keys}, for example {keys[0]}/miou"
            )
    for figure, arm in scoring.against.items():
        if figure not in scoring.figures or arm not in names:
            raise ConfigError(
                f"{origin}: scoring.against: expected one of scoring.figures = one of {names}, got {figure!r} = {arm!r}"
            )
    if not 0 < scoring.scale <= 1:
        raise ConfigError(
            f"{origin}: scoring.scale: expected more than 0 and at most 1, got {scoring.scale}"
        )
    if scoring.forward_size:
        parse_size(scoring.forward_size)
    if scoring.resamples < 1:
        raise ConfigError(
            f"{origin}: scoring.resamples: expected at least 1, got {scoring.resamples}"
        )
