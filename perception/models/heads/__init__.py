"""Task heads by name. To add one: a file with the module and its decoding, a line here, one in `MultiTaskModel.forward`."""

from perception.core.registry import Registry

HEADS = Registry(
    "head",
    {
        "detection": "perception.models.heads.detection:DetectionHead",
        "segmentation": "perception.models.heads.segmentation:SegmentationHead",
    },
)
