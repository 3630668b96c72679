"""Give a backbone the features of another one that has ImageNet weights, on road frames without labels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.backbones import BACKBONES
from perception.training.config import PretrainConfig
from perception.training.pretrain.base import Pretraining


class FeatureDistillation(Pretraining):
    """The student's maps, through one 1x1 convolution each, are to equal the teacher's.

    The loss of a map is the mean square difference from the teacher's map, whose channels are brought to mean 0 and variance 1 over the
    batch: so it is the share of the teacher's variance that is not explained yet, 1 where nothing is known, 0 where all is.

    Source:
        Romero et al., "FitNets", 2014, arXiv 1412.6550, section 2.2: hints through a regressor. Differs from it: all maps that the neck reads are
        hints, channels are normalised, and the regressors are linear, so that what they need must stand in the student's own map.

    Args:
        backbone: name of the student.
        config: names the teacher, which must have pretrained weights.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        teacher = BACKBONES[config.teacher](True).to(memory_format=torch.channels_last)
        self._teacher = [teacher.eval().requires_grad_(False)]  # in a list: no part of checkpoints
        pairs = zip(self.student.out_channels[1:], teacher.out_channels[1:], strict=True)
        self.regressors = nn.ModuleList(nn.Conv2d(mine, theirs, 1) for mine, theirs in pairs)

    def on_fit_start(self) -> None:
        """Bring the teacher to where the student is."""
        self._teacher[0].to(self.device)

    def compare(self, frame: Tensor) -> Tensor:
        """The mean over the maps of the unexplained share of variance."""
        with torch.no_grad():
            _, *hints = self._teacher[0](frame)
        _, *maps = self.student(frame)
        losses = []
        for hint, regressor, found in zip(hints, self.regressors, maps, strict=True):
            target = F.batch_norm(hint.float(), None, None, training=True)
            losses.append(F.mse_loss(regressor(found).float(), target))
        for stride, loss in zip((8, 16, 32), losses, strict=True):
            self.log(f"pretrain/unexplained_{stride}", loss.detach(), batch_size=len(frame))
        return torch.stack(losses).mean()
