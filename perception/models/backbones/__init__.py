"""Backbones by name. To add one: a file with ``build(pretrained) -> Backbone`` and a line here."""

from perception.core.registry import Registry

# name -> callable(pretrained: bool) -> Backbone
BACKBONES = Registry(
    "backbone",
    {
        "efficientnet_lite0": "perception.models.backbones.efficientnet_lite0:build",
        "lean_resnet": "perception.models.backbones.lean_resnet:build",
        "mobilenetv3": "perception.models.backbones.mobilenetv3:build",
        "resnet18": "perception.models.backbones.resnet18:build",
    },
)
