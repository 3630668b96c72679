"""How a frame is fitted into the engine's input, the inverse of that, and box arithmetic.

The fit keeps the aspect ratio and pads on the right and at the bottom, so frame and model share their origin.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import cv2
import numpy as np

from perception.core.errors import ConfigError
from perception.core.types import Float32, Float64, UInt8

PADDING_VALUE = 114  # of every channel of the padding, in training and in the car
SIZE_MULTIPLE = 32  # the deepest stride of the network: engine sizes are multiples of it


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The record of one fit: needed, and enough, to map results back.

    Attributes:
        frame_wh: size of the frame, px.
        content_wh: size of the resized frame inside the model input, px.
        model_wh: size of the model input, px; what lies outside the content is padding.
    """

    frame_wh: tuple[int, int]
    content_wh: tuple[int, int]
    model_wh: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Model px per frame px, for x and y (they differ by the rounding of `content_wh`)."""
        return self.content_wh[0] / self.frame_wh[0], self.content_wh[1] / self.frame_wh[1]


def fit_letterbox(frame_wh: tuple[int, int], model_wh: tuple[int, int]) -> Letterbox:
    """Fit a frame into the model input: never enlarged, aspect kept, padded right and below."""
    scale = min(model_wh[0] / frame_wh[0], model_wh[1] / frame_wh[1], 1.0)
    content = tuple(
        max(1, min(round(n * scale), m)) for n, m in zip(frame_wh, model_wh, strict=True)
    )
    return Letterbox(frame_wh, (content[0], content[1]), model_wh)


def shrink_sizes(from_wh: tuple[int, int], to_wh: tuple[int, int]) -> list[tuple[int, int]]:
    """The sizes, px, through which `perception.stages.preprocess.shrink` goes; none where both are the same."""
    width, height = from_wh
    sizes = []
    while width > 2 * to_wh[0] or height > 2 * to_wh[1]:
        width = max(to_wh[0], (width + 1) // 2)
        height = max(to_wh[1], (height + 1) // 2)
        sizes.append((width, height))
    return sizes if (width, height) == to_wh else [*sizes, to_wh]


def choose_model_size(frame_wh: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The engine size for frames of this size: the frame rounded up to multiples of 32.

    Frames of more than `max_pixels` are first scaled down to about that many, aspect kept; the rounding up then adds
    less than 32 px to each side.
    """
    scale = min(1.0, sqrt(max_pixels / (frame_wh[0] * frame_wh[1])))
    width, height = (
        SIZE_MULTIPLE * max(1, ceil(round(n * scale) / SIZE_MULTIPLE)) for n in frame_wh
    )
    return width, height


def parse_size(text: str, multiple: int = SIZE_MULTIPLE) -> tuple[int, int]:
    """Read ``"WxH"``; raise `ConfigError` unless both are positive multiples of `multiple`."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() for p in parts):
        raise ConfigError(f"size {text!r}: expected WIDTHxHEIGHT, for example 1248x384")
    width, height = int(parts[0]), int(parts[1])
    if min(width, height) < multiple or width % multiple or height % multiple:
        up = "x".join(str(multiple * max(1, ceil(n / multiple))) for n in (width, height))
        raise ConfigError(f"size {text!r}: both must be multiples of {multiple}; try {up}")
    return width, height


def boxes_to_model(boxes_xyxy: Float32, box: Letterbox) -> Float32:
    """Map ``float32[K, 4]`` boxes from frame px to model px."""
    boxes: Float32 = boxes_xyxy * np.array(box.scale_xy * 2, np.float32)
    return boxes


def boxes_to_frame(boxes_xyxy: Float32, box: Letterbox) -> Float32:
    """Map ``float32[K, 4]`` boxes from model px to frame px and clip them to the frame."""
    limit = np.array(box.frame_wh * 2, np.float32)
    boxes: Float32 = np.clip(boxes_xyxy / np.array(box.scale_xy * 2, np.float32), 0, limit)
    return boxes


def map_to_frame(content: UInt8, frame_wh: tuple[int, int]) -> UInt8:
    """Enlarge the content ``uint8[h, w]`` of a class map to frame px; each takes the class at its own centre."""
    if content.shape == (frame_wh[1], frame_wh[0]):
        return np.ascontiguousarray(content)
    # uint8 stays uint8
    return cv2.resize(content, frame_wh, interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[return-value]


def subdivide(polygon: Float64, longest: float) -> Float64:
    """A closed polygon ``[P, 2]`` with corners added so that no side is longer than `longest`: ``float64[Q, 2]``, Q >= P.

    What is then bent by a lens stays near its true course between them.
    """
    start = np.asarray(polygon, np.float64)
    edge = np.roll(start, -1, axis=0) - start
    parts = np.maximum(1, np.ceil(np.hypot(*edge.T) / longest)).astype(int)
    which = np.repeat(np.arange(len(start)), parts)
    first = np.repeat(np.cumsum(parts) - parts, parts)
    share = (np.arange(len(which)) - first) / parts[which]
    points: Float64 = start[which] + share[:, None] * edge[which]
    return points


def box_iou(a_xyxy: Float32, b_xyxy: Float32) -> Float32:
    """Intersection over union of every pair: ``[A, 4]``, ``[B, 4]`` -> ``float32[A, B]``; empty boxes give 0."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    area_a = (a_xyxy[:, 2:] - a_xyxy[:, :2]).prod(axis=1)
    area_b = (b_xyxy[:, 2:] - b_xyxy[:, :2]).prod(axis=1)
    union = area_a[:, None] + area_b[None] - overlap
    iou: Float32 = (overlap / np.maximum(union, 1e-9)).astype(np.float32)
    return iou
