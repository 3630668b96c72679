"""Results as a Rerun recording (``.rrd``): the picture, the class map over it, boxes, the road's outline, and the age as a curve.

Entities: ``camera/image`` (JPEG), ``camera/classes`` (the class map, by name), ``camera/boxes``, ``camera/road``, ``camera/age_ms``, with a camera file ``camera/ground`` and ``camera/free_distance_m``; several cameras have
``camera_0/image`` and so on, each. Timelines: ``frame`` (the source's own count) and ``stream`` (seconds since the first frame).
"""

import os
import threading
import time
from pathlib import Path
from uuid import uuid4

import cv2
import numpy as np
import rerun as rr

from perception.core.errors import OutputError
from perception.core.types import Scene
from perception.sinks.base import JPEG_QUALITY, Sink, SinkContext, StreamClock
from perception.sinks.files import SdkFile
from perception.sinks.overlay import BOXES_BGR, TEXT_BGR, TINT, build_style, distance_texts

FLUSH_S = 10.0  # a disk that takes longer for one result has failed
PIPE_BYTES = 1 << 16


class RerunSink(Sink):
    """Writes one recording, which Rerun's viewer opens, also while it is being written.

    Args:
        path: of the file; it is replaced.
        context: names of the classes, and what is known of the cameras.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(self, path: Path, context: SinkContext) -> None:
        self._path = path
        self._classes = context.box_classes
        self._clock = StreamClock(context)
        self._cameras = context.camera_names
        self._file = SdkFile(path)
        # an identity of its own: two runs of one process are two recordings
        self._recording: rr.RecordingStream | None = rr.RecordingStream(
            "perception", recording_id=uuid4()
        )
        # The SDK never ends once its file has failed: it gets a pipe, which does not.
        outlet, inlet = os.pipe()
        self._copying = threading.Thread(target=self._copy, args=(outlet,), daemon=True)
        self._copying.start()
        self._recording.save(f"/proc/self/fd/{inlet}")
        os.close(inlet)  # it has one of its own now
        colours = build_style(context.box_classes, context.map_classes).colours[:, 0, ::-1]
        named = [
            rr.AnnotationInfo(index, name, colours[index].tolist())
            for index, name in enumerate(context.map_classes)
        ]
        for camera in self._cameras:
            self._recording.log(f"{camera}/classes", rr.AnnotationContext(named), static=True)

    def write(self, scene: Scene) -> None:
        """Write one scene; nothing of it is held back."""
        if self._recording is None:
            raise OutputError(f"{self._path}: the recording is closed")
        log, found = self._recording.log, scene.detections
        camera = self._cameras[scene.frame.camera]
        self._recording.set_time("frame", sequence=scene.frame.frame_id)
        self._recording.set_time("stream", duration=self._clock.since_first_ns(scene.frame) / 1e9)
        jpeg = cv2.imencode(".jpg", scene.frame.image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
        log(f"{camera}/image", rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg"))
        log(f"{camera}/classes", rr.SegmentationImage(scene.class_map, opacity=TINT))
        boxes = rr.Boxes2D(
            array=found.boxes_xyxy,
            array_format=rr.Box2DFormat.XYXY,
            colors=[BOXES_BGR[i % len(BOXES_BGR)][::-1] for i in found.class_ids.tolist()],
            labels=self._labels(scene),
        )
        log(f"{camera}/boxes", boxes)
        rings = [[*polygon.tolist(), polygon[0].tolist()] for polygon in scene.road_outline]
        log(f"{camera}/road", rr.LineStrips2D(rings, colors=TEXT_BGR))
        log(f"{camera}/age_ms", rr.Scalars((time.monotonic_ns() - scene.frame.captured_ns) / 1e6))
        if (ground := scene.ground) is not None:
            # metres from above, ahead is up: the viewer's y points down
            road = [(polygon * (1, -1)).tolist() for polygon in ground.road_xz_m]
            log(f"{camera}/ground/road", rr.LineStrips2D([[*p, p[0]] for p in road]))
            log(
                f"{camera}/ground/boxes",
                rr.Points2D(ground.feet_xz_m[np.isfinite(ground.feet_xz_m[:, 1])] * (1, -1)),
            )
            if ground.free is not None:
                log(f"{camera}/free_distance_m", rr.Scalars(ground.free.free_m))
        try:
            self._recording.flush(timeout_sec=FLUSH_S)
        except RuntimeError as error:
            raise OutputError(f"{self._path}: writing stopped: {error}") from error
        self._file.check()

    def close(self) -> None:
        """Write the index and finish the file; a second call does nothing."""
        if self._recording is None:
            return
        self._recording.disconnect()
        self._recording = None  # the last hold on the pipe
        self._copying.join(FLUSH_S)
        if self._copying.is_alive():
            raise OutputError(f"{self._path}: writing did not end within {FLUSH_S:g} s")
        self._file.close()
        self._file.check()

    def _copy(self, outlet: int) -> None:
        """Body of the thread: from the pipe to the file, to the pipe's end."""
        with open(outlet, "rb", buffering=0) as pipe:
            while data := pipe.read(PIPE_BYTES):
                self._file.write(data)

    def _labels(self, scene: Scene) -> list[str]:
        found = scene.detections
        names = [self._classes[class_id] for class_id in found.class_ids.tolist()]
        ids = [-1] * len(found) if scene.tracks is None else scene.tracks.ids.tolist()
        return [
            f"{name} {score:.2f}{metre}" if track < 0 else f"{name} #{track} {score:.2f}{metre}"
            for name, score, track, metre in zip(
                names, found.scores.tolist(), ids, distance_texts(scene), strict=True
            )
        ]
