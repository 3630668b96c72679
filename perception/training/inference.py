"""Run a graph in torch on whole frames, with results in the pixels of the frame: the counterpart of an engine's run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from perception.core.geometry import Letterbox, choose_model_size
from perception.datasets import Sample
from perception.metrics.evaluator import GraphResult
from perception.metrics.outputs import read_outputs
from perception.models.fusion import LABEL, density
from perception.models.graph import InferenceGraph
from perception.models.tasks.base import Score
from perception.models.weights import build_network
from perception.stages.preprocess import fit_image
from perception.training.checkpoint import read_checkpoint


@torch.no_grad()
def run_on_sample(graph: InferenceGraph, sample: Sample, scale: float = 1.0) -> GraphResult:
    """Run an `InferenceGraph` on one frame, padded to multiples of 32.

    Args:
        graph: the network with its decoding.
        sample: the frame; its labels are not read.
        scale: of what the network sees, in (0, 1]; 1 is the frame's own size. The result is in the frame's pixels all the same.
    """
    height, width = sample.image.shape[:2]
    content_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    model_wh = choose_model_size(content_wh, max_pixels=content_wh[0] * content_wh[1])
    box = Letterbox((width, height), content_wh, model_wh)
    device = next(graph.parameters()).device
    frame = torch.from_numpy(fit_image(sample.image, box))[None].to(device)
    out = graph(frame, _fit_scan(sample, box, device))
    arrays = {name: tensor.cpu().numpy() for name, tensor in out.items()}
    return replace(read_outputs(arrays, box), further=graph.restore(arrays, box))


def network_of(checkpoint: Path) -> Callable[[Sample], GraphResult]:
    """The network of a training run, which sees frames at the scale that it was validated at.

    Raises:
        InputError: missing, damaged, or no checkpoint of this project.
    """
    config, weights = read_checkpoint(checkpoint)
    graph = InferenceGraph(build_network(config.model, weights), config.graph).eval()
    return partial(run_on_sample, graph, scale=config.data.val_scale)


def _fit_scan(sample: Sample, box: Letterbox, device: torch.device) -> Tensor | None:
    """What a scanner measured, as `InferenceGraph.forward` takes it; ``None`` where the frame has no scan or no camera."""
    scan = sample.further.get(LABEL)
    if scan is None or sample.camera is None:
        return None
    fitted = torch.full((1, *box.model_wh[::-1]), torch.nan)
    width, height = box.content_wh
    resized = cv2.resize(scan, box.content_wh, interpolation=cv2.INTER_NEAREST_EXACT)
    fitted[0, :height, :width] = torch.from_numpy(np.asarray(resized, np.float32))
    return density(fitted, torch.tensor([sample.camera.fx_px * box.scale_xy[0]])).to(device)


class TaskScores:
    """The figures of a network's further tasks on one set.

    Args:
        graph: whose tasks they are.
    """

    def __init__(self, graph: InferenceGraph) -> None:
        self._scores: dict[str, Score] = {
            name: graph.task(name).score() for name in graph.model.tasks
        }

    def update(self, sample: Sample, result: GraphResult) -> None:
        """Take in one frame."""
        outputs = dict(result.further)
        if result.detections is not None:
            outputs["boxes_xyxy"] = result.detections.boxes_xyxy
            outputs["class_ids"] = result.detections.class_ids
        for score in self._scores.values():
            score.update(outputs, sample)

    def compute(self) -> dict[str, float]:
        """``TASK/FIGURE`` of every task that had labels."""
        return {
            f"{name}/{figure}": value
            for name, score in self._scores.items()
            for figure, value in score.compute().items()
        }
