"""What a page gets of a frame, as one binary message.

``uint32`` (big endian) length of the JSON object, the object in UTF-8, the picture as JPEG, the class map as PNG in colours with transparency. The
object tells the lengths of both pictures; its keys have units as JSON lines have them.
"""

import json
import struct
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from perception.core.timing import FrameTiming
from perception.core.types import Scene, UInt8
from perception.runtime.observers.web.news import News
from perception.sinks.base import SinkContext
from perception.sinks.jsonl import scene_record
from perception.sinks.overlay import BOXES_BGR, TINT, build_style

WIDTH_PX = 1280  # of the picture at most
MAP_PX = 640  # of the class map at most: it is drawn larger, its edges are a few px coarse
JPEG_QUALITY = 80
BOX_COLOURS = [f"#{red:02x}{green:02x}{blue:02x}" for blue, green, red in BOXES_BGR]


class Messages:
    """Makes messages of frames.

    Args:
        context: names of the classes, number of cameras.
    """

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        # camera -> number of the frame and its pictures, for the next page that asks; two at once make them twice
        self._drawn: dict[int, tuple[int, tuple[bytes, bytes]]] = {}
        style = build_style(context.box_classes, context.map_classes)
        # uint8[256, 4]: colour and opacity of each class; what is not tinted is clear
        opacity = (style.tinted * TINT).astype(np.uint8)
        self._colours = np.concatenate([style.colours[:, 0], opacity[:, None]], axis=1)

    def build(self, news: News, timings: Sequence[FrameTiming]) -> bytes:
        """The message of a frame, with the timings of those since the last message; takes some ms."""
        camera = news.scene.frame.camera
        drawn = self._drawn.get(camera)
        if drawn is None or drawn[0] != news.number:
            drawn = self._drawn[camera] = (news.number, self._pictures(news.scene))
        picture, class_map = drawn[1]
        head = self._head(news, timings)
        head.update(jpeg_bytes=len(picture), map_bytes=len(class_map))
        text = json.dumps(head, separators=(",", ":")).encode()
        return b"".join((struct.pack(">I", len(text)), text, picture, class_map))

    def _pictures(self, scene: Scene) -> tuple[bytes, bytes]:
        small = _shrunk(scene.frame.image, WIDTH_PX, cv2.INTER_AREA)
        coloured = self._colours[_shrunk(scene.class_map, MAP_PX, cv2.INTER_NEAREST)]
        jpeg = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
        png = cv2.imencode(".png", coloured, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1]
        return jpeg.tobytes(), png.tobytes()

    def _head(self, news: News, timings: Sequence[FrameTiming]) -> dict[str, Any]:
        return {
            **scene_record(news.scene, self._context.box_classes),
            "cameras": self._context.cameras,
            "box_classes": self._context.box_classes,
            "box_colours": BOX_COLOURS,
            "finished": news.finished,
            "dropped": news.dropped,
            "sent_ns": time.monotonic_ns(),
            "timings": [_timing(timing) for timing in timings],
        }


def _timing(timing: FrameTiming) -> dict[str, Any]:
    stages = {stage: round(ns / 1e6, 2) for stage, ns in timing.stages_ns.items()}
    return {
        "finished_ns": timing.finished_ns,
        "camera": timing.camera,
        "age_ms": round(timing.age_ns / 1e6, 2),
        "stages_ms": stages,
    }


def _shrunk(image: UInt8, width_px: int, how: int) -> UInt8:
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size_wh = (width_px, max(1, round(height * width_px / width)))
    return cv2.resize(image, size_wh, interpolation=how)  # type: ignore[return-value]  # uint8 stays uint8
