"""A network that everybody can build, as an engine without heads: what forward times are given in units of."""

from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection.backbone_utils import BackboneWithFPN

from perception.core.errors import EngineError
from perception.core.manifest import Engine, load_engine
from perception.export.onnx import write_engine
from perception.models.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from perception.models.weights import shippable

CHANNELS = 96
STRIDES = (4, 8, 16, 32)


class ReferenceNetwork(nn.Module):
    """torchvision's ResNet-18 with a feature pyramid of 96 channels, fed with uint8 as the project's graphs are; random weights."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers = {f"layer{i}": f"map_{stride}" for i, stride in enumerate(STRIDES, 1)}
        self.body = BackboneWithFPN(resnet18(), layers, [64, 128, 256, 512], CHANNELS)
        for name, rgb in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(rgb[::-1]).reshape(1, 3, 1, 1))

    def forward(self, frame: Tensor) -> dict[str, Tensor]:
        """``uint8[N, H, W, 3]`` -> maps ``float[N, 96, H/s, W/s]`` for s = 4, 8, 16, 32."""
        image = frame.to(self.mean.dtype).permute(0, 3, 1, 2)
        maps = self.body((image - self.mean) / self.std)
        return {f"map_{stride}": maps[f"map_{stride}"] for stride in STRIDES}


def reference_engine(cache: Path) -> Engine:
    """The engine ``resnet18-fpn96``, made once for a version of torchvision and kept in `cache`."""
    folder = cache / f"resnet18-fpn{CHANNELS}-torchvision-{version('torchvision')}"
    try:
        return load_engine(folder)
    except EngineError:  # not made yet, or its making was interrupted
        torch.manual_seed(0)
        network = ReferenceNetwork()
        weights = shippable(network.state_dict())
        return write_engine(
            network, folder, weights, task="features", mask_form="none", mask_threshold=1.0,
            score_threshold=1.0, max_pixels=1248 * 384, trained_on=(),
        )  # fmt: skip
