"""What a network is made of. The same record stands in checkpoints and manifests, so a network can be built again from either."""

from dataclasses import dataclass
from typing import Literal

from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES

FINE_STRIDE = 4  # px of a cell of the backbone's largest map
Task = Literal["detection", "segmentation", "parallel", "cascade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The parts of one network.

    Attributes:
        task: which heads there are, and whether the segmentation head sees the detections (``cascade``).
        backbone: name in `perception.models.backbones.BACKBONES`.
        pretrained: start the backbone from ImageNet weights, where its file has them.
        neck_channels: channels of the three maps that the heads share.
        map_stride: px of a cell whose class scores the segmentation head makes; bilinear upsampling does the rest.
        smooth_shallow: whether the neck's map of stride 8 passes a convolution of its own before the heads.
        detail_channels: channels of the backbone's map of stride 4 that the segmentation head looks at before it classifies; 0 for
            no look. Needs ``map_stride`` 4.
        cascade_input: what of the detection head the segmentation head sees: its ``prediction`` (the original's way) or its
            last hidden ``features``.
        fusion: how a second input, a laser scanner's, is taken in, in `perception.models.fusion.FUSIONS`; empty: there is none.
        further: tasks beside the cascade's, in `perception.models.tasks.TASKS`.
    """

    task: Task = "cascade"
    backbone: str = "efficientnet_lite0"
    pretrained: bool = True
    neck_channels: int = 64
    map_stride: Literal[4, 8] = 8
    smooth_shallow: bool = True
    detail_channels: int = 0
    cascade_input: Literal["prediction", "features"] = "prediction"
    fusion: str = ""
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.detail_channels and self.map_stride != FINE_STRIDE:
            raise ConfigError(
                f"model.detail_channels: needs model.map_stride = {FINE_STRIDE}, got {self.map_stride}"
            )

    @property
    def has_detection(self) -> bool:
        """Whether there is a detection head."""
        return self.task != "segmentation"

    @property
    def has_segmentation(self) -> bool:
        """Whether there is a segmentation head."""
        return self.task != "detection"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig:
    """How raw outputs become detections and a class map, inside the exported graph.

    Attributes:
        candidates: cells of the highest score that are decoded.
        max_detections: K, boxes of the output.
        nms_iou: a box of higher score and the same class that overlaps more than this suppresses, in [0, 1].
        mask: form of the box mask, in `perception.models.masks.MASKS`: ``hard`` as the original has it, ``soft``, or ``none``.
        mask_threshold: tau, boxes of at least this score cut the road, in [0, 1].
        lidar: whether a network with a second input is given what its scanner measured; if not, it works as without one.
        mask_strength: for ``soft``: what a box of score 1 takes from the logit of road, for each box class.
    """

    candidates: int = 200
    max_detections: int = 100
    nms_iou: float = 0.6
    mask: str = "hard"
    mask_threshold: float = 0.4
    mask_strength: tuple[float, ...] = (3.0, 0.0, 0.0)
    lidar: bool = True

    def __post_init__(self) -> None:
        if len(self.mask_strength) != len(BOX_CLASSES) or min(self.mask_strength) < 0:
            raise ConfigError(
                f"graph.mask_strength: expected {len(BOX_CLASSES)} numbers from 0 on, of {BOX_CLASSES}, got {self.mask_strength}"
            )
