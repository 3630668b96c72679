"""Dynamic task selection: tasks that are far from done are trained more, or oftener."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perception.training.balancing.base import Balancer, LossBalancer, Losses

SMALL = 1e-6


class Progress(nn.Module):
    """How far each task is: the share of its first loss that is gone, in a running mean, and how hard it still is.

    Guo et al., "Dynamic Task Prioritization for Multitask Learning" (ECCV 2018), take a figure of merit of each task that lies in [0, 1];
    validation is too rare for that here, so the figure is one minus loss by first loss.

    Args:
        count: of tasks.
        gamma: of the focal term, 1 as there.
        inertia: of the running mean.
    """

    first: Tensor
    mean: Tensor

    def __init__(self, count: int, gamma: float = 1.0, inertia: float = 0.95) -> None:
        super().__init__()
        self._gamma, self._inertia = gamma, inertia
        self.register_buffer("first", torch.zeros(count))
        self.register_buffer("mean", torch.zeros(count))

    def update(self, losses: Tensor) -> None:
        """Take the losses ``float[T]`` of one step in."""
        losses = losses.detach().float()
        seen = losses > 0  # the others have no labels in this batch
        fresh = seen & (self.first == 0)
        self.first.copy_(torch.where(fresh, losses, self.first))
        followed = self.mean.lerp(losses, 1 - self._inertia)
        self.mean.copy_(torch.where(fresh, losses, torch.where(seen, followed, self.mean)))

    def need(self) -> Tensor:
        """``float[T]``, more than 0: - (1 - k) ^ gamma log k for a figure k (equation 3 there)."""
        known = torch.where(self.first > 0, self.mean / self.first.clamp(min=SMALL), 1.0)
        figure = (1 - known).clamp(0.05, 0.95)
        return -(1 - figure).pow(self._gamma) * figure.log()


class Prioritized(LossBalancer):
    """Each loss weighs by its task's need; the weights sum up to the number of tasks.

    Args:
        tasks: names, in the order of their losses.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.progress = Progress(len(tasks))

    def total(self, losses: Tensor) -> Tensor:
        """See the class."""
        self.progress.update(losses)
        need = self.progress.need()
        return (losses * need * len(self.tasks) / need.sum()).sum()


class Selected(Balancer):
    """Each step trains the task in most need for certain, and each other with the chance of its need to the greatest, but at least 1 in `LARGEST`.

    What is not chosen has no backward pass in this step. A loss counts by the inverse of its chance, so that in the mean all tasks weigh alike.

    Args:
        tasks: names, in the order of their losses.
    """

    LARGEST = 4.0

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.progress = Progress(len(tasks))
        self.chosen: tuple[str, ...] = self.tasks

    def backward(self, losses: Losses, params: Sequence[nn.Parameter]) -> None:
        """One pass from the sum of the chosen."""
        del params
        ordered = torch.stack([losses[task] for task in self.tasks])
        self.progress.update(ordered)
        need = self.progress.need()
        chance = (need / need.max()).clamp(min=1 / self.LARGEST)
        drawn = torch.rand_like(chance) <= chance
        self.chosen = tuple(task for task, on in zip(self.tasks, drawn.tolist(), strict=True) if on)
        kept = [losses[task] / chance[self.tasks.index(task)] for task in self.chosen]
        torch.stack(kept).sum().backward()  # type: ignore[no-untyped-call]
