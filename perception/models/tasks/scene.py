"""What kind of frame this is: weather, light, place."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.core.labels import FURTHER_LABELS
from perception.models.tasks.base import (
    Arrays,
    Found,
    LabelledBatch,
    LabelledFrame,
    Restore,
    Score,
    Seen,
    Task,
    as_it_is,
)

QUESTIONS = ("weather", "light", "place")
SIZES = [len(FURTHER_LABELS[name].names) for name in QUESTIONS]


class Scene(Task):
    """One linear layer on the means of the neck's deepest map; a softmax for each question. Loss: cross entropy."""

    labels = QUESTIONS
    outputs: ClassVar[Mapping[str, Restore]] = dict.fromkeys(QUESTIONS, as_it_is)

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        del fine_channels
        self.classify = nn.Linear(channels, sum(SIZES))

    def forward(self, seen: Seen) -> Tensor:
        """-> ``float[N, sum of the questions' classes]`` logits."""
        found: Tensor = self.classify(seen.pyramid[2].mean(dim=(2, 3)))
        return found

    def loss(self, raw: Tensor, batch: LabelledBatch) -> dict[str, Tensor]:
        """A term for each question that some frame answers."""
        terms = {}
        for name, logits in zip(QUESTIONS, torch.split(raw.float(), SIZES, dim=1), strict=True):
            wanted = batch.further.get(name)
            if wanted is not None and (wanted >= 0).any():
                terms[name] = F.cross_entropy(logits, wanted, ignore_index=-1)
        return terms

    def decode(self, raw: Tensor, found: Found) -> dict[str, Tensor]:
        """``weather``, ``light``, ``place``: ``float32[N, C]`` probabilities."""
        del found
        parts = torch.split(raw.float(), SIZES, dim=1)
        return {n: part.softmax(dim=1) for n, part in zip(QUESTIONS, parts, strict=True)}

    @staticmethod
    def score() -> Score:
        """See `SceneScore`."""
        return SceneScore()


class SceneScore(Score):
    """Share of the frames that are told right."""

    def __init__(self) -> None:
        self._right: dict[str, list[bool]] = {name: [] for name in QUESTIONS}

    def update(self, outputs: Arrays, frame: LabelledFrame) -> None:
        """One frame."""
        for name, right in self._right.items():
            wanted = frame.further.get(name)
            if wanted is not None and wanted >= 0:
                right.append(bool(outputs[name].argmax() == wanted))

    def compute(self) -> dict[str, float]:
        """``top1/QUESTION`` in [0, 1]."""
        return {f"top1/{n}": float(np.mean(right)) for n, right in self._right.items() if right}
