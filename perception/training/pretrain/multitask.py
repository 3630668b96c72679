"""A backbone learns several things without labels at once."""

from torch import Tensor

from perception.training.config import PretrainConfig
from perception.training.pretrain.autoencoder import Decoder, unexplained
from perception.training.pretrain.contrastive import NTXent


class Multitask(NTXent):
    """The picture out of the deepest map, and twins among views: the losses of `Autoencoder` and `NTXent`, summed.

    What frames share and what they are made of pull features towards meaning and towards place; Doersch and Zisserman (2017, arXiv 1708.07860)
    found that such tasks help one another.

    Args:
        backbone: name of the student.
        config: of the run.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        self.decoder = Decoder(self.student.out_channels[-1])

    def compare(self, frame: Tensor) -> Tensor:
        """The sum of both losses."""
        contrast = super().compare(frame)
        rebuilt = unexplained(self.decoder(self.student(frame)[-1]), frame)
        self.log("pretrain/contrast", contrast.detach(), batch_size=len(frame))
        self.log("pretrain/unexplained", rebuilt.detach(), batch_size=len(frame))
        return contrast + rebuilt
