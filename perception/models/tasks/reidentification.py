"""Who is who: a vector for each box that is alike for the same person or vehicle in other frames, with its kind and colour."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.retrieval import retrieval_average_precision

from perception.core.labels import FURTHER_LABELS
from perception.models.tasks.base import (
    Arrays,
    Found,
    LabelledBatch,
    LabelledFrame,
    ObjectDecoder,
    Restore,
    Score,
    Seen,
    Task,
    as_it_is,
    at_boxes,
    boxes_of,
    match_labelled,
)

LENGTH = 64  # of the vector
ATTRIBUTES = ("kind", "colour")
SIZES = [LENGTH, *(len(FURTHER_LABELS[name].names) for name in ATTRIBUTES)]


class Reidentification(Task):
    """A unit vector and two classifications for each box.

    Losses: triplets of the hardest positive and the hardest negative of the batch with a soft margin (Hermans, Beyer, Leibe, "In defense
    of the triplet loss", 2017, arXiv 1703.07737, equations 5 and 6), and cross entropy of the attributes.
    """

    labels = ("identity", *ATTRIBUTES)
    outputs: ClassVar[Mapping[str, Restore]] = {"embeddings": as_it_is, **dict.fromkeys(ATTRIBUTES, as_it_is)}  # fmt: skip
    needs = ("detection",)

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        del fine_channels
        self.decoder = ObjectDecoder(channels, sum(SIZES))

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, LENGTH + kinds + colours, H/8, W/8]``."""
        found: Tensor = self.decoder(seen)
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """The terms ``identity``, where someone is in the batch twice, and ``kind`` and ``colour``."""
        rows = boxes_of(raw, batch)
        vectors, *logits = torch.split(rows, SIZES, dim=1)
        terms: dict[str, Tensor] = {}
        if "identity" in batch.further:
            identities = torch.cat(batch.further["identity"])
            known = identities >= 0
            cost = hardest_triplets(F.normalize(vectors[known], dim=1), identities[known])
            terms |= {} if cost is None else {"identity": cost}
        for name, scores in zip(ATTRIBUTES, logits, strict=True):
            wanted = torch.cat(batch.further[name]) if name in batch.further else None
            if wanted is not None and (wanted >= 0).any():
                terms[name] = F.cross_entropy(scores, wanted, ignore_index=-1)
        return terms

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``embeddings`` ``float32[N, K, LENGTH]`` of length 1; ``kind`` and ``colour`` ``float32[N, K, C]``, probabilities."""
        if found.boxes is None:
            raise ValueError("re-identification needs boxes")
        vectors, *logits = torch.split(at_boxes(raw.float(), found.boxes.boxes_xyxy), SIZES, dim=2)
        length = vectors.square().sum(dim=2, keepdim=True).clamp(min=1e-12).sqrt()
        told = {n: part.softmax(dim=2) for n, part in zip(ATTRIBUTES, logits, strict=True)}
        return {"embeddings": vectors / length, **told}

    @staticmethod
    def score() -> Score:
        """See `IdentityScore`."""
        return IdentityScore()


def hardest_triplets(vectors: Tensor, identities: Tensor) -> Tensor | None:
    """For each vector the farthest of its own identity should be nearer than the nearest of another.

    Args:
        vectors: ``float[M, D]`` of length 1.
        identities: ``int64[M]``.

    Returns:
        The mean over those that have both; ``None`` where none has.
    """
    distance = (2 - 2 * vectors @ vectors.T).clamp(min=1e-6).sqrt()
    same = identities[:, None] == identities[None]
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    usable = others.any(dim=1) & (~same).any(dim=1)
    if not usable.any():
        return None
    farthest = distance.masked_fill(~others, -1).amax(dim=1)
    nearest = distance.masked_fill(same, 3).amin(dim=1)
    return F.softplus(farthest - nearest)[usable].mean()


class IdentityScore(Score):
    """Each found object asks all those of other frames who it is: mean average precision, and how often the first answer is right.

    Source of the protocol: Zheng et al., "Scalable person re-identification", 2015; here all cameras are one, and frames take their place.
    Objects whose box was not found neither ask nor answer; ``found`` is the share of the others.
    """

    def __init__(self) -> None:
        self._vectors: list[NDArray[np.float32]] = []
        self._identities: list[int] = []
        self._frames: list[int] = []
        self._right: dict[str, list[bool]] = {name: [] for name in ATTRIBUTES}
        self._count = self._labelled = 0

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame."""
        identities = frame.further.get("identity")
        if identities is None:
            return
        self._count += 1
        rows, labelled = match_labelled(outputs, frame)
        self._labelled += labelled
        for i, row in enumerate(rows):
            if row < 0:
                continue
            self._vectors.append(outputs["embeddings"][row])
            self._identities.append(int(identities[i]))
            self._frames.append(self._count)
            for name, right in self._right.items():
                wanted = frame.further.get(name)
                if wanted is not None and wanted[i] >= 0:
                    right.append(bool(outputs[name][row].argmax() == wanted[i]))

    def compute(self) -> dict[str, float]:
        """``map``, ``rank1``, ``found``, ``top1/kind``, ``top1/colour``, in [0, 1]."""
        figures = {f"top1/{n}": float(np.mean(right)) for n, right in self._right.items() if right}
        if not self._vectors:
            return figures
        vectors = torch.from_numpy(np.stack(self._vectors))
        identities, frames = torch.tensor(self._identities), torch.tensor(self._frames)
        likeness = vectors @ vectors.T
        precisions, first = [], []
        for i in range(len(vectors)):
            asked = (frames != frames[i]) & (identities >= 0)
            right = (identities == identities[i])[asked]
            if identities[i] < 0 or not right.any():
                continue
            precisions.append(float(retrieval_average_precision(likeness[i][asked], right)))
            first.append(bool(right[likeness[i][asked].argmax()]))
        figures["found"] = len(vectors) / self._labelled
        if precisions:
            figures |= {"map": float(np.mean(precisions)), "rank1": float(np.mean(first))}
        return figures
