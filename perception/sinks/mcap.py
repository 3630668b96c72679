"""Results as an MCAP file, which Foxglove opens: pictures, boxes and road drawn over them, and each result whole.

Topics: ``/camera/image`` (foxglove.CompressedImage), ``/camera/found`` (foxglove.ImageAnnotations), ``/camera/classes`` (the class map in its
colours, PNG in a foxglove.CompressedImage), ``/results`` (JSON, as the sink ``jsonl`` writes it). Several cameras have ``/camera_0/image`` and
so on, each, and share ``/results``.
"""

import time
from pathlib import Path
from typing import Any

import cv2
import foxglove
from foxglove.channels import CompressedImageChannel, ImageAnnotationsChannel
from foxglove.messages import (
    Color,
    CompressedImage,
    ImageAnnotations,
    Point2,
    PointsAnnotation,
    PointsAnnotationType,
    TextAnnotation,
    Timestamp,
)

from perception.core.errors import OutputError
from perception.core.types import Float32, Scene
from perception.sinks.base import Sink, SinkContext
from perception.sinks.jsonl import scene_record
from perception.sinks.overlay import BOXES_BGR, TEXT_BGR, build_style

JPEG_QUALITY = 85
LINE_PX = 2.0
FONT_PX = 14.0
CAMERA = "camera"  # frame of reference of the pictures; of several cameras, with the number of each behind it


class McapSink(Sink):
    """Writes one MCAP file, timed as the source's own time stamps say, where it has them.

    Args:
        path: of the file; it is replaced.
        context: names of the classes.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(self, path: Path, context: SinkContext) -> None:
        self._path = path
        self._classes = context.box_classes
        self._style = build_style(context.box_classes, context.map_classes)
        self._began_ns = time.time_ns()
        self._first: tuple[int, float | None] | None = None
        self._by_capture = (
            context.cameras > 1 and context.fps is None
        )  # cameras share no other time
        self._open = True
        # the channels end with their context
        self._topics = topics = foxglove.Context()
        self._file = _File(path)
        self._writer: Any = foxglove.open_mcap(self._file, context=topics)  # type: ignore[arg-type]  # it asks for three methods
        names = (
            [CAMERA] if context.cameras == 1 else [f"{CAMERA}_{n}" for n in range(context.cameras)]
        )
        self._cameras = [_Channels(name, topics) for name in names]
        self._results = foxglove.Channel("/results", message_encoding="json", context=topics)

    def write(self, scene: Scene) -> None:
        """Write one scene."""
        at_ns = self._time_ns(scene)
        stamp = Timestamp(sec=at_ns // 10**9, nsec=at_ns % 10**9)
        coloured = cv2.applyColorMap(scene.class_map, self._style.colours)
        jpeg = cv2.imencode(".jpg", scene.frame.image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
        png = cv2.imencode(".png", coloured)[1]
        camera = self._cameras[scene.frame.camera]
        for channel, data, name in ((camera.image, jpeg, "jpeg"), (camera.classes, png, "png")):
            picture = CompressedImage(
                timestamp=stamp, frame_id=camera.name, data=data.tobytes(), format=name
            )
            channel.log(picture, log_time=at_ns)
        camera.found.log(self._annotations(scene, stamp), log_time=at_ns)
        self._results.log(scene_record(scene, self._classes), log_time=at_ns)
        if self._file.failure is not None:
            raise self._stopped(self._file.failure)

    def close(self) -> None:
        """Write the index and finish the file; a second call does nothing."""
        if not self._open:
            return
        self._open = False
        told = self._file.failure is not None
        self._writer.close()
        self._file.close()
        if self._file.failure is not None and not told:
            raise self._stopped(self._file.failure)

    def _stopped(self, failure: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: writing stopped: {failure.strerror}; what was written before can be recovered"
        )

    def _time_ns(self, scene: Scene) -> int:
        frame = scene.frame
        if self._first is None:
            self._first = (frame.captured_ns, frame.stream_s)
        first_ns, first_s = self._first
        if frame.stream_s is not None and first_s is not None and not self._by_capture:
            return self._began_ns + round((frame.stream_s - first_s) * 1e9)
        return self._began_ns + frame.captured_ns - first_ns

    def _annotations(self, scene: Scene, stamp: Timestamp) -> ImageAnnotations:
        found = scene.detections
        lines = [_loop(polygon, _colour(TEXT_BGR), stamp) for polygon in scene.road_outline]
        texts = []
        for box, score, class_id in zip(
            found.boxes_xyxy, found.scores.tolist(), found.class_ids.tolist(), strict=True
        ):
            colour = _colour(BOXES_BGR[class_id % len(BOXES_BGR)])
            x1, y1, _, _ = box.tolist()
            lines.append(_loop(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2), colour, stamp))
            label = TextAnnotation(
                timestamp=stamp,
                position=Point2(x=x1, y=y1),
                text=f"{self._classes[class_id]} {score:.2f}",
                font_size=FONT_PX,
                text_color=_colour(TEXT_BGR),
                background_color=colour,
            )
            texts.append(label)
        return ImageAnnotations(timestamp=stamp, points=lines, texts=texts)


class _Channels:
    """The topics of one camera."""

    def __init__(self, name: str, topics: foxglove.Context) -> None:
        self.name = name
        self.image = CompressedImageChannel(f"/{name}/image", context=topics)
        self.found = ImageAnnotationsChannel(f"/{name}/found", context=topics)
        self.classes = CompressedImageChannel(f"/{name}/classes", context=topics)


class _File:
    """A file that keeps its first failure: the SDK, which writes to it, tells of none and goes on.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        try:
            while left and self.failure is None:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.failure = error
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # a pipe
            self.failure = self.failure or error
            return 0

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


def _loop(points: Float32, colour: Color, stamp: Timestamp) -> PointsAnnotation:
    return PointsAnnotation(
        timestamp=stamp,
        type=PointsAnnotationType.LineLoop,
        points=[Point2(x=x, y=y) for x, y in points.tolist()],
        outline_color=colour,
        thickness=LINE_PX,
    )


def _colour(bgr: tuple[int, int, int]) -> Color:
    blue, green, red = (value / 255 for value in bgr)
    return Color(r=red, g=green, b=blue, a=1.0)
