"""Run a graph in torch on whole frames, with results in the pixels of the frame: the counterpart of an engine's run."""

import torch
from torch import nn

from perception.core.geometry import choose_model_size, fit_letterbox
from perception.datasets import Sample
from perception.metrics.evaluator import GraphResult
from perception.metrics.outputs import read_outputs
from perception.stages.preprocess import fit_image


@torch.no_grad()
def run_on_sample(graph: nn.Module, sample: Sample) -> GraphResult:
    """Run an `InferenceGraph` on one frame at its own size, padded to multiples of 32."""
    frame_wh = (sample.image.shape[1], sample.image.shape[0])
    box = fit_letterbox(frame_wh, choose_model_size(frame_wh, max_pixels=frame_wh[0] * frame_wh[1]))
    device = next(graph.parameters()).device
    out = graph(torch.from_numpy(fit_image(sample.image, box))[None].to(device))
    return read_outputs({name: tensor.cpu().numpy() for name, tensor in out.items()}, box)
