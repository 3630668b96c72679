"""The affinity report: does a step for one task help another?"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from perception.training.balancing.base import Losses, task_gradients

STEP = 1e-3  # length of the trial step, of the length of the shared parameters


def affinity(
    losses: Losses,
    params: Sequence[nn.Parameter],
    again: Callable[[], Mapping[str, Tensor]],
) -> dict[str, Tensor]:
    """Try a step of the shared parameters for each task alone, and look at all losses. Parameters and graph stay as they are.

    Source: Fifty et al., "Efficiently identifying task groupings for multi-task learning", 2021, arXiv 2109.04617, equation 1. Differs
    from it: every trial step has the same length, whatever the task's gradient, so that rows can be compared.

    Args:
        losses: of at least two tasks, with their graph.
        params: of the network.
        again: gives the losses of the same batch with the parameters as they then are.

    Returns:
        ``affinity/A_to_B``: by what share of itself B's loss falls with a step for A; below 0 where A harms B.
    """
    grads, shared = task_gradients(list(losses.values()), params, keep_graph=True)
    chosen = [param for param, is_shared in zip(params, shared, strict=True) if is_shared]
    length = STEP * torch.stack([param.detach().norm() for param in chosen]).norm()
    before = [param.detach().clone() for param in chosen]
    found = {}
    with torch.no_grad():
        base = again()  # not `losses`: what is random in the network has to be the same
        for task, row in zip(losses, grads, strict=True):
            steps = [grad for grad, is_shared in zip(row, shared, strict=True) if is_shared]
            norms = [grad.norm() for grad in steps if grad is not None]
            size = torch.stack(norms).norm() if norms else torch.zeros(())
            if size == 0:
                continue  # nothing labelled for it in this batch
            for param, grad in zip(chosen, steps, strict=True):
                if grad is not None:  # behind autograd's back: the graph of before is still needed
                    param.data.sub_(length / size * grad)
            after = again()
            for param, old in zip(chosen, before, strict=True):
                param.data.copy_(old)
            for other, loss in after.items():
                if base[other] > 0:
                    found[f"affinity/{task}_to_{other}"] = 1 - loss / base[other]
    return found
