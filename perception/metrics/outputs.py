"""From the graph's outputs to what the figures are made of, in the pixels of the frame: the same for torch and for engines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.geometry import Letterbox, boxes_to_frame, map_to_frame
from perception.core.manifest import EVALUATION_OUTPUTS
from perception.core.types import Detections
from perception.metrics.evaluator import GraphResult

MAPS = ("class_map", *EVALUATION_OUTPUTS)


def read_outputs(outputs: Mapping[str, NDArray[Any]], box: Letterbox) -> GraphResult:
    """All that the graph gave for one frame, in the pixels of that frame; nothing is thresholded.

    Args:
        outputs: by the names of the exported graph, for one frame; those of an evaluation may be absent.
        box: how the frame was fitted into the engine input.
    """
    width, height = box.content_wh
    maps: dict[str, Any] = {
        name: map_to_frame(outputs[name][0, :height, :width].astype(np.uint8), box.frame_wh)
        for name in MAPS
        if name in outputs
    }
    detections = None
    if "boxes_xyxy" in outputs:
        detections = Detections(
            boxes_to_frame(outputs["boxes_xyxy"][0], box),
            outputs["scores"][0].astype(np.float32),
            outputs["class_ids"][0].astype(np.int64),
        )
    class_map = maps.pop("class_map", None)
    return GraphResult(detections, class_map, **maps)
