"""Gradient normalisation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from perception.training.balancing.base import GradientBalancer


class GradNorm(GradientBalancer):
    """Weights that bring the tasks' gradients to like length, longer where a task lags (Chen et al. 2018, arXiv 1711.02257).

    What differs: lengths are of all shared parameters instead of the last shared layer's, and only these see the weights: heads get their
    gradients as they are; the weights follow the sign of their gradient by `rate` of their size instead of by Adam, so that they stay positive.

    Args:
        tasks: names, in the order of their losses.
        alpha: how strongly a task that lags is helped; 1.5 in the paper's experiments.
        rate: by which a weight grows or shrinks in a step.
    """

    weights: Tensor
    first: Tensor

    def __init__(self, tasks: Sequence[str], alpha: float = 1.5, rate: float = 0.01) -> None:
        super().__init__(tasks)
        self._alpha, self._rate = alpha, rate
        self.register_buffer("weights", torch.ones(len(tasks)))
        self.register_buffer("first", torch.zeros(len(tasks)))

    def join(self, jacobian: Tensor, losses: Tensor) -> Tensor:
        """The weighted sum, by the weights that this step's lengths lead to; they sum up to the number of tasks."""
        losses = losses.float()
        lengths = self.weights * jacobian.float().norm(dim=1)
        seen = (losses > 0) & (lengths > 0)  # the others have no labels in this batch
        self.first.copy_(torch.where(seen & (self.first == 0), losses, self.first))
        if seen.sum() > 1:
            left = losses[seen] / self.first[seen]
            wanted = lengths[seen].mean() * (left / left.mean()).pow(self._alpha)
            self.weights[seen] *= (self._rate * torch.sign(wanted - lengths[seen])).exp()
            self.weights.mul_(len(self.tasks) / self.weights.sum())
        return self.weights.to(jacobian) @ jacobian
