"""The conflict report: do the tasks' gradients pull the shared parameters the same way?"""

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor, nn

from perception.training.balancing.base import Losses, flatten, task_gradients


def agreement(losses: Losses, params: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """Cosines between the tasks' gradients of the shared parameters, and the gradients' lengths. The graph is kept.

    Args:
        losses: of at least two tasks, with their graph.
        params: of the network.

    Returns:
        ``agreement/A_B`` in [-1, 1], below 0 where A and B are in conflict, and ``length/A``.
    """
    grads, shared = task_gradients(list(losses.values()), params, keep_graph=True)
    jacobian = flatten(grads, params, shared).float()
    lengths = jacobian.norm(dim=1)
    found = {f"length/{task}": length for task, length in zip(losses, lengths, strict=True)}
    names = list(losses)
    for i, j in combinations(range(len(names)), 2):
        cosine = nn.functional.cosine_similarity(jacobian[i], jacobian[j], dim=0)
        found[f"agreement/{names[i]}_{names[j]}"] = cosine
    return found
