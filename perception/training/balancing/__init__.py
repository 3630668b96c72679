"""How the losses of tasks are joined, by name. To add one: a file with a `Balancer`, and a line in the table."""

from collections.abc import Sequence

from perception.core.errors import ConfigError
from perception.core.registry import Registry
from perception.training.balancing.base import Balancer
from perception.training.balancing.weights import Fixed, Uncertainty
from perception.training.config import BalanceConfig

__all__ = ["BALANCERS", "Balancer", "build_balancer"]

# name -> callable(tasks) -> Balancer; `build_balancer` gives two of them a setting more
BALANCERS = Registry(
    "way of balancing",
    {
        "cagrad": "perception.training.balancing.aggregation:cagrad",
        "dwa": "perception.training.balancing.weights:WeightAverage",
        "fixed": "perception.training.balancing.weights:Fixed",
        "gradnorm": "perception.training.balancing.gradnorm:GradNorm",
        "mgda": "perception.training.balancing.aggregation:mgda",
        "nash_mtl": "perception.training.balancing.aggregation:nash_mtl",
        "pcgrad": "perception.training.balancing.aggregation:pcgrad",
        "prioritized": "perception.training.balancing.priority:Prioritized",
        "selected": "perception.training.balancing.priority:Selected",
        "uncertainty": "perception.training.balancing.weights:Uncertainty",
        "upgrad": "perception.training.balancing.aggregation:upgrad",
    },
)


def build_balancer(config: BalanceConfig, tasks: Sequence[str], devices: int) -> Balancer:
    """The balancer of a run.

    Args:
        config: of the run; ``weights`` go to ``fixed``, ``period`` to ``dwa``.
        tasks: the heads that have a loss.
        devices: that train together.

    Raises:
        ConfigError: an unknown method, task or weight, or a method that several devices cannot share.
    """
    options: dict[str, dict[str, object]] = {
        "fixed": {"weights": config.weights},
        "dwa": {"period": config.period},
    }
    balancer: Balancer = BALANCERS[config.method](tasks, **options.get(config.method, {}))
    if config.weights and config.method != "fixed":
        raise ConfigError(
            f"balance.weights: only method 'fixed' has weights, got method {config.method!r}"
        )
    if devices != 1 and not isinstance(balancer, Fixed | Uncertainty):
        raise ConfigError(
            f"balance.method {config.method!r} decides on each device by its own losses; expected devices = 1, got {devices}"
        )
    return balancer
