"""What a set that shows some classes only tells: where they are, and of its other pixels that none of them is there."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perception.core.errors import ConfigError
from perception.core.labels import MAP_CLASSES
from perception.training.losses.base import Batch, Terms, log_likelihood
from perception.training.mixture import SetConfig

ABSENT, SHOWN = "absent", "shown"  # names of its terms, for ``loss.weights``


class AbsenceLoss(nn.Module):
    """Cross entropy of "another class" where a pixel holds none of the classes that its set shows, at the middle of each cell.

    Without it nothing would tell the network where a class is not, when all that is labelled is where it is. Cells that do hold one are
    a term of their own: beside sets that label all pixels, the few of a rare class would count for nothing in the mean over all.

    Source: Cermelli et al., "Modeling the background for incremental learning in semantic segmentation", 2020, arXiv 2002.04189,
    equation 5: the unlabelled rest stands for all other classes together.

    Args:
        sets: of the mixture; those with ``only`` must name the same classes.

    Raises:
        ConfigError: they name different ones.
    """

    def __init__(self, sets: Sequence[SetConfig]) -> None:
        super().__init__()
        shown = {frozenset(entry.only).intersection(MAP_CLASSES) for entry in sets} - {frozenset()}
        if len(shown) > 1:
            named = sorted(sorted(names) for names in shown)
            raise ConfigError(f"data.sets: only: expected the same classes in all, got {named}")
        names = next(iter(shown), frozenset[str]())
        self._shown = [i for i, name in enumerate(MAP_CLASSES) if name in names]
        self._others = [i for i, name in enumerate(MAP_CLASSES) if name not in names]

    def forward(self, logits: Tensor, batch: Batch) -> Terms:
        """Compare cell by cell.

        Args:
            logits: ``float[N, C, H/s, W/s]``.
            batch: with the label ``absent``; without it there are no terms.
        """
        absent = batch.further.get("absent")
        if absent is None:
            return {}
        stride = absent.shape[1] // logits.shape[2]
        middle = slice(stride // 2, None, stride)
        nowhere = absent[:, middle, middle] == 1
        target = batch.class_map[:, middle, middle].long()
        of_part = (absent == 1).any(dim=2).any(dim=1)  # frames of a set that shows some only
        there = torch.isin(target, target.new_tensor(self._shown)) & of_part[:, None, None]
        log_p = logits.float().log_softmax(dim=1)
        other = log_p[:, self._others].logsumexp(dim=1)
        own = log_likelihood(log_p, target)
        return {
            name: -(value * cells).sum() / cells.sum().clamp(min=1)
            for name, value, cells in ((ABSENT, other, nowhere), (SHOWN, own, there))
        }
