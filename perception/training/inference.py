"""Run a graph in torch on whole frames, with results in the pixels of the frame: the counterpart of an engine's run."""

import torch
from torch import nn

from perception.core.geometry import Letterbox, choose_model_size
from perception.datasets import Sample
from perception.metrics.evaluator import GraphResult
from perception.metrics.outputs import read_outputs
from perception.stages.preprocess import fit_image


@torch.no_grad()
def run_on_sample(graph: nn.Module, sample: Sample, scale: float = 1.0) -> GraphResult:
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
    out = graph(torch.from_numpy(fit_image(sample.image, box))[None].to(device))
    return read_outputs({name: tensor.cpu().numpy() for name, tensor in out.items()}, box)
