"""Cross entropy in which rare classes weigh more, and an overlap term, for maps of which thin things are a part."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.core.labels import GROUPS, IGNORE, MAP_CLASSES, ROAD
from perception.training.losses.base import Batch, Terms, at_frame_size, log_likelihood
from perception.training.losses.outside import TERM, outside_boxes


class BalancedLoss(nn.Module):
    """Marginal cross entropy with class weights, plus one minus the soft Jaccard index.

    Both are taken on every second pixel of every second row, whose offset is drawn anew each step: a quarter of the work on
    the largest arrays of a training step, and over steps every pixel counts.

    The weight of class c is ``max(1, (common / share_c) ** power)``, its share being counted while training. So what is common keeps weight
    1 and no border between two common classes moves. A pixel of a group weighs `group`, which moves road's border inwards on purpose.

    Source:
        Rahman, Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", ISVC 2016, equation 3: the soft
        Jaccard index. Differs from it: over the batch instead of an image, mean over the classes that the batch labels; pixels labelled with a
        group count for the classes that are not in it: they are known to be absent. Marginal cross entropy: see
        `perception.training.losses.cross_entropy`.

    Args:
        common: share of the pixels from which on a class weighs 1.
        power: how strongly rarer ones are raised.
        overlap: weight of the Jaccard term.
        group: weight of a pixel that is labelled with a group. With 1, road is overdone where all that is labelled is road and not road
            (`engines/EXPERIMENTS.md`, section 18).
        road: weight of a pixel of road in frames whose labels are single classes only: the counterweight to `group`, without which the
            border moves inwards on their roads too.
        outside: weight of what boxes tell of frames without a map, see `outside_boxes`.
    """

    share: Tensor

    def __init__(
        self,
        common: float = 0.03,
        power: float = 0.75,
        overlap: float = 1.0,
        group: float = 2.5,
        road: float = 1.0,
        outside: float = 1.0,
    ) -> None:
        super().__init__()
        self.common, self.power = common, power
        self.overlap, self.group, self.road, self.outside = overlap, group, road, outside
        self.register_buffer("share", torch.full((len(MAP_CLASSES),), 1.0 / len(MAP_CLASSES)))

    def forward(self, logits: Tensor, batch: Batch) -> Terms:
        """Compare at half the frame's size.

        Args:
            logits: ``float[N, C, H/s, W/s]``.
            batch: labels; ``class_map`` holds classes, groups (from C on) and ignore.

        Returns:
            Terms ``segmentation`` and ``overlap``, zero where no pixel is labelled, and ``outside`` if it has a weight.
        """
        row, column = torch.randint(2, (2,)).tolist()
        target = batch.class_map[:, row::2, column::2].long()
        log_p = F.log_softmax(at_frame_size(logits, batch, fraction=2), dim=1)
        weights = self._weights(target)
        known = target.clamp(max=len(weights))
        weight = torch.cat((weights, weights.new_zeros(1)))[known]
        if self.road != 1:
            grouped = ((target >= len(MAP_CLASSES)) & (target != IGNORE)).any(dim=(1, 2))
            raised = (target == ROAD) & ~grouped[:, None, None]
            weight = torch.where(raised, weight * self.road, weight)
        cost = -log_likelihood(log_p, target)
        terms = {
            "segmentation": (cost * weight).sum() / weight.sum().clamp(min=1.0),
            "overlap": self.overlap * self._miss(log_p.exp(), target),
        }
        if self.outside:
            terms[TERM] = self.outside * outside_boxes(logits, batch)
        return terms

    @torch.no_grad()
    def _weights(self, target: Tensor) -> Tensor:
        """``float[C + groups]``; takes the batch into the count first."""
        classes = len(MAP_CLASSES)
        counts = torch.bincount(target[target < classes], minlength=classes).float()
        if self.training and counts.sum() > 0:
            self.share.lerp_(counts / counts.sum(), 0.01)
        rare = (self.common / self.share.clamp(min=1e-4)).pow(self.power).clamp(min=1.0)
        return torch.cat((rare, rare.new_full((len(GROUPS),), self.group)))

    def _miss(self, p: Tensor, target: Tensor) -> Tensor:
        """One minus the mean soft Jaccard index of the classes that are labelled."""
        classes = p.shape[1]
        single = target < classes
        own = p.gather(1, target.clamp(max=classes - 1).unsqueeze(1)).squeeze(1)
        both = p.new_zeros(classes).index_add(0, target[single], own[single])
        labelled = torch.bincount(target[single], minlength=classes)
        claimed = (p * single.unsqueeze(1)).sum(dim=(0, 2, 3))
        for group, members in enumerate(GROUPS.values(), start=classes):
            there = (target == group).unsqueeze(1)
            if not there.any():
                continue
            absent = [c for c in range(classes) if c not in members]
            wrong = (p[:, absent] * there).sum(dim=(0, 2, 3))
            claimed = claimed.index_add(0, torch.tensor(absent, device=p.device), wrong)
        jaccard = (both + 1.0) / (claimed + labelled - both + 1.0)
        seen = labelled > 0
        return (1.0 - jaccard)[seen].sum() / seen.sum().clamp(min=1)
