"""Losses by name. To add one: a file with a class whose call gives named terms, and a line in its table."""

from perception.core.registry import Registry

# name -> class; an instance is called with (predictions: Pyramid, batch: Batch) and gives Terms
DETECTION_LOSSES = Registry(
    "detection loss",
    {
        "four_term": "perception.training.losses.four_term:FourTermLoss",
        "task_aligned": "perception.training.losses.task_aligned:TaskAlignedLoss",
    },
)

# name -> class; an instance is called with (logits: Tensor, batch: Batch) and gives Terms
SEGMENTATION_LOSSES = Registry(
    "segmentation loss",
    {
        "balanced": "perception.training.losses.balanced:BalancedLoss",
        "cross_entropy": "perception.training.losses.cross_entropy:MarginalCrossEntropy",
    },
)
