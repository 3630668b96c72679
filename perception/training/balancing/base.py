"""What joins the losses of several tasks into one backward pass."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Losses = Mapping[str, Tensor]  # task -> scalar


class Balancer(nn.Module, ABC):
    """Joins the losses of tasks. Its parameters and buffers, if any, are learnt and kept with the network's; other state is not.

    A task without labels in a batch has a loss of 0 there.

    Args:
        tasks: names, in the order of their losses.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    @abstractmethod
    def backward(self, losses: Losses, params: Sequence[nn.Parameter]) -> None:
        """Add this step's gradients to ``.grad`` of the parameters.

        Args:
            losses: of the tasks, with their graph.
            params: of the network.
        """


class LossBalancer(Balancer):
    """Joins the losses themselves: one backward pass, as dear as without balancing."""

    def backward(self, losses: Losses, params: Sequence[nn.Parameter]) -> None:
        """One pass from `total`."""
        del params
        self.total(torch.stack([losses[task] for task in self.tasks])).backward()  # type: ignore[no-untyped-call]

    @abstractmethod
    def total(self, losses: Tensor) -> Tensor:
        """``float[T]`` losses, in the order of the tasks -> the scalar that is made smaller."""


class GradientBalancer(Balancer):
    """Joins the gradients of the parameters that tasks share: one backward pass a task.

    Parameters of one task alone get that task's gradient as it is.
    """

    def backward(self, losses: Losses, params: Sequence[nn.Parameter]) -> None:
        """One pass a task; what they share goes through `join`."""
        ordered = [losses[task] for task in self.tasks]
        grads, shared = task_gradients(ordered, params)
        jacobian = flatten(grads, params, shared)
        joined = self.join(jacobian, torch.stack(ordered).detach()) if any(shared) else jacobian[0]
        start = 0
        for index, param in enumerate(params):
            found = next((row[index] for row in grads if row[index] is not None), None)
            if shared[index]:
                found = joined[start : start + param.numel()].view_as(param)
                start += param.numel()
            if found is None:
                continue
            param.grad = found.clone() if param.grad is None else param.grad + found

    @abstractmethod
    def join(self, jacobian: Tensor, losses: Tensor) -> Tensor:
        """One direction for the shared parameters.

        Args:
            jacobian: ``float[T, P]``, a task's gradient in each row.
            losses: ``float[T]``, without graph.

        Returns:
            ``float[P]``.
        """


TaskGradients = list[tuple[Tensor | None, ...]]


def task_gradients(
    losses: Sequence[Tensor], params: Sequence[nn.Parameter], *, keep_graph: bool = False
) -> tuple[TaskGradients, list[bool]]:
    """The gradient of each loss, and which parameters more than one of them reaches.

    Returns:
        For each loss a gradient for each parameter, ``None`` where it does not reach; for each parameter whether it is shared.
    """
    last = len(losses) - 1
    grads: TaskGradients = [
        torch.autograd.grad(loss, params, retain_graph=keep_graph or i < last, allow_unused=True)
        for i, loss in enumerate(losses)
    ]
    shared = [sum(row[i] is not None for row in grads) > 1 for i in range(len(params))]
    return grads, shared


def flatten(grads: TaskGradients, params: Sequence[nn.Parameter], shared: Sequence[bool]) -> Tensor:
    """Gradients of the shared parameters as ``float[T, P]``; zero where a task does not reach one that others share."""
    chosen = [i for i, is_shared in enumerate(shared) if is_shared]
    if not chosen:
        return params[0].new_zeros(len(grads), 0)
    rows = []
    for row in grads:
        parts = []
        for i in chosen:
            part = row[i]
            parts.append(torch.zeros_like(params[i]).flatten() if part is None else part.flatten())
        rows.append(torch.cat(parts))
    return torch.stack(rows)
