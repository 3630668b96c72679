"""A narrow residual network of dense 3x3 convolutions, which matrix units of CPUs and GPUs like better than depthwise ones.

Source: He et al., "Deep Residual Learning", 2015, arXiv 1512.03385: its basic block. Differs from ResNet-18: two strided 3x3
convolutions instead of 7x7 and pooling, no residual stage at stride 4 (there, the fewest weights cost the most time), half the width.
"""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from perception.core.errors import ConfigError
from perception.models.backbones.base import Backbone
from perception.models.layers import conv_block

STEM = (32, 48)  # channels at strides 2 and 4
STAGES = ((64, 2), (128, 3), (256, 2))  # (channels, blocks) at strides 8, 16, 32


class LeanResNet(nn.Module):
    """The feature extractor: ``float[N, 3, H, W]`` -> maps of 48, 64, 128 and 256 channels at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_block(3, STEM[0], stride=2), conv_block(STEM[0], STEM[1], stride=2)
        )
        self.stages = nn.ModuleList()
        channels = STEM[1]
        for width, depth in STAGES:
            shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, 2, bias=False), nn.BatchNorm2d(width)
            )
            blocks = [BasicBlock(channels, width, 2, shortcut)]
            blocks += [BasicBlock(width, width) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            channels = width

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Extract the maps."""
        x = self.stem(image)
        maps = [x]
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


def build(pretrained: bool) -> Backbone:
    """Build it with random weights; `ConfigError` where pretrained ones are asked for."""
    if pretrained:
        raise ConfigError(
            "backbone 'lean_resnet' has no pretrained weights here; set model.pretrained=false, and pretrain.steps to make some"
        )
    features = LeanResNet()
    first = next(m for m in features.modules() if isinstance(m, nn.Conv2d))
    return Backbone(features, [STEM[1], *(width for width, _ in STAGES)], first)
