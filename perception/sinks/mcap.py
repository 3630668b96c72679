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

from perception.core.types import Float32, Scene
from perception.sinks.base import JPEG_QUALITY, Sink, SinkContext, StreamClock
from perception.sinks.files import SdkFile
from perception.sinks.jsonl import scene_record
from perception.sinks.overlay import BOXES_BGR, TEXT_BGR, build_style, distance_texts

LINE_PX = 2.0
FONT_PX = 14.0


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
        self._clock = StreamClock(context)
        self._open = True
        # the channels end with their context
        self._topics = topics = foxglove.Context()
        self._file = SdkFile(path)
        self._writer: Any = foxglove.open_mcap(self._file, context=topics)  # type: ignore[arg-type]  # it asks for three methods
        self._cameras = [_Channels(name, topics) for name in context.camera_names]
        self._results = foxglove.Channel("/results", message_encoding="json", context=topics)

    def write(self, scene: Scene) -> None:
        """Write one scene."""
        at_ns = self._began_ns + self._clock.since_first_ns(scene.frame)
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
        self._file.check()

    def close(self) -> None:
        """Write the index and finish the file; a second call does nothing."""
        if not self._open:
            return
        self._open = False
        self._writer.close()
        self._file.close()
        self._file.check()

    def _annotations(self, scene: Scene, stamp: Timestamp) -> ImageAnnotations:
        found = scene.detections
        lines = [_loop(polygon, _colour(TEXT_BGR), stamp) for polygon in scene.road_outline]
        texts = []
        for box, score, class_id, metre in zip(
            found.boxes_xyxy,
            found.scores.tolist(),
            found.class_ids.tolist(),
            distance_texts(scene),
            strict=True,
        ):
            colour = _colour(BOXES_BGR[class_id % len(BOXES_BGR)])
            x1, y1, _, _ = box.tolist()
            lines.append(_loop(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2), colour, stamp))
            label = TextAnnotation(
                timestamp=stamp,
                position=Point2(x=x1, y=y1),
                text=f"{self._classes[class_id]} {score:.2f}{metre}",
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
