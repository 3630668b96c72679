"""A trained network that labels for another in training: the smaller one follows its class scores on every pixel, labelled or not."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from perception.core.errors import ConfigError, InputError
from perception.core.geometry import SIZE_MULTIPLE
from perception.models.config import ModelConfig
from perception.models.multitask import MultiTaskModel
from perception.models.weights import Weights, build_network
from perception.training.checkpoint import read_checkpoint
from perception.training.losses.base import Terms

TERM = "teacher"  # name of its term, for ``loss.weights``


def frozen(config: ModelConfig, weights: Weights) -> MultiTaskModel:
    """A network that others learn from and that itself does not."""
    network = build_network(config, weights).requires_grad_(requires_grad=False)
    return network.to(memory_format=torch.channels_last)


def divergence(logits: Tensor, wanted: Tensor, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence of class scores from those of a teacher, times the temperature's square.

    The size of its gradients then does not hang on the temperature (section 2 of the source of `TeacherLoss`).

    Args:
        logits: of the student, ``float[N, C, ...]``.
        wanted: of the teacher, of the same shape.
        temperature: by which both are divided first; above 1, classes of small scores tell more.

    Returns:
        ``float32[N, ...]``, 0 where they agree.
    """
    found, known = ((x.float() / temperature).log_softmax(dim=1) for x in (logits, wanted))
    apart = F.kl_div(found, known, reduction="none", log_target=True).sum(dim=1)
    return apart * temperature**2


class TeacherLoss(nn.Module):
    """Cross entropy of the student's class scores against the teacher's, cell by cell, less the teacher's own entropy.

    So 0 where they agree. Frames whose set labels "not road" alone, or nothing, learn all classes this way.

    Source: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015, arXiv 1503.02531, section 2, at temperature 1.

    Args:
        checkpoint: of the teacher's training run; its weights are no part of the student's checkpoints. A teacher that was trained
            on smaller frames (``data.val_scale``) sees them made smaller here too.

    Raises:
        ConfigError: no checkpoint of this project, or of a network without a class map.
    """

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        try:
            config, weights = read_checkpoint(checkpoint)
        except InputError as error:
            raise ConfigError(f"loss.teacher: {error}") from error
        if not config.model.has_segmentation:
            raise ConfigError(f"loss.teacher: {checkpoint}: its network gives no class map")
        self._scale = config.data.val_scale
        self._network = [frozen(config.model, weights)]  # in a list: no child

    def forward(self, logits: Tensor, frame: Tensor) -> Terms:
        """Compare in the student's cells.

        Args:
            logits: of the student, ``float[N, C, H/s, W/s]``.
            frame: ``uint8[N, H, W, 3]``, as the student saw it.
        """
        with torch.no_grad():
            seen = self._shrink(frame)
            wanted = self._network[0].to(frame.device)(seen).class_logits.float()
            wanted = F.interpolate(wanted, logits.shape[2:], mode="bilinear", align_corners=False)
        return {TERM: divergence(logits, wanted).mean()}

    def _shrink(self, frame: Tensor) -> Tensor:
        """To the size that the teacher was trained at, in multiples of 32."""
        sides = [
            max(1, round(side * self._scale / SIZE_MULTIPLE)) * SIZE_MULTIPLE
            for side in frame.shape[1:3]
        ]
        if sides == list(frame.shape[1:3]):
            return frame
        planes = frame.permute(0, 3, 1, 2)
        smaller: Tensor = v2.functional.resize(planes, sides, antialias=True)
        return smaller.permute(0, 2, 3, 1)
