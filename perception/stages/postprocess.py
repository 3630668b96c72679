"""The graph's outputs become a scene in the pixels of the frame, by the record of the fit."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from perception.core.camera import Undistortion
from perception.core.geometry import Letterbox, boxes_to_frame, map_to_frame
from perception.core.manifest import EngineManifest
from perception.core.types import Detections, Float32, Frame, Scene, Seen, UInt8
from perception.stages.drivable import road_outline


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read the outputs of one engine.

    Attributes:
        score_threshold: boxes below it are not shown, in [0, 1].
        road_class: index of the road in the class map, ``None`` where the engine knows no road.
    """

    score_threshold: float
    road_class: int | None

    @classmethod
    def of(cls, manifest: EngineManifest) -> Self:
        """As the manifest promises."""
        names = manifest.map_classes
        return cls(manifest.score_threshold, names.index("road") if "road" in names else None)


def postprocess(
    frame: Frame, outputs: Mapping[str, NDArray[Any]], box: Letterbox, reading: Reading
) -> Scene:
    """Map one frame's results back to the frame.

    Args:
        frame: the frame they belong to; it goes into the scene.
        outputs: of the graph, for one frame: ``boxes_xyxy float32[1, K, 4]`` in px of the engine input, best first,
            ``scores float32[1, K]``, ``class_ids int32[1, K]``, ``class_map uint8[1, H, W]``. The scene may share their
            memory.
        box: how the frame was fitted into the engine input.
        reading: threshold and class numbers of the engine.
    """
    width, height = box.content_wh
    content: UInt8 = outputs["class_map"][0, :height, :width]
    bent = box if isinstance(box, Undistortion) else None
    if bent is not None:
        content = bent.seen(content)
    outline: tuple[Float32, ...] = ()
    if reading.road_class is not None:
        outline = road_outline(content, reading.road_class, box.scale_xy)
    detections = _detections(outputs, box, reading.score_threshold)
    if bent is None:
        class_map = map_to_frame(content, box.frame_wh)
    else:
        class_map = bent.bend_map(content)
        outline = tuple(map(bent.bend_outline, outline))
    return Scene(frame, detections, class_map, outline, time.monotonic_ns())


def postprocess_boxes(
    frame: Frame,
    outputs: Mapping[str, NDArray[Any]],
    box: Letterbox,
    reading: Reading,
    earlier: Scene,
) -> Scene:
    """As `postprocess`, of a graph that gives boxes alone: the class map and outline are those of an earlier scene, as they were.

    Args:
        frame: the frame that the boxes belong to.
        outputs: as there, without ``class_map``.
        box: how the frame was fitted into the engine input.
        reading: threshold of the engine.
        earlier: of a frame of the same size.
    """
    detections = _detections(outputs, box, reading.score_threshold)
    seen = earlier.map_seen or Seen(earlier.frame.frame_id, earlier.frame.captured_ns)
    return Scene(
        frame,
        detections,
        earlier.class_map,
        earlier.road_outline,
        time.monotonic_ns(),
        map_seen=seen,
    )


def _detections(
    outputs: Mapping[str, NDArray[Any]], box: Letterbox, score_threshold: float
) -> Detections:
    scores = outputs["scores"][0]
    shown = np.flatnonzero(scores >= score_threshold)
    boxes = boxes_to_frame(outputs["boxes_xyxy"][0, shown], box)
    if isinstance(box, Undistortion):
        boxes = box.bend_boxes(boxes)
    # a box that lies in the padding alone is clipped to nothing
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    shown = shown[seen]
    class_ids = outputs["class_ids"][0, shown].astype(np.int64)
    return Detections(boxes[seen], scores[shown], class_ids)
