"""The network: backbone -> neck -> heads, in the order of the cascade."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.models.backbones import BACKBONES
from perception.models.config import ModelConfig
from perception.models.fusion import FUSIONS, LABEL, Fusion, as_planes
from perception.models.heads import HEADS
from perception.models.heads.detection import BOX_CHANNELS, DetectionMaps
from perception.models.neck import FeaturePyramid
from perception.models.tasks import TASKS
from perception.models.tasks.base import Seen, Task


class MultiTaskOutput(NamedTuple):
    """What the heads give; ``None`` for a head that the network lacks.

    Attributes:
        detection: maps of the detection head.
        class_logits: ``float[N, C, H/s, W/s]`` for the configured ``map_stride`` s.
        further: task -> its raw output.
        features: the backbone's maps at strides 8, 16 and 32.
    """

    detection: DetectionMaps | None
    class_logits: Tensor | None
    further: dict[str, Tensor]
    features: Sequence[Tensor]


class MultiTaskModel(nn.Module):
    """One network for boxes, a class map and whatever further tasks it is given.

    Args:
        config: which parts.
        box_classes, map_classes: number of classes of either head.

    Raises:
        ConfigError: an unknown part, or a further task that needs a head that the network lacks.
    """

    def __init__(
        self,
        config: ModelConfig,
        box_classes: int = len(BOX_CLASSES),
        map_classes: int = len(MAP_CLASSES),
    ) -> None:
        super().__init__()
        self.config = config
        width = config.neck_channels
        self.backbone = BACKBONES[config.backbone](config.pretrained)
        fine_channels, *deeper = self.backbone.out_channels
        self.fusion: Fusion | None = None
        if config.fusion:
            self.fusion = FUSIONS[config.fusion](self.backbone.out_channels)
        self.neck = FeaturePyramid(deeper, width, smooth_shallow=config.smooth_shallow)
        self.heads = nn.ModuleDict()
        if config.has_detection:
            self.heads["detection"] = HEADS["detection"](width, box_classes)
        if config.has_segmentation:
            seen = width if config.cascade_input == "features" else BOX_CHANNELS + 1 + box_classes
            cascade_channels = seen if config.task == "cascade" else 0
            self.heads["segmentation"] = HEADS["segmentation"](
                width,
                map_classes,
                cascade_channels,
                stride=config.map_stride,
                fine_channels=fine_channels if config.detail_channels else 0,
                detail_channels=config.detail_channels,
            )
        self.tasks = nn.ModuleDict()
        for name in config.further:
            task: Task = TASKS[name](width, fine_channels)
            if missing := [head for head in task.needs if head not in self.heads]:
                raise ConfigError(
                    f"model.further: {name!r} needs {missing}, which model.task {config.task!r} lacks; use model.task = 'cascade'"
                )
            self.tasks[name] = task

    def forward(self, frame: Tensor, lidar: Tensor | None = None) -> MultiTaskOutput:
        """Run the network.

        Args:
            frame: ``uint8[N, H, W, 3]``; H and W are multiples of 32.
            lidar: ``float32[N, H, W]``, px a metre, 0 where nothing was measured (`perception.models.fusion.density`); only for a network
                with a second input, and ``None`` where its scanner gives nothing.
        """
        fine, *deeper = self._features(frame, lidar)  # maps at strides 4, and 8, 16, 32
        pyramid = self.neck(deeper)  # maps of neck_channels at strides 8, 16, 32
        objects = self.heads["detection"](pyramid) if "detection" in self.heads else None
        view = Seen(pyramid, fine)
        further = {name: task(view) for name, task in self.tasks.items()}
        if "segmentation" not in self.heads:
            return MultiTaskOutput(objects, None, further, deeper)
        seen = None  # the cascade: segmentation sees the objects
        if self.config.task == "cascade" and objects is not None:
            as_features = self.config.cascade_input == "features"
            seen = objects.features if as_features else objects.predictions
        class_logits = self.heads["segmentation"](pyramid, seen, fine)
        return MultiTaskOutput(objects, class_logits, further, deeper)

    def _features(self, frame: Tensor, lidar: Tensor | None) -> Sequence[Tensor]:
        if self.fusion is None:
            maps: Sequence[Tensor] = self.backbone(frame)
            return maps
        if lidar is None:
            lidar = torch.zeros(frame.shape[:3], device=frame.device)
        planes = as_planes(lidar)
        return self.fusion.maps(planes, self.backbone(frame, self.fusion.image(planes)))


def wanted_labels(config: ModelConfig) -> frozenset[str]:
    """What a data set is asked for besides boxes and class maps when such a network is trained or scored."""
    labels = {label for name in config.further for label in TASKS[name].labels}
    return frozenset(labels | ({LABEL} if config.fusion else set()))
