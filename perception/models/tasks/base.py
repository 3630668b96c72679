"""What a task beside the cascade's is, and what several of them are made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.core.camera import Camera
from perception.core.geometry import Letterbox, box_iou, map_to_frame
from perception.core.types import Float32, UInt8
from perception.models.heads.detection import Boxes
from perception.models.heads.segmentation import FineDetail
from perception.models.layers import conv_block
from perception.models.neck import Pyramid

FINE_STRIDE = 4  # px of a cell of what `PixelDecoder` gives
OBJECT_STRIDE = 8  # the same for `ObjectDecoder`
DETAIL_CHANNELS = 16
MATCH_IOU = 0.5  # a found box stands for a labelled one that it overlaps this much
Arrays = Mapping[str, NDArray[Any]]


class Seen(NamedTuple):
    """What every task looks at.

    Attributes:
        pyramid: the neck's maps, ``float[N, C, H/s, W/s]``, s = 8, 16, 32.
        fine: the backbone's map of stride 4.
    """

    pyramid: Pyramid
    fine: Tensor


class Found(NamedTuple):
    """What the cascade found before the tasks' outputs are decoded.

    Attributes:
        boxes: ``None`` in a network without a detection head.
        class_map: ``uint8[N, H, W]``, or ``None``.
    """

    boxes: Boxes | None
    class_map: Tensor | None


class LabelledBatch(Protocol):
    """What losses read; `perception.training.losses.base.Batch` has it.

    Attributes:
        class_map: ``uint8[N, H, W]`` of classes, groups and ignore.
        boxes_xyxy: N tensors ``float32[K_i, 4]``, px.
        class_ids: N tensors ``int64[K_i]``.
        focal_px: ``float32[N]``: px that a metre at a distance of a metre covers; NaN where it is not known.
        further: name in `perception.core.labels.FURTHER_LABELS` -> ``[N, H, W]`` of pixels, ``[N]`` of frames, or N tensors of boxes
            and points; names that no frame of the batch has are absent.
    """

    @property
    def class_map(self) -> Tensor: ...  # noqa: D102 (above)
    @property
    def boxes_xyxy(self) -> tuple[Tensor, ...]: ...  # noqa: D102
    @property
    def class_ids(self) -> tuple[Tensor, ...]: ...  # noqa: D102
    @property
    def focal_px(self) -> Tensor: ...  # noqa: D102
    @property
    def further(self) -> Mapping[str, Any]: ...  # noqa: D102


class LabelledObjects(Protocol):
    """The labelled boxes of a frame, see `perception.datasets.base.BoxLabels`."""

    @property
    def boxes_xyxy(self) -> Float32: ...  # noqa: D102
    @property
    def class_ids(self) -> NDArray[np.int64]: ...  # noqa: D102


class LabelledFrame(Protocol):
    """What scores read; `perception.datasets.base.Sample` has it."""

    @property
    def class_map(self) -> UInt8 | None: ...  # noqa: D102
    @property
    def boxes(self) -> LabelledObjects | None: ...  # noqa: D102
    @property
    def camera(self) -> Camera | None: ...  # noqa: D102
    @property
    def further(self) -> Arrays: ...  # noqa: D102


class Score(ABC):
    """Figures of one task, over frames."""

    @abstractmethod
    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """Take in one frame; one without the task's labels counts for nothing.

        Args:
            outputs: of the graph for this frame, without the axis of the batch, in the pixels of the frame.
            frame: its labels.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The figures by name; empty where no frame had labels."""


# takes an output of one frame from the pixels of the model input to those of the frame
Restore = Callable[[NDArray[Any], Letterbox], NDArray[Any]]


class Task(nn.Module, ABC):
    """One task: what it learns from, its module, its loss, its decoder and its score.

    Its class takes the channels of the neck's maps and of the backbone's map of stride 4.

    Attributes:
        labels: in `perception.core.labels.FURTHER_LABELS`, what a data set is asked for when the task is trained.
        outputs: names of the graph's outputs, and how each is mapped back to the frame.
        needs: heads of the cascade that its decoder reads: ``detection``, ``segmentation``.
    """

    labels: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[Mapping[str, Restore]]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def forward(self, seen: Seen) -> Tensor:
        """The raw output."""

    @abstractmethod
    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """Named terms; none where nothing in the batch is labelled for it."""

    @abstractmethod
    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """The outputs of the graph, in plain tensor arithmetic."""

    @staticmethod
    @abstractmethod
    def score() -> Score:
        """A fresh score."""


def as_task(module: nn.Module) -> Task:
    """A member of torch's untyped collection of modules, as what it is."""
    if not isinstance(module, Task):
        raise TypeError(f"expected a Task, got {type(module).__name__}")
    return module


class PixelDecoder(nn.Module):
    """A map of stride 4: the neck's largest map, seen once more, with the fine detail of the backbone.

    Args:
        channels: of the neck's maps.
        fine_channels: of the backbone's map of stride 4.
        outputs: channels that come out.
    """

    def __init__(self, channels: int, fine_channels: int, outputs: int) -> None:
        super().__init__()
        self.see = conv_block(channels, channels)
        self.detail = FineDetail(channels, fine_channels, DETAIL_CHANNELS)
        self.predict = nn.Conv2d(DETAIL_CHANNELS, outputs, 1)

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, outputs, H/4, W/4]``."""
        found: Tensor = self.predict(self.detail(self.see(seen.pyramid[0]), seen.fine))
        return found


class ObjectDecoder(nn.Module):
    """A map of stride 8 that is read at the middles of boxes: what a cell says is about the object whose middle it holds.

    Args:
        channels: of the neck's maps.
        outputs: channels that come out.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.see = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))
        self.predict = nn.Conv2d(channels, outputs, 1)

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, outputs, H/8, W/8]``."""
        found: Tensor = self.predict(self.see(seen.pyramid[0]))
        return found


def at_boxes(raw: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Read a map of stride 8 at the cells that hold the middles of boxes.

    Args:
        raw: ``float[N, C, H/8, W/8]``.
        boxes_xyxy: ``float[N, K, 4]``, px.

    Returns:
        ``float[N, K, C]``.
    """
    height, width = raw.shape[2:]
    middle = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) * (0.5 / OBJECT_STRIDE)
    column = middle[..., 0].long().clamp(min=0, max=width - 1)
    row = middle[..., 1].long().clamp(min=0, max=height - 1)
    cell = (row * width + column).unsqueeze(2).expand(-1, -1, raw.shape[1])
    return raw.flatten(2).transpose(1, 2).gather(1, cell)


def boxes_of(raw: Tensor, batch: LabelledBatch) -> Tensor:
    """The raw output at all labelled boxes of a batch, frame after frame: ``float[sum K_i, C]``."""
    rows = [at_boxes(raw[i : i + 1], boxes[None])[0] for i, boxes in enumerate(batch.boxes_xyxy)]
    return torch.cat(rows).float()


def match_labelled(outputs: Arrays, frame: LabelledFrame) -> tuple[NDArray[np.int64], int]:
    """Which found box stands for which labelled one.

    Returns:
        ``int64[K]``: for each labelled box the row of the found one that overlaps it most, -1 where none does by `MATCH_IOU` or is of
        its class; and K.
    """
    if frame.boxes is None or not len(frame.boxes.boxes_xyxy):
        return np.zeros(0, np.int64), 0
    overlap = box_iou(frame.boxes.boxes_xyxy, outputs["boxes_xyxy"].astype(np.float32))
    overlap *= frame.boxes.class_ids[:, None] == outputs["class_ids"][None]
    best = overlap.argmax(axis=1)
    return np.where(overlap.max(axis=1) >= MATCH_IOU, best, -1), len(best)


def as_it_is(value: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    """What has no place in the frame."""
    del box
    return value


def nearest_map(value: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    """``uint8[H, W]`` of classes or numbers: each pixel of the frame takes what stands at its own centre."""
    return map_to_frame(_content(value, box), box.frame_wh)


def linear_map(value: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    """``[H, W]`` of quantities."""
    return cv2.resize(_content(value, box), box.frame_wh, interpolation=cv2.INTER_LINEAR)


def density_map(value: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    """``[H, W]`` of px a metre: a frame that was made smaller for the model has more of them."""
    return linear_map(value, box) / np.float32(box.scale_xy[0])


def points_back(value: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    """``[K, P, 3]``: x and y in px, and a score."""
    return value / np.array([*box.scale_xy, 1.0], np.float32)


def _content(value: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    """The map without what lies under the padding."""
    width, height = box.content_wh
    return np.ascontiguousarray(value[:height, :width])
