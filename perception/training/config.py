"""Everything a training run is made of. `perception/presets/NAME.toml` holds what differs from these defaults."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from perception.core.config import Table, build_config, merge, parse_assignments, read_toml
from perception.core.errors import ConfigError
from perception.core.labels import MAP_CLASSES
from perception.core.registry import check_known
from perception.models.config import GraphConfig, ModelConfig
from perception.training.mixture import DataConfig

PRESETS_DIR = Path(__file__).parents[1] / "presets"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """The losses and the weight of each term.

    Attributes:
        detection: in `perception.training.losses.DETECTION_LOSSES`.
        segmentation: in `perception.training.losses.SEGMENTATION_LOSSES`.
        options: arguments of the segmentation loss by name, where its defaults are not meant.
        teacher: a checkpoint whose class scores the network follows besides, as the term ``teacher``; empty for none.
        features: a backbone with pretrained weights whose maps the network's own are to tell besides, as ``features``; empty for none.
        feature_frames: of each batch that are compared: a pass through that backbone may cost more than one through the network.
        weights: term -> factor; a term that is not named has 1.
    """

    detection: str = "four_term"
    segmentation: str = "cross_entropy"
    options: dict[str, float] = field(default_factory=dict)
    teacher: str = ""
    features: str = ""
    feature_frames: int = 2
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceConfig:
    """How the losses of the tasks (each head's terms, summed) are joined.

    Attributes:
        method: in `perception.training.balancing.BALANCERS`.
        weights: for ``fixed``: task -> factor; a task that is not named has 1.
        period: for ``dwa``: steps over which losses are averaged, at least 1.
        report_every: steps between two measurements of how far the tasks' gradients agree; 0 for none. One costs a backward pass for each task.
        affinity_every: steps between two of how far a step for one task helps the others; 0 for none. One costs a backward pass and a
            forward pass for each task. Both go into ``tasks.jsonl`` and ``tasks.md`` of the run.
    """

    method: str = "fixed"
    weights: dict[str, float] = field(default_factory=dict)
    period: int = 50
    report_every: int = 0
    affinity_every: int = 0

    def __post_init__(self) -> None:
        if self.period < 1 or min(self.report_every, self.affinity_every) < 0:
            raise ConfigError(
                f"balance: expected period >= 1, report_every and affinity_every >= 0, got {self.period}, {self.report_every} and {self.affinity_every}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendConfig:
    """A network that is done learns something more, and keeps what it knew by following its old outputs.

    Attributes:
        checkpoint: of the old network; empty: nothing is extended. Training starts from its averaged weights, new parts start fresh.
        classes: of the label space, that are new: where one is labelled, old outputs are not followed.
        weight: of what is followed; 0: nothing is, which is plain fine-tuning.
        temperature: of class scores, see `perception.training.losses.teacher.divergence`.
        keep_norms: whether batch norms of old parts keep the means and variances of the old data, and use them in training too.
    """

    checkpoint: str = ""
    classes: tuple[str, ...] = ()
    weight: float = 1.0
    temperature: float = 2.0
    keep_norms: bool = True

    def __post_init__(self) -> None:
        check_known("extend.classes", self.classes, MAP_CLASSES)
        if self.weight < 0 or self.temperature <= 0:
            raise ConfigError(
                f"extend: expected weight >= 0 and temperature > 0, got {self.weight} and {self.temperature}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW under a one-cycle schedule.

    Attributes:
        lr: highest learning rate.
        backbone_factor: by which it is smaller for the backbone.
        weight_decay: of weights, not of biases and norms.
        warmup: share of the steps until the highest rate, in (0, 1).
        clip_norm: gradients are scaled down to this norm.
        ema_decay: of the averaged weights that are validated and kept; 0 for none.
    """

    lr: float = 1e-3
    backbone_factor: float = 0.5
    weight_decay: float = 0.02
    warmup: float = 0.1
    clip_norm: float = 10.0
    ema_decay: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How a backbone without weights of its own gets its first ones, before the run proper.

    Attributes:
        steps: optimiser steps; 0 for no pretraining.
        method, teacher: in `perception.training.pretrain.METHODS`; for ``distill``, in `perception.models.backbones.BACKBONES`, with weights.
        mixed: for ``distill``: share of the steps whose frames are blended two by two, in [0, 1].
        data: frames; their labels are not read.
        optimizer: ``backbone_factor`` and ``ema_decay`` play no part.
    """

    steps: int = 0
    method: str = "distill"
    teacher: str = "efficientnet_lite0"
    mixed: float = 0.0
    data: DataConfig = field(
        default_factory=lambda: DataConfig(
            crop_wh=(320, 224), scale_range=(0.5, 2.0), batch_size=16
        )
    )
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=2e-3))

    def __post_init__(self) -> None:
        if not 0 <= self.mixed <= 1:
            raise ConfigError(f"pretrain.mixed: expected 0 to 1, got {self.mixed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run.

    Attributes:
        steps: optimiser steps.
        init: a checkpoint whose averaged weights training starts from, or the ``.safetensors`` of a pretrained backbone; empty: the
            backbone's own weights, and random ones.
        extend: a network that is extended; its checkpoint stands in the place of ``init``.
        pretrain: what comes before, where there is neither ``init`` nor a network to extend.
        val_every: steps between validations; 0 for none, and then no best checkpoint.
        val_frames: frames of each set that a validation looks at, spread evenly; 0 for all.
        monitor: figures whose sum chooses the best checkpoint.
        seed: of everything random.
        precision: ``bf16`` computes in bfloat16 where it is safe; ``auto`` does so where the CPU or GPU has it.
        accelerator, devices, strategy: handed to Lightning's Trainer.
        threads: of torch in each process; 0 leaves it to torch.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    init: str = ""
    extend: ExtendConfig = field(default_factory=ExtendConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    steps: int = 1000
    val_every: int = 200
    val_frames: int = 32
    monitor: tuple[str, ...] = ("camvid/miou", "kitti_road/road_iou", "camvid/ap50")
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    threads: int = 0


def list_presets() -> list[str]:
    """Names of the shipped presets."""
    return sorted(p.stem for p in PRESETS_DIR.glob("*.toml"))


def read_preset(preset: str) -> Table:
    """The table of a preset: a shipped name, or the path of a TOML file; raise `ConfigError` where there is none."""
    path = Path(preset) if preset.endswith(".toml") else PRESETS_DIR / f"{preset}.toml"
    if not path.is_file():
        raise ConfigError(
            f"unknown preset {preset!r}; known: {list_presets()}, or a path ending in .toml"
        )
    return read_toml(path)


def load_train_config(preset: str, assignments: Iterable[str] = ()) -> TrainConfig:
    """A preset with ``key=value`` changes on top.

    Args:
        preset: a shipped name, or the path of a TOML file.
        assignments: such as ``optimizer.lr=0.001``.

    Raises:
        ConfigError: unknown preset or key, or a value of the wrong type.
    """
    table = merge(read_preset(preset), parse_assignments(assignments))
    return build_config(TrainConfig, table, f"preset {preset!r}")


def read_stored(table: Table, origin: str) -> TrainConfig:
    """The configuration that a run, a checkpoint or an engine keeps, also one of an earlier version: what is new since then has its default.

    Raises:
        ConfigError: not such a configuration.
    """
    pretraining = table.get("pretrain")
    # until 2026-11 init was no place for a backbone alone
    if isinstance(pretraining, dict) and "weights" in pretraining:
        kept = {key: value for key, value in pretraining.items() if key != "weights"}
        table = {**table, "pretrain": kept, "init": table.get("init") or pretraining["weights"]}
    return build_config(TrainConfig, table, origin)
