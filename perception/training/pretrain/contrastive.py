"""A backbone learns what two views of one frame share, against or without other frames. Losses and heads are lightly's."""

import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules.heads import (
    SimCLRProjectionHead,
    SimSiamPredictionHead,
    SimSiamProjectionHead,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from perception.core.errors import ConfigError
from perception.training.augment.colours import COLOURS
from perception.training.config import PretrainConfig
from perception.training.pretrain.base import Pretraining

EMBEDDING = 128
VIEW_SHARE = (0.2, 1.0)  # of the frame's area that a view shows
MARGIN = 1.0  # of the triplet loss, between unit vectors, whose distance is at most 2


class Views(nn.Module):
    """Two views of each frame: another cut, side and light each time.

    Args:
        size_hw: of a view, px.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        super().__init__()
        self._vary = v2.Compose(
            [
                v2.RandomResizedCrop(size_hw, scale=VIEW_SHARE, antialias=True),
                v2.RandomHorizontalFlip(),
                *COLOURS["tone"](),
            ]
        )

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """``uint8[N, H, W, 3]`` -> twice ``uint8[N, h, w, 3]``."""
        return self._once(frame), self._once(frame)

    def _once(self, frame: Tensor) -> Tensor:
        views = [self._vary(tv_tensors.Image(picture.permute(2, 0, 1))) for picture in frame]
        return torch.stack([view.as_subclass(Tensor).permute(1, 2, 0) for view in views])


class ViewComparison(Pretraining):
    """What the methods here share: the mean of the deepest map over the view, through a projection.

    Args:
        backbone: name of the student.
        config: of the run; views have half the size of its crops.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        if config.data.batch_size < 2:
            raise ConfigError(
                f"pretrain.data.batch_size: views are compared with those of other frames; expected at least 2, got {config.data.batch_size}"
            )
        width, height = config.data.crop_wh
        self.views = Views((height // 2, width // 2))
        self.projection = self.make_projection(self.student.out_channels[-1])

    def make_projection(self, channels: int) -> nn.Module:
        """``float[N, C]`` -> ``float[N, EMBEDDING]``."""
        head: nn.Module = SimCLRProjectionHead(channels, channels, EMBEDDING)
        return head

    def compare(self, frame: Tensor) -> Tensor:
        """The loss of the two views' embeddings."""
        first, second = (self._embed(view) for view in self.views(frame))
        with (
            torch.no_grad()
        ):  # near 0: all frames look alike to it, it has collapsed; 1: they are spread as noise is
            spread = F.normalize(first.float(), dim=1).std(dim=0).mean() * first.shape[1] ** 0.5
            self.log("pretrain/spread", spread, batch_size=len(frame))
        return self.contrast(first.float(), second.float())

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """The loss of ``float[N, EMBEDDING]`` twice, a scalar."""
        raise NotImplementedError

    def _embed(self, view: Tensor) -> Tensor:
        embedded: Tensor = self.projection(self.student(view)[-1].mean(dim=(2, 3)))
        return embedded


class NTXent(ViewComparison):
    """Each view is to find its twin among all views of the batch (Chen et al., "SimCLR", 2020, arXiv 2002.05709, equation 1)."""

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        self.criterion = NTXentLoss()

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """Cross entropy over the similarities."""
        loss: Tensor = self.criterion(first, second)
        return loss


class Triplet(ViewComparison):
    """A view is nearer to its twin than to a view of another frame, by a margin (Schroff et al., "FaceNet", 2015, arXiv 1503.03832).

    The other frame is the hardest of the batch, not a semi-hard one as there: batches are small.
    """

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """The hinge, in the mean."""
        anchor, twin = F.normalize(first, dim=1), F.normalize(second, dim=1)
        apart = torch.cdist(anchor, twin)
        others = apart + torch.eye(len(anchor), device=apart.device) * 4
        return F.relu(apart.diagonal() - others.min(dim=1).values + MARGIN).mean()


class SimSiam(ViewComparison):
    """Each view is to foretell its twin's embedding, which is held fixed (Chen and He, 2020, arXiv 2011.10566). No other frames."""

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        self.prediction = SimSiamPredictionHead(EMBEDDING, EMBEDDING // 4, EMBEDDING)
        self.criterion = NegativeCosineSimilarity()

    def make_projection(self, channels: int) -> nn.Module:
        """Three layers, batch norm to the last."""
        head: nn.Module = SimSiamProjectionHead(channels, channels, EMBEDDING)
        return head

    def contrast(self, first: Tensor, second: Tensor) -> Tensor:
        """The negative cosine, both ways, in [-1, 1]."""
        forth = self.criterion(self.prediction(first), second.detach())
        back = self.criterion(self.prediction(second), first.detach())
        loss: Tensor = (forth + back) / 2
        return loss
