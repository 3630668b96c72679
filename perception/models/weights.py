"""Weights between training and engines: the file from which torch starts again, and the network that belongs to it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from perception.core.config import build_config
from perception.core.errors import EngineError
from perception.core.manifest import Engine
from perception.models.config import GraphConfig, ModelConfig
from perception.models.multitask import MultiTaskModel

Weights = dict[str, Tensor]


def shippable(weights: Mapping[str, Tensor]) -> Weights:
    """The weights as they are stored: kernels rounded to float16, denormals flushed to zero.

    What has one axis (biases, batch norms) stays float32: it is small, and a variance may not fit float16. Denormal float32 values
    make some CPUs many times slower and mean nothing. The exported graph is made from the rounded weights, so that both files
    hold the same network.
    """
    stored: Weights = {}
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            continue  # the step counters of batch norms
        flushed = torch.where(tensor.abs() < torch.finfo(torch.float32).tiny, 0.0, tensor.float())
        stored[name] = (flushed.half() if tensor.ndim > 1 else flushed).contiguous()
    return stored


def save_weights(path: Path, weights: Weights) -> None:
    """Write a safetensors file."""
    save_file(weights, path)


def build_network(config: ModelConfig, weights: Mapping[str, Tensor]) -> MultiTaskModel:
    """The network of `config` with stored weights, in float32 and evaluation mode."""
    network = MultiTaskModel(replace(config, pretrained=False))
    counters = {n: t for n, t in network.state_dict().items() if not t.is_floating_point()}
    network.load_state_dict({**counters, **{n: t.float() for n, t in weights.items()}})
    return network.eval()


def load_network(engine: Engine) -> tuple[MultiTaskModel, GraphConfig]:
    """The network and the graph's thresholds of an engine folder.

    Raises:
        EngineError: the weights are missing, damaged or of another network.
    """
    config = engine.manifest.config
    try:
        weights = load_file(engine.weights_path)
        model = build_config(ModelConfig, config["model"], "manifest")
        return build_network(model, weights), build_config(GraphConfig, config["graph"], "manifest")
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise EngineError(
            f"{engine.weights_path}: not the weights of engine {engine.manifest.name!r}: {error}; export it again"
        ) from error
