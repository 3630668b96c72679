"""What crosses folder borders at run time: frozen records that check themselves. Empty is a valid value.

Pixels are continuous: a frame of width W spans x in [0, W]; the pixel in column i covers [i, i + 1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import check_array

UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Int16 = NDArray[np.int16]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

# The one place that says how colours are ordered in every uint8 image of this software: as OpenCV and cameras give
# them. The network turns them itself, inside the exported graph.
CHANNEL_ORDER = "BGR"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What a detector should find in a frame, where somebody knows.

    Attributes:
        boxes_xyxy: ``float32[K, 4]``, px of the frame.
        class_ids: ``int64[K]``, index into `perception.core.labels.BOX_CLASSES`.
    """

    boxes_xyxy: Float32
    class_ids: Int64

    def __post_init__(self) -> None:
        check_array("Truth.boxes_xyxy", self.boxes_xyxy, np.float32, (None, 4))
        check_array("Truth.class_ids", self.class_ids, np.int64, (len(self.boxes_xyxy),))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and when it was taken.

    Attributes:
        image: ``uint8[H, W, 3]``, channels in `CHANNEL_ORDER`.
        frame_id: number in the source's own count; a gap means frames that were dropped.
        captured_ns: `time.monotonic_ns` when the picture left the camera, or when its reading began.
        stream_s: the source's own timestamp in seconds, ``None`` where it has none.
        truth: of a synthetic drive; ``None`` where nobody knows. No stage may look at it.
        camera: which one of the run's took it, from 0 in the order in which they were named.
    """

    image: UInt8
    frame_id: int
    captured_ns: int
    stream_s: float | None = None
    truth: Truth | None = None
    camera: int = 0

    def __post_init__(self) -> None:
        check_array("Frame.image", self.image, np.uint8, (None, None, 3))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """K boxes found in one frame, best first.

    Attributes:
        boxes_xyxy: ``float32[K, 4]``, px of the frame, ``0 <= x1 <= x2 <= W``, same for y.
        scores: ``float32[K]`` in ``[0, 1]``, descending.
        class_ids: ``int64[K]``, index into the engine's box classes.
    """

    boxes_xyxy: Float32
    scores: Float32
    class_ids: Int64

    def __post_init__(self) -> None:
        check_array("Detections.boxes_xyxy", self.boxes_xyxy, np.float32, (None, 4))
        check_array("Detections.scores", self.scores, np.float32, (len(self.boxes_xyxy),))
        check_array("Detections.class_ids", self.class_ids, np.int64, (len(self.boxes_xyxy),))

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Which object each box of a scene is, and how it moves; one row a box, in their order.

    Attributes:
        ids: ``int64[K]``, the same for one object in every frame of a run, from 0; -1 where the box is of no track yet.
        velocities_xyxy: ``float32[K, 4]``, px a second of each edge; 0 where there is no track.
    """

    ids: Int64
    velocities_xyxy: Float32

    def __post_init__(self) -> None:
        check_array("Tracks.ids", self.ids, np.int64, (None,))
        check_array("Tracks.velocities_xyxy", self.velocities_xyxy, np.float32, (len(self.ids), 4))


@dataclass(frozen=True, slots=True)
class Seen:
    """The frame in which something was seen.

    Attributes:
        frame_id: number in the source's own count.
        captured_ns: `time.monotonic_ns` of its capture.
    """

    frame_id: int
    captured_ns: int


@dataclass(frozen=True, slots=True)
class FreeDistance:
    """How far the road ahead is free, within a corridor straight ahead of the vehicle.

    Attributes:
        free_m: to the end, along z, m.
        interval_m: 95 % interval of it, m; infinite above where nothing was in the way.
        corridor_m: width of the corridor, m.
        ended_by: what is at the end: ``"box"``: the foot of a box; ``"not road"``: another class; ``"view"``: nothing seen, the road is free as far as
            distances are known.
    """

    free_m: float
    interval_m: tuple[float, float]
    corridor_m: float
    ended_by: str


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where what was seen stands on the road, under the assumption that the road is a plane. (x, z) in m of the camera's road frame: x right, z forward.

    Attributes:
        feet_xz_m: ``float64[K, 2]``, of the boxes, in their order; NaN where unknown.
        intervals_m: ``float64[K, 2]``: 95 % interval of z; infinite above where it has no end; NaN where unknown.
        unknown: why a box has no distance; empty where it has one.
        widths_m: ``float64[K]``, of the boxes at their distance; NaN where unknown.
        road_xz_m: polygons ``float32[P, 2]`` around the road, up to `farthest_m`.
        farthest_m: z beyond which a distance is less sure than it is long.
        free: ahead of the vehicle; ``None`` where the engine knows no road, or the camera does not see the corridor.
    """

    feet_xz_m: Float64
    intervals_m: Float64
    unknown: tuple[str, ...]
    widths_m: Float64
    road_xz_m: tuple[Float32, ...]
    farthest_m: float
    free: FreeDistance | None

    def __post_init__(self) -> None:
        boxes = len(self.unknown)
        check_array("Ground.feet_xz_m", self.feet_xz_m, np.float64, (boxes, 2))
        check_array("Ground.intervals_m", self.intervals_m, np.float64, (boxes, 2))
        check_array("Ground.widths_m", self.widths_m, np.float64, (boxes,))
        for polygon in self.road_xz_m:
            check_array("Ground.road_xz_m", polygon, np.float32, (None, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What was seen in one frame, in the pixels of that frame.

    Attributes:
        frame: the picture it was seen in.
        detections: boxes of score at least the engine's score threshold.
        class_map: ``uint8[H, W]``, index into the engine's map classes, after the box mask; 255 where an undistorted view leaves
            the frame out.
        road_outline: polygons ``float32[P, 2]`` (px) around the road, largest first.
        finished_ns: `time.monotonic_ns` when the result was ready for the sinks.
        tracks: of the boxes; ``None`` where nobody tracks.
        map_seen: the frame of `class_map` and `road_outline` where each frame has its own choice of heads: an earlier one where
            they are carried. ``None``: every head runs on every frame, so they are of this one.
        ground: where it stands on the road; ``None`` where the camera is not known.
    """

    frame: Frame
    detections: Detections
    class_map: UInt8
    road_outline: tuple[Float32, ...]
    finished_ns: int
    tracks: Tracks | None = None
    map_seen: Seen | None = None
    ground: Ground | None = None

    def __post_init__(self) -> None:
        check_array("Scene.class_map", self.class_map, np.uint8, self.frame.image.shape[:2])
        for polygon in self.road_outline:
            check_array("Scene.road_outline", polygon, np.float32, (None, 2))
