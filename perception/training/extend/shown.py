"""A part of a data set: some of its frames, and the labels of some classes and tasks; the others are as if nobody had drawn them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.labels import (
    BOX_CLASSES,
    FURTHER_LABELS,
    GROUPS,
    IGNORE,
    MAP_CLASSES,
)
from perception.core.types import Bool, UInt8
from perception.datasets import BoxLabels, Dataset, Sample
from perception.models.tasks import TASKS
from perception.training.mixture import SetConfig


def hidden_names(entry: SetConfig) -> frozenset[str]:
    """Classes and tasks whose labels an entry of the mixture hides."""
    if entry.only:
        return frozenset((*MAP_CLASSES, *TASKS)) - frozenset(entry.only)
    return frozenset(entry.hide)


def spread(total: int, count: int) -> list[int]:
    """Places of `count` of `total` frames, spread evenly; of all where `count` is 0 or more than there are."""
    kept = min(count or total, total)
    return [int(i) for i in np.linspace(0, total - 1, kept).round()]


class ShownPart(Dataset):
    """A set of which a part is shown.

    Pixels of a hidden class are ignored, its boxes become areas where detection is not judged, and it counts as not boxed. A group stays
    as long as both its members and the other classes have one that is shown. Labels of a hidden task become unknown.

    Args:
        dataset: the whole.
        hidden: names of classes and tasks.
        frames: how many are kept, spread evenly; 0 for all.
        absence: whether pixels of hidden classes say that they hold none of those shown (label ``absent``).
    """

    def __init__(
        self, dataset: Dataset, hidden: Iterable[str], frames: int = 0, *, absence: bool = False
    ) -> None:
        names = frozenset(hidden)
        super().__init__([dataset.names[i] for i in spread(len(dataset), frames)])
        self._dataset = dataset
        self._table = _pixel_table(names)
        self._boxes = np.array([name in names for name in BOX_CLASSES])
        self._outlines = "boundary" not in names
        # the outlines of classes that are hidden one by one go with them
        self._own_map = not absence
        self._elsewhere = _only_hidden(names)
        self._absence = absence and not names.issuperset(MAP_CLASSES)
        asked = {label for task in TASKS if task not in names for label in TASKS[task].labels}
        tasks = [task for task in TASKS if task in names]
        self._unknown = {label for task in tasks for label in TASKS[task].labels} - asked

    def load(self, name: str) -> Sample:
        """Read one sample, and hide."""
        self._dataset.further = self.further
        sample = self._dataset.load(name)
        further = dict(sample.further)
        whole = class_map = sample.class_map
        if whole is not None:
            class_map = self._table[whole]
            further |= self._maps(whole, class_map)
        boxes = sample.boxes
        if boxes is not None:
            kept = ~self._boxes[boxes.class_ids]
            for label in further:
                if FURTHER_LABELS[label].of in {"box", "points"}:
                    further[label] = further[label][kept]
            boxes = self._shown_boxes(boxes, kept)
        for label in self._unknown & set(further):
            further[label] = np.full_like(further[label], FURTHER_LABELS[label].unknown)
        return replace(sample, class_map=class_map, boxes=boxes, further=further)

    def _maps(self, whole: UInt8, shown: UInt8) -> dict[str, NDArray[Any]]:
        """What the hidden part of a class map still tells."""
        maps: dict[str, NDArray[Any]] = {}
        if "outlines" in self.further:
            outlines = shown if self._own_map else whole
            maps["outlines"] = outlines if self._outlines else np.full_like(whole, IGNORE)
        if self._absence:
            maps["absent"] = np.where(self._elsewhere[whole], 1, IGNORE).astype(np.uint8)
        return maps

    def _shown_boxes(self, boxes: BoxLabels, kept: Bool) -> BoxLabels | None:
        shown = tuple(i for i in boxes.boxed_classes if not self._boxes[i])
        if not shown:
            return None
        unjudged = boxes.unjudged.copy()
        height, width = unjudged.shape
        for x1, y1, x2, y2 in boxes.boxes_xyxy[~kept]:
            rows = slice(max(0, int(y1)), min(height, int(np.ceil(y2))))
            unjudged[rows, max(0, int(x1)) : min(width, int(np.ceil(x2)))] = True
        distances = None if boxes.distances_m is None else boxes.distances_m[kept]
        return BoxLabels(boxes.boxes_xyxy[kept], boxes.class_ids[kept], shown, unjudged, distances)


def _only_hidden(hidden: frozenset[str]) -> Bool:
    """``bool[256]``: ids of the label space that allow hidden classes alone."""
    ids = {i for i, name in enumerate(MAP_CLASSES) if name in hidden}
    table = np.zeros(256, np.bool_)
    table[list(ids)] = True
    for group, members in enumerate(GROUPS.values(), start=len(MAP_CLASSES)):
        table[group] = ids.issuperset(members)
    return table


def _pixel_table(hidden: frozenset[str]) -> UInt8:
    """``uint8[256]``: ids of the label space to themselves, or to ignore."""
    table = np.arange(256).astype(np.uint8)
    ids = {i for i, name in enumerate(MAP_CLASSES) if name in hidden}
    table[list(ids)] = IGNORE
    for group, members in enumerate(GROUPS.values(), start=len(MAP_CLASSES)):
        others = set(range(len(MAP_CLASSES))) - set(members)
        if ids.issuperset(members) or ids.issuperset(others):
            table[group] = IGNORE
    return table
