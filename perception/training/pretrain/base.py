"""What every way of pretraining shares: a backbone that learns, its optimiser, and what is kept of it."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from perception.models.backbones import BACKBONES
from perception.training.config import PretrainConfig
from perception.training.losses.base import Batch


class Pretraining(pl.LightningModule):
    """A backbone in training without a head.

    Args:
        backbone: name in `perception.models.backbones.BACKBONES`; starts from random weights.
        config: of the run.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config
        self.student = BACKBONES[backbone](False).to(memory_format=torch.channels_last)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One forward pass; gives the loss."""
        loss = self.compare(batch.frame)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of pretraining is not finite: {float(loss)}")
        self.log("pretrain/loss", loss.detach(), prog_bar=True, batch_size=len(batch.frame))
        return loss

    def compare(self, frame: Tensor) -> Tensor:
        """The loss of ``uint8[N, H, W, 3]`` frames, a scalar. Labels are never seen."""
        raise NotImplementedError

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union of shapes)
        """AdamW under one cycle over all steps."""
        config = self.config.optimizer
        weights = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in weights if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=config.lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=config.lr, total_steps=self.config.steps, pct_start=config.warmup
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
