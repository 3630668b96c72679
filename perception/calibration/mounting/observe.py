"""What each picture of a drive tells of the mounting, kept as rays until pitch is known."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from perception.calibration.mounting.cues.lines import vanishing_point
from perception.calibration.mounting.cues.motion import Motion, angles_of, find_motion
from perception.calibration.mounting.cues.tracks import find_segments, follow_points, to_rays
from perception.core.camera import Camera
from perception.core.types import Float64, Frame, Scene, UInt8

PAIR_S = 0.1  # between the two pictures of a pair, or the source's own step where it is longer
STANDING_PX = 0.7  # median way of the points in a pair
LARGEST_TURN_DEG_S = 4.0  # faster is no straight stretch
LARGEST_SIGMA_DEG = 1.0  # of a pair's direction of travel
LEAST_POINTS = 40
LOWER_SHARE = 0.55  # of the frame: without an engine, road is looked for below this
FRAMES_A_LOOK = 3  # pairs for each call of the engine: what it sees changes slowly

Look = Callable[[Frame], Scene]


class RoadPoints(NamedTuple):
    """Points on the road in one pair; as `height_per_metre` takes them."""

    time_s: float
    step_s: float
    before: Float64
    after: Float64
    motion: Motion


class CarBoxes(NamedTuple):
    """Boxes of vehicles in one picture; as `heights_from_boxes` takes them."""

    time_s: float
    boxes_xyxy: Float64
    edges: Float64


@dataclass(slots=True, eq=False)
class Seen:
    """Everything found so far.

    Attributes:
        frames: read.
        refused: pairs without use, by the reason.
        motions: (time in s, pitch, yaw in deg) of each straight pair.
        lines: the same from lane lines and road borders.
        road, boxes: for the height.
        picture: one frame in the middle of a straight stretch, for the report.
    """

    frames: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    motions: list[tuple[float, float, float]] = field(default_factory=list)
    lines: list[tuple[float, float, float]] = field(default_factory=list)
    road: list[RoadPoints] = field(default_factory=list)
    boxes: list[CarBoxes] = field(default_factory=list)
    picture: UInt8 | None = None


class Observer:
    """Takes frames in order and fills a `Seen`.

    Args:
        camera: at the size of the frames.
        fps: of the source, for frames without times.
        look: the engine, or ``None``: then road is the lower part of the frame and there are no boxes.
        road_class: index of the road in the class map.
        vehicle_class: index of vehicles among the boxes' classes.
    """

    def __init__(
        self, camera: Camera, fps: float, look: Look | None, road_class: int, vehicle_class: int
    ) -> None:
        self.seen = Seen()
        self._camera, self._fps, self._look = camera, fps, look
        self._classes = road_class, vehicle_class
        self._waiting: deque[tuple[float, Frame, UInt8]] = deque()
        self._scene: Scene | None = None
        self._pairs = 0
        self._random = np.random.default_rng(0)

    def add(self, frame: Frame) -> None:
        """Look at one more frame."""
        self.seen.frames += 1
        time_s = frame.frame_id / self._fps if frame.stream_s is None else frame.stream_s
        gray = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8)
        self._waiting.append((time_s, frame, gray))
        if time_s - self._waiting[0][0] < PAIR_S - 0.5 / self._fps:
            return
        first_s, first, before = self._waiting[0]
        self._waiting.clear()
        self._waiting.append((time_s, frame, gray))
        self._pair(first, before, gray, first_s, time_s - first_s)

    def _pair(
        self, frame: Frame, before: UInt8, after: UInt8, time_s: float, step_s: float
    ) -> None:
        fresh = self._look is not None and self._pairs % FRAMES_A_LOOK == 0
        if self._look is not None and fresh:
            self._scene = self._look(frame)
        self._pairs += 1
        road, others = self._masks(before)
        start, end = follow_points(before, after, (others, road))
        reason, motion = self._motion(start, end, step_s)
        if motion is None:
            self.seen.refused[reason] += 1
            return
        pitch, yaw = angles_of(motion.direction, self._camera.roll_deg)
        self.seen.motions.append((time_s, pitch, yaw))
        self._lines(before, road, time_s)
        on_road = road[tuple(np.clip(start.astype(int), 0, np.array(before.shape[::-1]) - 1).T[::-1])] > 0  # fmt: skip
        rays = to_rays(self._camera, start[on_road]), to_rays(self._camera, end[on_road])
        self.seen.road.append(RoadPoints(time_s, step_s, *rays, motion))
        if fresh:
            self._cars(time_s)
        if self.seen.picture is None or len(self.seen.motions) == 20:
            self.seen.picture = frame.image.copy()

    def _motion(self, start: Float64, end: Float64, step_s: float) -> tuple[str, Motion | None]:
        """Why not, or the motion."""
        if len(start) < LEAST_POINTS:
            return "too few points to follow", None
        if np.median(np.hypot(*(end - start).T)) < STANDING_PX:
            return "standing", None
        before, after = to_rays(self._camera, start), to_rays(self._camera, end)
        known = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
        motion = find_motion(before[known], after[known], self._camera.fx_px)
        if motion is None or np.degrees(motion.sigma_rad) > LARGEST_SIGMA_DEG:
            return "no clear direction of travel", None
        if motion.turn_deg > LARGEST_TURN_DEG_S * step_s + 0.3:  # shake turns too
            return "turning", None
        return "", motion

    def _masks(self, gray: UInt8) -> tuple[UInt8, UInt8]:
        """Road, and what is not road and does not move by itself; ``uint8[H, W]`` each."""
        road = np.zeros(gray.shape, np.uint8)
        if self._scene is None:
            road[int(LOWER_SHARE * len(road)) :] = 255
            return road, np.asarray(255 - road, np.uint8)
        road[self._scene.class_map == self._classes[0]] = 255
        road = np.asarray(cv2.dilate(road, np.ones((5, 5), np.uint8)), np.uint8)
        others = np.asarray(255 - road, np.uint8)
        for x1, y1, x2, y2 in self._scene.detections.boxes_xyxy.astype(int):
            others[y1 : y2 + 1, x1 : x2 + 1] = 0
        return road, others

    def _lines(self, gray: UInt8, road: UInt8, time_s: float) -> None:
        segments = find_segments(gray, road)
        starts, ends = (to_rays(self._camera, part) for part in (segments[:, :2], segments[:, 2:]))
        found = vanishing_point(starts, ends, self._random)
        if found is not None:
            self.seen.lines.append((time_s, *angles_of(found[0], self._camera.roll_deg)))

    def _cars(self, time_s: float) -> None:
        if self._scene is None:
            return
        detections = self._scene.detections
        boxes = detections.boxes_xyxy[detections.class_ids == self._classes[1]].astype(np.float64)
        if not len(boxes):
            return
        x1, _, x2, y2 = boxes.T
        feet = np.stack([np.stack([x, y2], axis=1) for x in (x1, x2, (x1 + x2) / 2)], axis=1)
        edges = to_rays(self._camera, feet.reshape(-1, 2)).reshape(-1, 3, 3)
        self.seen.boxes.append(CarBoxes(time_s, boxes, edges))
