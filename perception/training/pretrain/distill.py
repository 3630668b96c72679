"""Give a backbone the features of another one that has ImageNet weights, on road frames without labels."""

import torch
from torch import Tensor
from torchvision.transforms import v2

from perception.training.config import PretrainConfig
from perception.training.losses.features import STRIDES, FeatureMatch
from perception.training.pretrain.base import Pretraining


class FeatureDistillation(Pretraining):
    """The student's maps are to tell the teacher's, see `FeatureMatch`, of whole frames and of blends of two.

    Source: Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", 2022, arXiv 2106.05237, section 3.1: both see
    the same blended crop, so that there is more to tell than a small set of frames holds. Differs from it: features instead of class
    scores, and a share of the steps has no blend.

    Args:
        backbone: name of the student.
        config: names the teacher, which must have pretrained weights.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        self.match = FeatureMatch(self.student.out_channels[1:], config.teacher)
        self.blend = v2.RandomApply([v2.MixUp(num_classes=1)], p=config.mixed)

    def compare(self, frame: Tensor) -> Tensor:
        """The mean over the maps of the unexplained share of variance."""
        no_labels = torch.zeros(len(frame), dtype=torch.long, device=frame.device)
        frame = self.blend(frame.float(), no_labels)[0].round().to(torch.uint8)
        _, *maps = self.student(frame)
        losses = self.match(maps, frame)
        for stride, loss in zip(STRIDES, losses, strict=True):
            self.log(f"pretrain/unexplained_{stride}", loss.detach(), batch_size=len(frame))
        return torch.stack(losses).mean()
