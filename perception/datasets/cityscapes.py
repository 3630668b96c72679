"""Pictures and class maps side by side in ``leftImg8bit`` and ``gtFine``: Cityscapes, and IDD Lite, which took its layout.

Sources:
    Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016.
    Varma et al., "IDD: A dataset for exploring problems of autonomous navigation in unconstrained environments", WACV 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import InputError
from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.core.types import Bool, Int64, UInt8
from perception.datasets.base import (
    PICTURES,
    BoxLabels,
    Dataset,
    Sample,
    find_picture,
    read_image,
    read_label_map,
    unknown_split,
)

SPLITS = ("train", "val")
# labelIds of what is numbered object by object, 1000 times this plus the number; the id alone is a crowd of them
OBJECTS = {
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 29: "caravan", 30: "trailer", 31: "train",
    32: "motorcycle", 33: "bicycle",
}  # fmt: skip
PER_CLASS = 1000
RIDERS = ("rider",)
RIDDEN = {
    "bicycle": "cyclist", "bike": "cyclist", "motorcycle": "motorcyclist", "motor": "motorcyclist",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StreetObject:
    """One labelled object.

    Attributes:
        kind: in the words of `perception.core.labels.STREET_BOXES`.
        box_xyxy: px.
        numbers: of the instances that it is made of; empty where the set numbers none.
    """

    kind: str
    box_xyxy: tuple[float, float, float, float]
    numbers: tuple[int, ...] = ()


class _SideBySide(Dataset):
    """``leftImg8bit/SPLIT/PLACE/STEM + PICTURE`` beside ``gtFine/SPLIT/PLACE/STEM + LABELS``."""

    SET: ClassVar[str]
    PICTURE: ClassVar[str]
    LABELS: ClassVar[str]

    def __init__(self, root: Path, split: str) -> None:
        if split not in SPLITS:
            raise unknown_split(self.SET, split, SPLITS)
        self._pictures, self._truth = root / "leftImg8bit" / split, root / "gtFine" / split
        self._table = MAPPINGS[self.SET].pixel_table()
        found = {
            f"{path.parent.name}/{path.stem.removesuffix(self.PICTURE)}"
            for path in self._pictures.glob(f"*/*{self.PICTURE}.*")
            if path.suffix in PICTURES
        }
        if not found:
            raise InputError(f"{self._pictures}: no pictures there; is the data set complete?")
        super().__init__(sorted(found))

    def load(self, name: str) -> Sample:
        """Read frame and class map of ``place/stem``."""
        image, class_map = self._read(name)
        return Sample(name, image, class_map, boxes=None, camera=None)

    def _read(self, name: str) -> tuple[UInt8, UInt8]:
        image = read_image(find_picture(self._pictures, name + self.PICTURE))
        raw = read_label_map(self._truth / f"{name}{self.LABELS}.png", image.shape[:2])
        return image, self._table[raw]


class IddLite(_SideBySide):
    """IDD Lite frames: 320x227, squeezed from 16:9. Its seven classes are groups of the label space but for road and sky.

    Args:
        root: folder that holds ``idd20k_lite/{leftImg8bit,gtFine}``.
        split: ``train`` or ``val``; no drive is in both.
    """

    SET, PICTURE, LABELS = "idd_lite", "_image", "_label"

    def __init__(self, root: Path, split: str) -> None:
        super().__init__(root / "idd20k_lite", split)


class Cityscapes(_SideBySide):
    """Cityscapes frames with their fine labels; where there are ``instanceIds``, with boxes, and ``instances`` and ``instance``.

    What is labelled as a crowd, and two-wheelers that nobody rides, are not judged.

    Args:
        root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``train`` or ``val``.
    """

    SET, PICTURE, LABELS = "cityscapes", "_leftImg8bit", "_gtFine_labelIds"
    stretch = 1  # 20 seconds lie between neighbours

    def load(self, name: str) -> Sample:
        """Read frame, class map and boxes of ``city/stem``."""
        image, class_map = self._read(name)
        path = self._truth / f"{name}_gtFine_instanceIds.png"
        if not path.is_file():
            return Sample(name, image, class_map, boxes=None, camera=None)
        raw = read_label_map(path, image.shape[:2], np.uint16)
        objects = join_riders(numbered_objects(raw))
        crowd = (raw >= min(OBJECTS)) & (raw < PER_CLASS)
        boxes, kept = street_boxes(objects, crowd, self.SET)
        further: dict[str, NDArray[Any]] = {}
        if self.further & {"instances", "instance"}:
            table = np.zeros(2**16, np.int32)
            table[min(OBJECTS) : PER_CLASS] = -1  # one of several, nobody knows which
            for item in objects:
                table[list(item.numbers)] = item.numbers[0] if item in kept else -1
            numbers = np.array([item.numbers[0] for item in kept], np.int64)
            known = {"instances": table[raw], "instance": numbers}
            further = {key: known[key] for key in self.further & known.keys()}
        return Sample(name, image, class_map, boxes, camera=None, further=further)


def numbered_objects(raw: NDArray[Any]) -> list[StreetObject]:
    """The objects of ``uint16[H, W]`` instanceIds with the boxes around their pixels."""
    rows, columns = np.nonzero(raw >= PER_CLASS * min(OBJECTS))
    ids = raw[rows, columns].astype(np.int64)
    order = np.argsort(ids, kind="stable")
    numbers, start = np.unique(ids[order], return_index=True)
    if not len(numbers):
        return []
    low = [np.minimum.reduceat(axis[order], start) for axis in (columns, rows)]
    high = [np.maximum.reduceat(axis[order], start) + 1 for axis in (columns, rows)]
    corners = np.stack([*low, *high], axis=1).tolist()
    return [
        StreetObject(OBJECTS[number // PER_CLASS], (x1, y1, x2, y2), (number,))
        for number, (x1, y1, x2, y2) in zip(numbers.tolist(), corners, strict=True)
        if number // PER_CLASS in OBJECTS
    ]


def join_riders(objects: Sequence[StreetObject]) -> list[StreetObject]:
    """A rider and the two-wheeler whose box overlaps the rider's most become one ``cyclist`` or ``motorcyclist``, as other sets box them.

    Riders come in their order, and each two-wheeler has one. Who overlaps none stays a ``rider``; what nobody rides stays what it is.
    """
    left = list(objects)
    joined: list[StreetObject] = []
    for rider in [item for item in objects if item.kind in RIDERS]:
        near = [
            (_overlap(rider, item), index)
            for index, item in enumerate(left)
            if item.kind in RIDDEN and _overlap(rider, item) > 0
        ]
        if not near:
            continue
        below = left.pop(max(near)[1])
        left.remove(rider)
        a, b = rider.box_xyxy, below.box_xyxy
        around = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        joined.append(StreetObject(RIDDEN[below.kind], around, rider.numbers + below.numbers))
    return left + joined


def _overlap(first: StreetObject, second: StreetObject) -> float:
    """Area, px."""
    a, b = first.box_xyxy, second.box_xyxy
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def street_boxes(
    objects: Sequence[StreetObject], unjudged: Bool, dataset: str
) -> tuple[BoxLabels, list[StreetObject]]:
    """The boxes of a frame.

    Args:
        objects: of the frame; kinds that the set's mapping does not name, such as signs, are left out.
        unjudged: ``bool[H, W]``; the boxes of what is ignored are added to it.
        dataset: its name in `MAPPINGS`.

    Returns:
        The labels, and the object of each box.
    """
    mapping = MAPPINGS[dataset]
    kept: list[StreetObject] = []
    ids: list[int] = []
    for item in objects:
        target = mapping.boxes.get(item.kind)
        if target == "ignore":
            x1, y1, x2, y2 = (round(value) for value in item.box_xyxy)
            unjudged[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = True
        elif target is not None:
            kept.append(item)
            ids.append(BOX_CLASSES.index(target))
    class_ids: Int64 = np.array(ids, np.int64)
    boxes = BoxLabels(
        boxes_xyxy=np.array([item.box_xyxy for item in kept], np.float32).reshape(-1, 4),
        class_ids=class_ids,
        boxed_classes=mapping.boxed_classes,
        unjudged=unjudged,
    )
    return boxes, kept
