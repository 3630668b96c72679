"""One training run from a `TrainConfig`: folders, checkpoints, log, resuming, and the processes it runs in."""

import json
import logging
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from pytorch_lightning.loggers import TensorBoardLogger

from perception.core.config import dump_config
from perception.core.errors import ConfigError
from perception.core.files import write_atomically
from perception.models.multitask import wanted_labels
from perception.training.balancing.report import TaskReport
from perception.training.checkpoint import start_from
from perception.training.config import TrainConfig, read_stored
from perception.training.data import MixedData
from perception.training.extend.start import extend_from
from perception.training.hardware import placement
from perception.training.module import MultiTaskModule
from perception.training.pretrain.run import load_backbone, pretrain

logger = logging.getLogger(__name__)

WEIGHTS_SUFFIX = ".safetensors"  # of a backbone's weights, as pretraining leaves them
CONFIG_FILE = "config.json"
BEST_FILE = "best.ckpt"
LAST_FILE = "last.ckpt"


class DataWait(Callback):
    """Logs ``train/data_wait``: the share of the time that training spends waiting for frames, since the last log."""

    def __init__(self, every_n_steps: int) -> None:
        self._every_n_steps = every_n_steps
        self._ready_ns = self._started_ns = 0
        self._waited_ns = self._worked_ns = 0

    def on_train_epoch_start(self, *_: Any) -> None:  # noqa: ANN401 (Lightning's hook)
        """The first batch of an epoch is being loaded."""
        self._ready_ns = monotonic_ns()

    def on_train_batch_start(self, *_: Any) -> None:  # noqa: ANN401
        """A batch has arrived."""
        self._started_ns = monotonic_ns()
        self._waited_ns += self._started_ns - self._ready_ns

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:  # noqa: ANN401
        """The step is done; the next batch is asked for."""
        self._ready_ns = monotonic_ns()
        self._worked_ns += self._ready_ns - self._started_ns
        if trainer.global_step % self._every_n_steps == 0:
            share = self._waited_ns / max(self._waited_ns + self._worked_ns, 1)
            module.log("train/data_wait", share, prog_bar=True)
            self._waited_ns = self._worked_ns = 0


class SaveAtEnd(Callback):
    """Writes the state after the last step; it stands before the averaging, which then puts its weights into the network."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: ANN401
        """The last step is done."""
        trainer.save_checkpoint(self._path, weights_only=False)


def train(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Train, or go on with what was interrupted in `folder`.

    Args:
        config: the run. A run that goes on must have the same.
        folder: gets ``config.json``, ``best.ckpt`` (not without validation), ``last.ckpt`` and TensorBoard's log.

    Returns:
        Summary: steps done, the folder, and the best score with its checkpoint; without validation ``None`` and the last one.

    Raises:
        ConfigError: ``monitor`` names no figure, the folder holds a run of another configuration, or ``init`` or ``extend`` does not lead to weights of this network.
    """
    if config.init and config.extend.checkpoint:
        raise ConfigError(
            f"extend.checkpoint and init: expected one place to start from, got {config.extend.checkpoint} and {config.init}"
        )
    _check_monitor(config)
    resume = _claim_folder(config, folder)
    if config.threads:
        torch.set_num_threads(config.threads)
    backbone = _pretrained_backbone(config, folder) if resume is None else None
    pl.seed_everything(config.seed, workers=True)
    validates = config.val_every > 0
    steps_per_epoch = min(config.val_every or config.steps, config.steps)
    best = ModelCheckpoint(
        folder,
        filename=Path(BEST_FILE).stem,
        monitor="val/score",
        mode="max",
        enable_version_counter=False,
    )
    last = ModelCheckpoint(
        folder, filename=Path(LAST_FILE).stem, every_n_train_steps=max(1, steps_per_epoch // 4),
        enable_version_counter=False,
    )  # fmt: skip
    log_every = min(10, steps_per_epoch)
    callbacks: list[Callback] = [
        last, SaveAtEnd(folder / LAST_FILE), DataWait(log_every), LearningRateMonitor(), TQDMProgressBar(refresh_rate=5),
    ]  # fmt: skip
    if config.balance.report_every or config.balance.affinity_every:
        callbacks.append(TaskReport(folder, config.steps))
    if validates:
        callbacks.append(best)
    if config.optimizer.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.optimizer.ema_decay))
    trainer = pl.Trainer(
        **placement(config),
        max_steps=config.steps,
        gradient_clip_val=config.optimizer.clip_norm,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name="", version="log"),
        log_every_n_steps=log_every,
        num_sanity_val_steps=0,
        limit_val_batches=None if validates else 0,
        enable_model_summary=False,
        use_distributed_sampler=False,  # see MixedData: each process draws for itself, and validates all
    )
    module = MultiTaskModule(config)
    module.report_folder = folder if trainer.is_global_zero else None
    if resume is None and backbone is not None:
        load_backbone(module.model.backbone, backbone)
    elif resume is None and config.extend.checkpoint:
        extend_from(module.model, config.model, Path(config.extend.checkpoint))
    elif resume is None and config.init:
        start_from(module.model, config.model, Path(config.init))
    data = MixedData(
        config.data, steps_per_epoch, config.val_frames, further=wanted_labels(config.model)
    )
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    score = best.best_model_score
    return {
        "steps": trainer.global_step,
        "score": None if score is None else float(score),
        "checkpoint": best.best_model_path if validates else str(folder / LAST_FILE),
        "folder": str(folder),
    }


def _check_monitor(config: TrainConfig) -> None:
    """Whether a validation counts a figure that chooses the best checkpoint, as far as names of sets tell before one has run."""
    sets = config.data.val_sets or [entry.name for entry in config.data.sets]
    if config.val_every and not any(key.split("/")[0] in sets for key in config.monitor):
        raise ConfigError(
            f'monitor: expected a figure of a validation set ({", ".join(sets)}), got {list(config.monitor)}; as in monitor=["{sets[0]}/miou"]'
        )


def _pretrained_backbone(config: TrainConfig, folder: Path) -> Path | None:
    """The file of weights that the backbone alone starts from, made first where the run asks for it."""
    if config.init or config.extend.checkpoint:
        if config.pretrain.steps:
            logger.info("training starts from given weights: nothing is pretrained")
        path = Path(config.init)
        return path if path.suffix == WEIGHTS_SUFFIX else None  # else all weights come from there
    return pretrain(config, folder / "pretrain") if config.pretrain.steps else None


def _claim_folder(config: TrainConfig, folder: Path) -> Path | None:
    """Write the configuration into the folder, or find there what to go on with."""
    written, mine = folder / CONFIG_FILE, dump_config(config)
    if written.is_file():
        # through the schema, so that what is new since then has its default
        try:
            stored = json.loads(written.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(
                f"{written}: expected the configuration of a run, got no JSON ({error}); delete the folder to begin anew"
            ) from error
        found = dump_config(read_stored(stored, str(written)))
        if found != mine:
            keys = sorted(k for k in mine if mine[k] != found[k])
            raise ConfigError(
                f"{folder}: holds a run of another configuration (differs in {keys}); choose another --out or delete it"
            )
    else:
        write_atomically(written, (json.dumps(mine, indent=2) + "\n").encode())
    checkpoint = folder / LAST_FILE
    if checkpoint.is_file():
        logger.info("going on from %s", checkpoint)
        return checkpoint
    return None
