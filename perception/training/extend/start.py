"""The weights that an extended network starts from: the old network's, and fresh ones where a part is new."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from perception.core.config import dump_config
from perception.core.errors import ConfigError, InputError
from perception.models.config import ModelConfig
from perception.models.multitask import MultiTaskModel
from perception.models.weights import Weights
from perception.training.checkpoint import read_checkpoint


def read_old(path: Path) -> tuple[ModelConfig, Weights]:
    """What the old network is made of, and its averaged weights.

    Raises:
        ConfigError: no checkpoint of this project.
    """
    try:
        config, weights = read_checkpoint(path)
    except InputError as error:
        raise ConfigError(f"extend: {error}") from error
    return config.model, weights


def extend_from(network: MultiTaskModel, config: ModelConfig, path: Path) -> None:
    """Put the weights of an old network into one that has the same parts, and perhaps further tasks.

    Args:
        network: whose weights are replaced; those of new tasks stay as they are.
        config: of this network.
        path: of the old network's checkpoint.

    Raises:
        ConfigError: there is no checkpoint of this project, or its network differs in more than tasks that it lacks.
    """
    found, weights = read_old(path)
    # where the backbone once began makes no other network
    mine = dump_config(config)
    other = dump_config(replace(found, pretrained=config.pretrained, further=config.further))
    keys = sorted(key for key in mine if mine[key] != other[key])
    if keys:
        raise ConfigError(
            f"extend: {path}: another network (model differs in {keys}); give both the same model, only model.further may grow"
        )
    lost = [name for name in found.further if name not in config.further]
    if lost:
        raise ConfigError(
            f"extend: {path}: its network has the tasks {lost}; name them in model.further, before the new ones"
        )
    new = _fresh_parts(config, found)
    fresh = {name: t for name, t in network.state_dict().items() if name.startswith(new)}
    try:
        network.load_state_dict({**fresh, **weights})
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"extend: {path}: its weights do not fit the network: {first}") from error


def old_norms(network: MultiTaskModel, config: ModelConfig, path: Path) -> list[nn.Module]:
    """The batch norms that an extended network has from the old one.

    New data must not move their means and variances: what follows the old outputs, which were made with those, would follow another
    network's, and frames of the old kind would meet norms of the new.

    Raises:
        ConfigError: no checkpoint of this project.
    """
    new = _fresh_parts(config, read_old(path)[0])
    return [
        part
        for name, part in network.named_modules()
        if isinstance(part, nn.BatchNorm2d) and not name.startswith(new)
    ]


def _fresh_parts(config: ModelConfig, old: ModelConfig) -> tuple[str, ...]:
    """How names of weights of tasks begin that the old network lacks."""
    return tuple(f"tasks.{name}." for name in config.further if name not in old.further)
