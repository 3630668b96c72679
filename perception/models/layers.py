"""The one convolution block that neck and heads are made of."""

from torch import nn


def conv_block(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the size is kept."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
