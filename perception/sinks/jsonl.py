"""Results as JSON lines: one object a frame, units in the keys. A line that was written survives a kill."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from perception.core.errors import OutputError
from perception.core.types import Float32, Ground, Scene
from perception.sinks.base import Sink, SinkContext


class JsonlSink(Sink):
    """Writes a file, or adds nothing to it where no frame came.

    Args:
        path: of the file; it is replaced.
        context: names of the classes.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(self, path: Path, context: SinkContext) -> None:
        self._path = path
        self._classes = context.box_classes
        self._written = 0  # bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered: what the system has, a kill of this process cannot take back
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def write(self, scene: Scene) -> None:
        """Write one line."""
        line = json.dumps(scene_record(scene, self._classes), separators=(",", ":"))
        left = memoryview(f"{line}\n".encode())
        begin = self._written
        try:
            while left:
                count = self._file.write(left)
                self._written += count
                left = left[count:]
        except OSError as error:
            with suppress(OSError):  # the failure above is the one to tell
                self._file.truncate(begin)  # no half line stays behind
            raise OutputError(
                f"{self._path}: writing stopped: {error.strerror}; lines before it are kept"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def scene_record(scene: Scene, box_classes: tuple[str, ...]) -> dict[str, Any]:
    """One result as plain values: times in s, ns and ms as their keys say, places in px of the frame."""
    frame, found, tracks = scene.frame, scene.detections, scene.tracks
    now_ns = time.monotonic_ns()
    boxes: list[dict[str, Any]] = [
        {"xyxy_px": xyxy, "class": box_classes[class_id], "score": round(score, 4)}
        for xyxy, score, class_id in zip(
            _rounded(found.boxes_xyxy, 2),
            found.scores.tolist(),
            found.class_ids.tolist(),
            strict=True,
        )
    ]
    if tracks is not None:
        speeds = _rounded(tracks.velocities_xyxy, 1)
        for box, track_id, speed in zip(boxes, tracks.ids.tolist(), speeds, strict=True):
            box.update(track=track_id, velocity_xyxy_px_s=speed)
    if scene.ground is not None:
        _add_distances(boxes, scene.ground)
    record: dict[str, Any] = {
        "camera": frame.camera,
        "frame_id": frame.frame_id,
        "stream_s": frame.stream_s,
        "captured_ns": frame.captured_ns,
        "finished_ns": scene.finished_ns,
        "age_ms": round((now_ns - frame.captured_ns) / 1e6, 3),
        "size_wh_px": list(frame.size_wh),
        "boxes": boxes,
        "road_outline_px": [_rounded(polygon, 1) for polygon in scene.road_outline],
    }
    if scene.ground is not None:
        record.update(_ground_record(scene.ground))
    if (seen := scene.map_seen) is not None:
        age_ms = round((now_ns - seen.captured_ns) / 1e6, 3)
        record["map_seen"] = {
            "frame_id": seen.frame_id,
            "captured_ns": seen.captured_ns,
            "age_ms": age_ms,
        }
    return record


def _add_distances(boxes: list[dict[str, Any]], ground: Ground) -> None:
    for box, (x_m, z_m), interval, reason in zip(
        boxes, ground.feet_xz_m.tolist(), ground.intervals_m.tolist(), ground.unknown, strict=True
    ):
        if reason:
            box["no_distance"] = reason
        else:
            box.update(right_m=round(x_m, 2), ahead_m=round(z_m, 2), ahead_95_m=_bounds(interval))


def _ground_record(ground: Ground) -> dict[str, Any]:
    """The road in m, (right, ahead) of the camera's road frame, and the free distance."""
    record: dict[str, Any] = {
        "road_ground_m": [_rounded(polygon, 2) for polygon in ground.road_xz_m],
        "farthest_m": round(ground.farthest_m, 1),
    }
    if (free := ground.free) is not None:
        record.update(
            free_distance_m=round(free.free_m, 2),
            free_distance_95_m=_bounds(free.interval_m),
            free_distance_ended_by=free.ended_by,
            free_distance_corridor_m=free.corridor_m,
        )
    return record


def _bounds(interval_m: Sequence[float]) -> list[float | None]:
    """Two bounds; ``None`` where there is none: JSON knows no infinity."""
    return [round(bound, 2) if isfinite(bound) else None for bound in interval_m]


def _rounded(points: Float32, digits: int) -> list[list[float]]:
    # in float64: rounded float32 would be written with all their digits
    rounded: list[list[float]] = points.astype(float).round(digits).tolist()
    return rounded
