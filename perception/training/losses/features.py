"""A backbone's maps against those of another one, which has ImageNet weights: what they see of a frame, without labels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.backbones import BACKBONES

TERM = "features"  # name of its term, for ``loss.weights``
STRIDES = (8, 16, 32)  # of the maps that are compared: those that the neck reads


class FeatureMatch(nn.Module):
    """The maps, through one 1x1 convolution each, are to equal the teacher's.

    The loss of a map is the mean square difference from the teacher's map, whose channels are brought to mean 0 and variance 1 over the
    batch: so it is the share of the teacher's variance that is not explained yet, 1 where nothing is known, 0 where all is.

    Source:
        Romero et al., "FitNets", 2014, arXiv 1412.6550, section 2.2: hints through a regressor. Differs from it: all maps that the neck reads are
        hints, channels are normalised, and the regressors are linear, so that what they need must stand in the student's own map.
        Beside labels (``loss.features``): Hoyer, Dai, Van Gool, "DAFormer", 2022, arXiv 2111.14887, section 3.3, keeps features near those of
        ImageNet so that they hold on roads that were not seen; there on objects' pixels only, and on the student's own first weights.

    Args:
        channels: of the student's maps at `STRIDES`.
        teacher: in `perception.models.backbones.BACKBONES`, with pretrained weights; they are no part of checkpoints.
    """

    def __init__(self, channels: Sequence[int], teacher: str) -> None:
        super().__init__()
        network = BACKBONES[teacher](True).to(memory_format=torch.channels_last)
        self._teacher = [network.eval().requires_grad_(False)]  # in a list: no child
        pairs = zip(channels, network.out_channels[1:], strict=True)
        self.regressors = nn.ModuleList(nn.Conv2d(mine, theirs, 1) for mine, theirs in pairs)

    def forward(self, maps: Sequence[Tensor], frame: Tensor) -> list[Tensor]:
        """The unexplained share of variance of each map.

        Args:
            maps: of the student, ``float[N, C, H/s, W/s]`` for s of `STRIDES`.
            frame: ``uint8[N, H, W, 3]``, as the student saw it.
        """
        with torch.no_grad():
            _, *hints = self._teacher[0].to(frame.device)(frame)
        losses = []
        for hint, regressor, found in zip(hints, self.regressors, maps, strict=True):
            target = F.batch_norm(hint.float(), None, None, training=True)
            losses.append(F.mse_loss(regressor(found).float(), target))
        return losses
