"""Balancing by the gradients of the shared parameters, with the aggregators of torchjd."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchjd.aggregation import MGDA, Aggregator, CAGrad, NashMTL, PCGrad, UPGrad

from perception.core.errors import ConfigError
from perception.training.balancing.base import GradientBalancer

CAGRAD_C = 0.4  # of Liu et al. 2021, for Cityscapes
SMALL = 1e-9  # of the Gram matrix's trace: added to its diagonal, which may be singular


class Aggregated(GradientBalancer):
    """The shared parameters follow what an aggregator makes of the tasks' gradients.

    Args:
        tasks: names, in the order of their losses.
        aggregator: of torchjd.
    """

    def __init__(self, tasks: Sequence[str], aggregator: Aggregator) -> None:
        super().__init__(tasks)
        self._aggregator = aggregator
        self._fixed_count = isinstance(aggregator, NashMTL)  # it is made for so many tasks

    def join(self, jacobian: Tensor, losses: Tensor) -> Tensor:
        """By the aggregator, times the number of tasks where it gives a mean, so that steps are as long as those of a sum."""
        del losses
        # a task without labels in this batch pulls nowhere; some aggregators would stand still for it
        pulling = jacobian if self._fixed_count else jacobian[jacobian.any(dim=1)]
        if not len(pulling):
            return jacobian.sum(dim=0)
        joined: Tensor = self._aggregator(pulling)
        return joined if isinstance(self._aggregator, PCGrad) else joined * len(pulling)


class NonNegative:
    """What UPGrad asks of a solver: least ``v' G v`` over ``v >= u``, by SciPy's non-negative least squares.

    torchjd's own choice, quadprog, is under the GPL.
    """

    def __call__(self, u: Tensor, gramian: Tensor) -> Tensor:
        """``[..., m]`` and ``[m, m]`` -> ``[..., m]``."""
        matrix = gramian.detach().double().cpu().numpy()
        trace = float(np.trace(matrix))
        if not trace > 0:
            return u
        root = np.linalg.cholesky(matrix / trace + SMALL * np.eye(len(matrix))).T
        rows = u.detach().double().cpu().numpy().reshape(-1, len(matrix))
        found = np.stack([row + nnls(root, -root @ row)[0] for row in rows])
        return torch.from_numpy(found).to(u).view_as(u)


def pcgrad(tasks: Sequence[str]) -> Aggregated:
    """Projecting conflicting gradients (Yu et al. 2020, arXiv 2001.06782)."""
    return Aggregated(tasks, PCGrad())


def mgda(tasks: Sequence[str]) -> Aggregated:
    """The shortest vector of the gradients' hull (Désidéri 2012; Sener and Koltun 2018, arXiv 1810.04650)."""
    return Aggregated(tasks, MGDA())


def cagrad(tasks: Sequence[str]) -> Aggregated:
    """Conflict-averse descent (Liu et al. 2021, arXiv 2110.14048) with c = 0.4."""
    return Aggregated(tasks, CAGrad(c=CAGRAD_C))


def upgrad(tasks: Sequence[str]) -> Aggregated:
    """Each gradient projected onto the dual cone of all (Quinton and Rey 2024, arXiv 2406.16232)."""
    solver: Any = NonNegative()
    return Aggregated(tasks, UPGrad(projector=solver))


def nash_mtl(tasks: Sequence[str]) -> Aggregated:
    """A bargaining game (Navon et al. 2022, arXiv 2202.01017). Its solver ECOS, under the GPL, is for the user to install."""
    try:
        return Aggregated(tasks, NashMTL(n_tasks=len(tasks)))
    except ImportError as error:
        raise ConfigError(
            "balance.method 'nash_mtl' needs the packages cvxpy and ecos (GPL 3); install them with: pip install 'torchjd[nash-mtl]'"
        ) from error
