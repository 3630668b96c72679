"""What a set that shows some classes only tells of its other pixels: none of those classes is there."""

from collections.abc import Sequence

from torch import Tensor, nn

from perception.core.errors import ConfigError
from perception.core.labels import MAP_CLASSES
from perception.training.config import SetConfig
from perception.training.losses.base import Batch, Terms

TERM = "absent"  # name of its term, for ``loss.weights``


class AbsenceLoss(nn.Module):
    """Cross entropy of "another class" where a pixel holds none of the classes that its set shows, at the middle of each cell.

    Without it nothing would tell the network where a class is not, when all that is labelled is where it is.

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
        cells = absent[:, stride // 2 :: stride, stride // 2 :: stride] == 1
        other = logits.float().log_softmax(dim=1)[:, self._others].logsumexp(dim=1)
        return {TERM: -(other * cells).sum() / cells.sum().clamp(min=1)}
