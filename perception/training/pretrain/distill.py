"""Give a backbone the features of another one that has ImageNet weights, on road frames without labels."""

import torch
from torch import Tensor

from perception.training.config import PretrainConfig
from perception.training.losses.features import STRIDES, FeatureMatch
from perception.training.pretrain.base import Pretraining


class FeatureDistillation(Pretraining):
    """The student's maps are to tell the teacher's, see `FeatureMatch`.

    Args:
        backbone: name of the student.
        config: names the teacher, which must have pretrained weights.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        self.match = FeatureMatch(self.student.out_channels[1:], config.teacher)

    def compare(self, frame: Tensor) -> Tensor:
        """The mean over the maps of the unexplained share of variance."""
        _, *maps = self.student(frame)
        losses = self.match(maps, frame)
        for stride, loss in zip(STRIDES, losses, strict=True):
            self.log(f"pretrain/unexplained_{stride}", loss.detach(), batch_size=len(frame))
        return torch.stack(losses).mean()
