"""Forms of the box mask by name. To add one: a file with a class that overrides `NoMask`, and a line here."""

from perception.core.registry import Registry

# name -> callable(config: GraphConfig, stride: int) -> NoMask or a form of it
MASKS = Registry(
    "box mask",
    {
        "hard": "perception.models.masks.hard:HardMask",
        "none": "perception.models.masks.base:NoMask",
        "soft": "perception.models.masks.soft:SoftMask",
    },
)
