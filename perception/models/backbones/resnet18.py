"""ResNet-18 (He et al., 2015, arXiv 1512.03385), without pretrained weights: no package carries them."""

from typing import Any

import timm

from perception.core.errors import ConfigError
from perception.models.backbones.base import Backbone


def build(pretrained: bool) -> Backbone:
    """Build it with random weights; `ConfigError` where pretrained ones are asked for."""
    if pretrained:
        raise ConfigError(
            "backbone 'resnet18' has no pretrained weights here; set model.pretrained=false"
        )
    features: Any = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3, 4))
    return Backbone(features, features.feature_info.channels(), features.conv1)
