"""Reading a checkpoint of a training run. Its ``state_dict`` holds the averaged weights, where the run averages."""

import pickle  # noqa: TID251 (only for the name of its error; torch refuses code)
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import nn

from perception.core.config import dump_config
from perception.core.errors import ConfigError, InputError
from perception.models.config import ModelConfig
from perception.models.weights import Weights
from perception.training.config import TrainConfig, read_stored


def read_checkpoint(path: Path) -> tuple[TrainConfig, Weights]:
    """The configuration and the weights of a checkpoint of `perception.training`.

    Raises:
        InputError: missing, damaged, or not such a checkpoint.
    """
    try:
        if not is_zipfile(path):  # every checkpoint is one
            raise OSError("it is missing, empty or damaged")  # noqa: TRY301 (one message for all that is wrong)
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
        config = read_stored(checkpoint["hyper_parameters"], str(path))
        prefix = "model."
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in checkpoint["state_dict"].items()
            if name.startswith(prefix)
        }
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a checkpoint of this project: it holds more than tensors and tables"
        ) from error
    except (OSError, RuntimeError, LookupError, TypeError, ConfigError) as error:
        raise InputError(f"{path}: not a checkpoint of this project: {error}") from error
    return config, weights


def start_from(network: nn.Module, config: ModelConfig, path: Path) -> None:
    """Put the weights of a checkpoint into a network that is about to be trained.

    Args:
        network: whose weights are replaced.
        config: of this network; the checkpoint's must be the same.
        path: of the checkpoint.

    Raises:
        ConfigError: there is no checkpoint of this project, or it is one of another network.
    """
    try:
        found, weights = read_checkpoint(path)
    except InputError as error:
        raise ConfigError(f"init: {error}") from error
    # where its backbone once began makes no other network
    mine, other = (
        dump_config(config),
        dump_config(replace(found.model, pretrained=config.pretrained)),
    )
    keys = sorted(key for key in mine if mine[key] != other[key])
    if keys:
        raise ConfigError(
            f"init: {path}: the weights of another network (model differs in {keys}); give both runs the same model"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"init: {path}: its weights do not fit the network: {first}") from error
