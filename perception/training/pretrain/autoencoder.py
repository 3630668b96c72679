"""A backbone learns to keep what a picture is made of."""

from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.layers import conv_block
from perception.training.config import PretrainConfig
from perception.training.pretrain.base import Pretraining

SHRINK = 4  # the picture is wanted at this fraction of its size
WIDTHS = (128, 64, 32)  # of the decoder, at strides 16, 8, 4


class Decoder(nn.Module):
    """From the deepest map, ``float[N, C, H/32, W/32]``, to a picture ``float[N, 3, H/4, W/4]``.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for width in WIDTHS:
            steps += [nn.Upsample(scale_factor=2, mode="nearest"), conv_block(channels, width)]
            channels = width
        self.steps = nn.Sequential(*steps, nn.Conv2d(channels, 3, 1))

    def forward(self, deepest: Tensor) -> Tensor:
        """Decode."""
        picture: Tensor = self.steps(deepest)
        return picture


class Autoencoder(Pretraining):
    """The picture, a quarter of its size, out of the deepest map alone: what is finer cannot pass, so nothing can be copied.

    The loss is the share of the pictures' variance that is not explained, as the mean square error of colours of mean 0 and variance 1 over
    the batch.

    Source:
        Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006; convolutional, with batch norm.

    Args:
        backbone: name of the student.
        config: of the run.
    """

    def __init__(self, backbone: str, config: PretrainConfig) -> None:
        super().__init__(backbone, config)
        self.decoder = Decoder(self.student.out_channels[-1])

    def compare(self, frame: Tensor) -> Tensor:
        """The unexplained share of variance: 1 where nothing is known."""
        return unexplained(self.decoder(self.student(frame)[-1]), frame)


def unexplained(found: Tensor, frame: Tensor) -> Tensor:
    """The share of the variance of ``uint8[N, H, W, 3]`` that ``float[N, 3, H/4, W/4]`` does not explain."""
    picture = F.avg_pool2d(frame.permute(0, 3, 1, 2).float(), SHRINK)
    target = F.batch_norm(picture, None, None, training=True)
    return F.mse_loss(found.float(), target)
