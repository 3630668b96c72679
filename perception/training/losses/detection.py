"""What the detection losses share: which cells count, and the class term of partly boxed sets."""

import torch
from torch import Tensor
from torch.nn import functional as F

from perception.models.heads.detection import Cells
from perception.training.losses.base import Batch


def judged_cells(cells: Cells, batch: Batch) -> Tensor:
    """Which cells may be trained to be empty: ``bool[N, A]``.

    Left out are cells whose middle is unjudged, and cells that at present claim a class that the frame's set does not box.
    """
    x, y = cells.centres_xy.long().unbind(dim=1)
    judged = ~batch.unjudged[:, y, x]
    claimed = cells.class_logits.detach().argmax(dim=2)  # [N, A]
    return judged & batch.boxed.gather(1, claimed)


def class_term(logits: Tensor, class_ids: Tensor, boxed: Tensor) -> Tensor:
    """Cross entropy over the classes that the set boxes; over all where that is a single one, which would say nothing.

    Args:
        logits: ``float[P, C]`` of the cells that hold an object.
        class_ids: ``int64[P]``.
        boxed: ``bool[P, C]``.

    Returns:
        ``float[P]``.
    """
    boxed = boxed | (boxed.sum(dim=1, keepdim=True) == 1)
    floor = torch.finfo(logits.dtype).min
    return F.cross_entropy(logits.masked_fill(~boxed, floor), class_ids, reduction="none")
