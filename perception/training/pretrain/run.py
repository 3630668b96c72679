"""One pretraining run: its folder, resuming, and the file of weights it leaves."""

import json
import logging
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from perception.core.config import Table, dump_config
from perception.core.errors import ConfigError
from perception.training.config import TrainConfig, read_stored
from perception.training.data import MixedData
from perception.training.hardware import placement
from perception.training.pretrain import METHODS

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "backbone.safetensors"


def pretrain(config: TrainConfig, folder: Path) -> Path:
    """Pretrain the backbone of a training run, or go on with what was interrupted in `folder`.

    Args:
        config: of the whole run; ``pretrain`` says how.
        folder: gets ``backbone.safetensors``, ``last.ckpt`` and TensorBoard's log.

    Returns:
        The file of weights. Where it is there already, made with the same settings, nothing is done again.

    Raises:
        ConfigError: the folder holds another pretraining.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"backbone": config.model.backbone, "seed": config.seed, **dump_config(config.pretrain)}
    written = folder / "config.json"
    if written.is_file() and _read_config(written) != asked:
        raise ConfigError(f"{folder}: holds another pretraining; choose another --out or delete it")
    written.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
    weights = folder / WEIGHTS_FILE
    if weights.is_file():
        return weights
    options = config.pretrain
    pl.seed_everything(config.seed, workers=True)
    save_every = max(1, options.steps // 10)
    trainer = pl.Trainer(
        **placement(config),
        max_steps=options.steps,
        gradient_clip_val=options.optimizer.clip_norm,
        callbacks=[
            ModelCheckpoint(
                folder,
                filename="last",
                every_n_train_steps=save_every,
                enable_version_counter=False,
            ),
            TQDMProgressBar(refresh_rate=5),
        ],
        logger=TensorBoardLogger(folder, name="", version="log"),
        log_every_n_steps=min(10, options.steps),
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module = METHODS[options.method](config.model.backbone, options)
    data = MixedData(options.data, options.steps, val_frames=0)
    last = folder / "last.ckpt"
    trainer.fit(
        module, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        tensors = {name: t.contiguous() for name, t in module.student.state_dict().items()}
        unfinished = weights.with_suffix(".part")
        save_file(tensors, unfinished)
        unfinished.replace(weights)  # whole or not at all: a file that is there is finished
        last.unlink(missing_ok=True)  # what it was kept for is done
    trainer.strategy.barrier()
    return weights


def _read_config(path: Path) -> Table | None:
    """What was asked for before, with today's defaults for what is new; ``None`` where it cannot be read."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        whole = {"pretrain": {k: v for k, v in stored.items() if k not in {"backbone", "seed"}}}
        found = read_stored(whole, str(path)).pretrain
    except (ValueError, AttributeError, ConfigError):
        return None  # half written when a run was killed: of no pretraining at all
    return {"backbone": stored.get("backbone"), "seed": stored.get("seed"), **dump_config(found)}


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Put pretrained weights into a backbone; `ConfigError` where the file is missing, damaged or of another one."""
    try:
        backbone.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"init: {path}: not the weights of this backbone: {first}") from error
