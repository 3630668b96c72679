"""Run a graph in torch on whole frames, with results in the pixels of the frame: the counterpart of the engine's run."""

import cv2
import numpy as np
import torch
from torch import nn

from perception.core.geometry import PADDING_VALUE, SIZE_MULTIPLE
from perception.core.types import Detections, UInt8
from perception.datasets import Sample
from perception.metrics.evaluator import GraphResult


def pad_to_multiple(image: UInt8) -> UInt8:
    """``uint8[H, W, 3]`` padded right and below to multiples of 32."""
    below, right = (-n % SIZE_MULTIPLE for n in image.shape[:2])
    padded = cv2.copyMakeBorder(
        image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(PADDING_VALUE,) * 3
    )
    return np.asarray(padded, np.uint8)


@torch.no_grad()
def run_on_sample(graph: nn.Module, sample: Sample) -> GraphResult:
    """Run an `InferenceGraph` on one frame at its own size."""
    height, width = sample.image.shape[:2]
    device = next(graph.parameters()).device
    out = graph(torch.from_numpy(pad_to_multiple(sample.image))[None].to(device))
    arrays = {name: tensor[0].cpu().numpy() for name, tensor in out.items()}
    detections = None
    if "boxes_xyxy" in arrays:
        limit = np.array((width, height) * 2, np.float32)
        detections = Detections(
            np.minimum(arrays["boxes_xyxy"], limit).astype(np.float32),
            arrays["scores"].astype(np.float32),
            arrays["class_ids"].astype(np.int64),
        )
    maps = {
        name: np.ascontiguousarray(arrays[name][:height, :width]) if name in arrays else None
        for name in ("class_map", "class_map_unmasked", "road_score")
    }
    return GraphResult(detections=detections, **maps)
