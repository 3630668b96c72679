"""Figures of a class map, from one confusion matrix summed over the data set (not means of per-image figures).

Knows pixel labels of `perception.core.labels`: single classes, groups and ignore. NumPy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perception.core.errors import ConfigError, check_array
from perception.core.labels import GROUPS, IGNORE, MAP_CLASSES, ROAD, VEHICLE, map_id
from perception.core.types import Bool, Int64, UInt8

IDS = len(MAP_CLASSES) + len(GROUPS)  # classes, then groups
OTHER = IDS  # a predicted id that stands for none of them
# labels that say whether a pixel is road: every class, and the groups without road
DECIDED = np.array(
    [True] * len(MAP_CLASSES) + [ROAD not in members for members in GROUPS.values()], np.bool_
)


def suffixed(figure: str, suffix: str) -> str:
    """The name of a figure of another kind of map: ``iou/road`` and ``_unmasked`` -> ``iou_unmasked/road``."""
    name, slash, class_name = figure.partition("/")
    return f"{name}{suffix}{slash}{class_name}"


@dataclass(frozen=True, slots=True)
class RoadCounts:
    """Pixels of the question road or not, at the class of highest score."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    def figures(self) -> dict[str, float]:
        """IoU, precision, recall and F1, each in [0, 1]; what has no pixels to judge by is left out."""
        tp, fp, fn = self.true_positive, self.false_positive, self.false_negative
        parts = {
            "iou": (tp, tp + fp + fn),
            "precision": (tp, tp + fp),
            "recall": (tp, tp + fn),
            "f1": (2 * tp, 2 * tp + fp + fn),
        }
        return {name: part / whole for name, (part, whole) in parts.items() if whole}


@dataclass(slots=True, eq=False)
class Confusion:
    """Pixel counts ``int64[label, prediction]`` of one or many frames; ids of the label space, groups included.

    Frames whose labels hold groups say only for some classes where they are *not*. They count for the question road or
    not, in `decided`, but in no class's IoU; `classes` holds the frames without groups.

    Attributes:
        decided: ``int64[IDS, IDS + 1]`` of all frames; the last column is predictions outside the label space.
        classes: the same, of the frames whose labels are single classes only.
    """

    decided: Int64 = field(default_factory=lambda: np.zeros((IDS, IDS + 1), np.int64))
    classes: Int64 = field(default_factory=lambda: np.zeros((IDS, IDS + 1), np.int64))

    def add(self, label_map: UInt8, predicted_map: UInt8) -> None:
        """Count one frame.

        Args:
            label_map: ``uint8[H, W]`` of classes, groups and ignore.
            predicted_map: ``uint8[H, W]``, ids of the same label space (`label_space_table` makes them).
        """
        check_array("Confusion: predicted_map", predicted_map, np.uint8, label_map.shape)
        judged = label_map != IGNORE
        predicted = np.minimum(predicted_map[judged], OTHER).astype(np.int64)
        pairs = label_map[judged].astype(np.int64) * (IDS + 1) + predicted
        counts = np.bincount(pairs, minlength=IDS * (IDS + 1)).reshape(IDS, IDS + 1)
        self.decided += counts
        if not counts[len(MAP_CLASSES) :].any():
            self.classes += counts

    def merge(self, other: "Confusion") -> None:
        """Count the frames of another one too."""
        self.decided += other.decided
        self.classes += other.classes

    def figures(self, classes: Sequence[int]) -> dict[str, float]:
        """``miou``, ``iou/CLASS``, ``road_iou``, ``road_precision``, ``road_recall``, ``road_f1``, ``vehicle_called_road``.

        Each in [0, 1]; what the labels do not allow is left out.
        """
        iou = self.class_iou(classes)
        found = {f"iou/{MAP_CLASSES[i]}": value for i, value in iou.items()}
        if iou:
            found["miou"] = float(np.mean(list(iou.values())))
        road = self.road_counts().figures()
        found.update({f"road_{name}": value for name, value in road.items()})
        called_road = self.vehicle_called_road()
        if called_road is not None:
            found["vehicle_called_road"] = called_road
        return found

    def class_iou(self, classes: Sequence[int]) -> dict[int, float]:
        """Intersection over union of each of `classes` that a label or a prediction has; in [0, 1].

        Empty where no frame labels single classes.
        """
        if not self.classes.any():
            return {}
        both = {i: int(self.classes[i, i]) for i in classes}
        either = {i: int(self.classes[i].sum() + self.classes[:, i].sum()) - both[i] for i in both}
        return {i: both[i] / either[i] for i in classes if either[i]}

    def road_counts(self) -> RoadCounts:
        """Road or not, over every pixel whose label decides it."""
        counts = self.decided[DECIDED]
        road = np.flatnonzero(DECIDED) == ROAD
        return RoadCounts(
            true_positive=int(counts[road, ROAD].sum()),
            false_positive=int(counts[~road, ROAD].sum()),
            false_negative=int(counts[road].sum() - counts[road, ROAD].sum()),
            true_negative=int(counts[~road].sum() - counts[~road, ROAD].sum()),
        )

    def vehicle_called_road(self) -> float | None:
        """Share in [0, 1] of the pixels labelled vehicle that are predicted road; ``None`` without such labels."""
        vehicle = int(self.decided[VEHICLE].sum())
        return int(self.decided[VEHICLE, ROAD]) / vehicle if vehicle else None


def label_space_table(map_classes: Sequence[str]) -> UInt8:
    """``uint8[256]`` from the ids of an engine's class map to ids of the label space; unknown ids become `OTHER`.

    Raises:
        ConfigError: a class that is neither class nor group of the label space.
    """
    unknown = sorted(set(map_classes) - {*MAP_CLASSES, *GROUPS})
    if unknown:
        raise ConfigError(
            f"map classes {unknown} are not in the label space; known: {[*MAP_CLASSES, *GROUPS]}"
        )
    table = np.full(256, OTHER, np.uint8)
    table[: len(map_classes)] = [map_id(name) for name in map_classes]
    return table


def road_truth(label_map: UInt8) -> tuple[Bool, Bool]:
    """Which pixels are road, and which say so: two ``bool[H, W]``."""
    decides = np.zeros(256, np.bool_)
    decides[:IDS] = DECIDED
    return label_map == ROAD, decides[label_map]
