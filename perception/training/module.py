"""The training step and the validation of a network, as Lightning wants them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from perception.core.config import dump_config
from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.manifest import EVALUATION_OUTPUTS
from perception.core.registry import check_known
from perception.datasets import Sample
from perception.metrics.evaluator import Evaluator
from perception.models.fusion import LABEL, density
from perception.models.graph import InferenceGraph
from perception.models.multitask import MultiTaskModel
from perception.models.tasks.base import as_task
from perception.training.balancing import build_balancer
from perception.training.balancing.affinity import affinity
from perception.training.balancing.agreement import agreement
from perception.training.balancing.report import keep
from perception.training.config import LossConfig, TrainConfig
from perception.training.extend.absence import AbsenceLoss
from perception.training.extend.follow import OldOutputs
from perception.training.extend.start import old_norms
from perception.training.inference import TaskScores, run_on_sample
from perception.training.losses import DETECTION_LOSSES, SEGMENTATION_LOSSES, features
from perception.training.losses.base import Batch, Terms
from perception.training.losses.features import FeatureMatch
from perception.training.losses.teacher import TeacherLoss

TERMS_KNOWN_AT = 100  # steps; every set has been drawn by then, and every term has been there


class MultiTaskModule(pl.LightningModule):
    """Trains a `MultiTaskModel` on its heads' losses, joined by a `Balancer`.

    Args:
        config: of the whole run; stands in every checkpoint under ``hyper_parameters``.

    Attributes:
        report_folder: where what is measured of the tasks is kept; ``None`` for nowhere but the log.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.save_hyperparameters(dump_config(config))
        self.config = config
        # channels last is the faster layout of convolutions on CPUs and on tensor cores
        self.model = MultiTaskModel(config.model).to(memory_format=torch.channels_last)
        self.losses = nn.ModuleDict()
        if config.model.has_detection:
            self.losses["detection"] = DETECTION_LOSSES[config.loss.detection]()
        if config.model.has_segmentation:
            self.losses["segmentation"] = _segmentation_loss(config.loss)
        self.teacher = TeacherLoss(Path(config.loss.teacher)) if config.loss.teacher else None
        self.features: FeatureMatch | None = None
        if config.loss.features:
            channels = self.model.backbone.out_channels[1:]
            self.features = FeatureMatch(channels, config.loss.features)
        follows = config.extend.checkpoint and config.extend.weight
        self.old = OldOutputs(config.extend) if follows else None
        if config.extend.checkpoint and config.extend.keep_norms:
            path = Path(config.extend.checkpoint)
            for norm in old_norms(self.model, config.model, path):
                norm.eval()  # which Lightning leaves as it is
        self.absence = AbsenceLoss(config.data.sets)
        tasks = (*self.losses, *config.model.further)
        self.balancer = build_balancer(config.balance, tasks, config.devices)
        self.report_folder: Path | None = None
        self._task_losses: dict[str, Tensor] = {}
        self._batch: Batch | None = None
        self._terms_seen: Counter[str] = Counter()
        self._evaluators: dict[str, Evaluator] = {}
        self._scores: dict[str, TaskScores] = {}

    def forward(self, frame: Tensor) -> Any:  # noqa: ANN401 (MultiTaskOutput, through Lightning's untyped base)
        """The network itself, see `MultiTaskModel.forward`."""
        return self.model(frame)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One forward pass; gives the sum of all loss terms, and keeps each task's for `backward`."""
        terms = self._terms(batch)
        self._task_losses, self._batch = self._joined(terms), batch
        shown = {
            f"train/{name}": t.detach() for named in terms.values() for name, t in named.items()
        }
        total = torch.stack(list(self._task_losses.values())).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"the loss is not finite: {[(n, float(t)) for n, t in shown.items()]}"
            )
        self.log_dict({"train/loss": total.detach(), **shown}, batch_size=len(batch.frame))
        return total

    def _terms(self, batch: Batch) -> dict[str, Terms]:
        """The loss terms of every task."""
        scan = self._scan(batch)
        out = self.model(batch.frame, scan)
        terms: dict[str, Terms] = {}
        if out.detection is not None:
            terms["detection"] = self.losses["detection"](out.detection.predictions, batch)
        if out.class_logits is not None:
            terms["segmentation"] = self.losses["segmentation"](out.class_logits, batch)
            if self.teacher is not None:
                terms["segmentation"] |= self.teacher(out.class_logits, batch.frame)
            terms["segmentation"] |= self.absence(out.class_logits, batch)
        if self.features is not None:
            some = slice(self.config.loss.feature_frames)
            apart = self.features([x[some] for x in out.features], batch.frame[some])
            terms[next(iter(terms))] |= {features.TERM: torch.stack(apart).mean()}
        for name, raw in out.further.items():
            # a task without labels in this batch: a loss of 0
            terms[name] = as_task(self.model.tasks[name]).loss(raw, batch) or {
                name: 0.0 * raw.sum()
            }
        for task, followed in (self.old(out, batch, scan) if self.old is not None else {}).items():
            terms[task] = terms[task] | followed
        return terms

    def _joined(self, terms: Mapping[str, Terms]) -> dict[str, Tensor]:
        """The loss of every task."""
        weights = self.config.loss.weights
        self._terms_seen.update(name for named in terms.values() for name in named)
        if max(self._terms_seen.values()) == TERMS_KNOWN_AT:
            check_known("loss.weights", weights, self._terms_seen)
        return {
            task: torch.stack([weights.get(name, 1.0) * term for name, term in named.items()]).sum()
            for task, named in terms.items()
        }

    def _scan(self, batch: Batch) -> Tensor | None:
        """What the scanner measured of each frame; by chance nothing, so that the network learns to do without."""
        scan = batch.further.get(LABEL)
        if not self.config.model.fusion or scan is None:
            return None
        given = torch.rand(len(scan), device=scan.device) >= self.config.data.lidar_dropout
        return density(scan, batch.focal_px) * given[:, None, None]

    def backward(self, loss: Tensor, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 (Lightning's)
        """The gradients of this step, as the balancer joins the tasks' losses; `loss`, their sum, is only shown."""
        del loss
        learnt = (self.model, self.features) if self.features is not None else (self.model,)
        params = [p for part in learnt for p in part.parameters() if p.requires_grad]
        self._measure(params)
        self.balancer.backward(self._task_losses, params)
        self._task_losses, self._batch = {}, None

    def _measure(self, params: Sequence[nn.Parameter]) -> None:
        """How the tasks get on with each other, where it is time for it."""
        balance = self.config.balance
        measured: dict[str, Tensor] = {}
        if len(self._task_losses) > 1:
            if balance.report_every and self.global_step % balance.report_every == 0:
                measured |= agreement(self._task_losses, params)
            if balance.affinity_every and self.global_step % balance.affinity_every == 0:
                measured |= affinity(self._task_losses, params, self._losses_again)
        if measured:
            self.log_dict(measured)
            if self.report_folder is not None:
                keep(self.report_folder, self.global_step, measured)

    def _losses_again(self) -> dict[str, Tensor]:
        """The losses of this step's batch with the parameters as they are; what the network counts is left as it was."""
        if self._batch is None:
            raise RuntimeError("no batch: called outside of a training step")
        buffers = {name: buffer.clone() for name, buffer in self.named_buffers()}
        with torch.random.fork_rng():
            torch.manual_seed(self.global_step)
            losses = self._joined(self._terms(self._batch))
        for name, buffer in self.named_buffers():
            buffer.data.copy_(buffers[name])  # as above: behind the back of the graph of this step
        return losses

    def on_validation_epoch_start(self) -> None:
        """Start counting afresh."""
        self._evaluators, self._scores = {}, {}

    def validation_step(self, item: tuple[str, Sample], _index: int) -> None:
        """Run one whole frame as the car would, and count."""
        name, sample = item
        evaluator = self._evaluators.setdefault(name, Evaluator(MAP_CLASSES, BOX_CLASSES))
        graph = InferenceGraph(self.model, self.config.graph, EVALUATION_OUTPUTS)
        result = run_on_sample(graph, sample, self.config.data.val_scale)
        evaluator.update(sample, result)
        self._scores.setdefault(name, TaskScores(graph)).update(sample, result)

    def on_validation_epoch_end(self) -> None:
        """Log each set's figures, and their chosen sum as ``val/score``."""
        figures = {
            f"{name}/{key}": value
            for name, evaluator in self._evaluators.items()
            for key, value in {**evaluator.compute(), **self._scores[name].compute()}.items()
            if isinstance(value, int | float)
        }
        chosen = [figures[key] for key in self.config.monitor if key in figures]
        if not chosen:
            raise ConfigError(
                f"monitor: none of {list(self.config.monitor)} is counted on the validation sets; known: {sorted(figures)}"
            )
        self.log_dict(figures, sync_dist=True)
        self.log("val/score", float(np.sum(chosen)), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union of shapes)
        """AdamW, weight decay on weights only, one cycle over all steps."""
        config = self.config.optimizer
        groups, rates = [], []
        for backbone in (True, False):
            for decayed in (True, False):
                params = [
                    p
                    for name, p in self.model.named_parameters()
                    if name.startswith("backbone.") == backbone and (p.ndim > 1) == decayed
                ]
                lr = config.lr * (config.backbone_factor if backbone else 1.0)
                decay = config.weight_decay if decayed else 0.0
                groups.append({"params": params, "lr": lr, "weight_decay": decay})
                rates.append(lr)
        learnt = list(self.balancer.parameters())
        learnt += [] if self.features is None else list(self.features.parameters())
        if learnt:
            groups.append({"params": learnt, "lr": config.lr, "weight_decay": 0.0})
            rates.append(config.lr)
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=self.config.steps,
            pct_start=config.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _segmentation_loss(config: LossConfig) -> nn.Module:
    try:
        loss: nn.Module = SEGMENTATION_LOSSES[config.segmentation](**config.options)
    except TypeError as error:
        raise ConfigError(
            f"loss.options: {error}; they are the arguments of {config.segmentation!r}"
        ) from error
    return loss
