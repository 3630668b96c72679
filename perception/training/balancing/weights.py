"""Balancing by the losses alone: equal and fixed weights, learned uncertainty, dynamic weight average."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchjd.scalarization import DWA, UW

from perception.core.errors import ConfigError
from perception.core.registry import check_known
from perception.training.balancing.base import LossBalancer


class Fixed(LossBalancer):
    """The sum of the losses, each times its weight.

    Args:
        tasks: names, in the order of their losses.
        weights: task -> factor; a task that is not named has 1, so that without weights all are equal.

    Raises:
        ConfigError: a weight of a task that the network does not have, or a negative one.
    """

    factors: Tensor

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        given = dict(weights or {})
        check_known("balance.weights", given, tasks)
        for task, weight in given.items():
            if not weight >= 0:
                raise ConfigError(f"balance.weights.{task}: expected 0 or more, got {weight}")
        factors = torch.tensor([given.get(task, 1.0) for task in tasks])
        self.register_buffer("factors", factors, persistent=False)

    def total(self, losses: Tensor) -> Tensor:
        """See the class."""
        return (losses * self.factors).sum()


class Uncertainty(LossBalancer):
    """Learned log-variances (Kendall, Gal, Cipolla 2018, arXiv 1705.07115, section 3), of torchjd."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.weighting = UW(len(tasks))

    def total(self, losses: Tensor) -> Tensor:
        """Half of (exp(-s) L + s), summed over the tasks: at the start half of what equal weights give."""
        return self.weighting(losses)


class WeightAverage(LossBalancer):
    """Dynamic weight average (Liu, Johns, Davison 2019, arXiv 1803.10704, equation 7), of torchjd.

    An epoch there is `period` steps here. A run that goes on starts with equal weights again.

    Args:
        tasks: names, in the order of their losses.
        period: steps over which losses are averaged.
    """

    def __init__(self, tasks: Sequence[str], period: int) -> None:
        super().__init__(tasks)
        self._weighting, self._period, self._steps = DWA(), period, 0

    def total(self, losses: Tensor) -> Tensor:
        """The sum, weighted by how slowly each loss fell of late."""
        total: Tensor = self._weighting(losses)
        self._steps += 1
        if self._steps % self._period == 0:
            self._weighting.step()
        return total
