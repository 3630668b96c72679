"""Data of a user's own: boxes in COCO's format, class maps as pictures, and ``data.toml``, which says what its names mean here.

Source: the data format of Lin et al., "Microsoft COCO: Common objects in context", ECCV 2014 (cocodataset.org, "Data format").
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.core.config import build_config, read_toml
from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, GROUPS, MAP_CLASSES, LabelMapping
from perception.core.types import UInt8
from perception.datasets.base import (
    BoxLabels,
    Dataset,
    Sample,
    is_box,
    read_image,
    read_label_map,
    unknown_split,
)
from perception.datasets.coco.annotations import LabelledObject, ListedPicture, read_annotations

FILE = "data.toml"
PICTURES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFiles:
    """One split; all paths are relative to ``data.toml``.

    Attributes:
        pictures: folder that the file names of the annotations are relative to.
        annotations: COCO's JSON of object instances; empty where nothing is boxed.
        maps: folder of class maps: 8 bit PNG, an id a pixel, named as their picture; empty where there are none. A frame without
            one has no class map, one that the annotations list without boxes shows no objects.
    """

    pictures: str
    annotations: str = ""
    maps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnData:
    """``data.toml``.

    Attributes:
        split: name -> its files.
        boxes: name of a category -> a box class of `perception.core.labels`, or ``"ignore"``: not judged where it is.
        pixels: id in the class maps -> a class or a group of `perception.core.labels`, or ``"ignore"``.
        stretch: how many neighbouring frames may show the same stretch of road: intervals of figures are drawn by such blocks.
    """

    split: dict[str, SplitFiles]
    boxes: dict[str, str] = field(default_factory=dict)
    pixels: dict[str, str] = field(default_factory=dict)
    stretch: int = 10


class OwnFrames(Dataset):
    """Frames of a folder that holds ``data.toml``. Where objects have outlines, it has ``instances`` and ``instance``.

    Crowds, and categories that are mapped to ``"ignore"``, are not judged. Boxes without area are left out, with a warning.

    Args:
        root: the folder.
        split: one that the file names.

    Raises:
        ConfigError: the file has an unknown key or class, or no such split.
        InputError: the annotations are missing or damaged.
    """

    def __init__(self, root: Path, split: str) -> None:
        origin = str(root / FILE)
        if not (root / FILE).is_file():
            raise ConfigError(f"{root}: no {FILE} there; the README shows one: Bring your data")
        config = build_config(OwnData, read_toml(root / FILE), origin)
        if config.stretch < 1:
            raise ConfigError(f"{origin}: stretch: expected at least 1 frame, got {config.stretch}")
        if split not in config.split:
            raise unknown_split(root.name, split, tuple(config.split))
        files = config.split[split]
        self.stretch = config.stretch
        self._mapping = _mapping(config, origin)
        self._table = self._mapping.pixel_table()
        self._pictures = root / files.pictures
        self._maps = root / files.maps if files.maps else None
        self._listed: dict[str, ListedPicture] | None = None
        if files.annotations:
            self._listed = read_annotations(root / files.annotations, self._mapping)
            names = list(self._listed)
        else:
            found = (p for p in self._pictures.rglob("*") if p.suffix.lower() in PICTURES)
            kept = (p for p in found if self._maps is None or self._maps not in p.parents)
            names = sorted(p.relative_to(self._pictures).as_posix() for p in kept)
        if not names:
            raise InputError(f"{origin}: split {split!r}: no pictures in {self._pictures}")
        if self._maps is not None:
            if not config.pixels:
                raise ConfigError(
                    f"{origin}: maps without [pixels]: nothing says what their ids mean"
                )
            if not any(self._map_of(name).is_file() for name in names):
                raise InputError(
                    f"{self._maps}: no class map of the {len(names)} pictures; expected one named like {self._map_of(names[0]).name}"
                )
        super().__init__(names)

    def load(self, name: str) -> Sample:
        """Read the picture of this file name, its boxes and its class map."""
        image = read_image(self._pictures / name)
        shape = image.shape[:2]
        class_map = None
        if self._maps is not None and self._map_of(name).is_file():
            class_map = self._read_map(self._map_of(name), shape)
        if self._listed is None:
            return Sample(name, image, class_map, boxes=None, camera=None)
        listed = self._listed[name]
        if listed.size_wh not in {None, shape[::-1]}:
            raise InputError(
                f"{self._pictures / name}: the annotations are of a picture of {listed.size_wh}, got {shape[::-1]}"
            )
        boxes, kept = self._boxes(listed.objects, shape)
        further: dict[str, NDArray[Any]] = {}
        if self.further & {"instances", "instance"} and any(item.outlines for item in kept):
            known = _instances(kept, shape)
            further = {key: known[key] for key in self.further & known.keys()}
        return Sample(name, image, class_map, boxes, camera=None, further=further)

    def _map_of(self, name: str) -> Path:
        return (self._maps or self._pictures) / Path(name).with_suffix(".png")

    def _read_map(self, path: Path, shape: tuple[int, ...]) -> UInt8:
        ids = read_label_map(path, shape)
        strange = sorted({*np.unique(ids).tolist()} - self._mapping.pixels.keys())
        if strange:
            raise InputError(
                f"{path}: id {strange[0]} is not among [pixels] of {FILE}; name what it means, or map it to 'ignore'"
            )
        class_map: UInt8 = self._table[ids]
        return class_map

    def _boxes(
        self, objects: list[LabelledObject], shape: tuple[int, ...]
    ) -> tuple[BoxLabels, list[LabelledObject]]:
        unjudged = np.zeros(shape, np.bool_)
        kept: list[LabelledObject] = []
        for item in _clipped(objects, shape):
            if item.crowd or self._mapping.boxes[item.name] == "ignore":
                x1, y1, x2, y2 = (max(0, round(value)) for value in item.box_xyxy)
                unjudged[y1:y2, x1:x2] = True
            else:
                kept.append(item)
        ids = [BOX_CLASSES.index(self._mapping.boxes[item.name]) for item in kept]
        boxes = BoxLabels(
            boxes_xyxy=np.array([item.box_xyxy for item in kept], np.float32).reshape(-1, 4),
            class_ids=np.array(ids, np.int64),
            boxed_classes=self._mapping.boxed_classes,
            unjudged=unjudged,
        )
        return boxes, kept


def _mapping(config: OwnData, origin: str) -> LabelMapping:
    for key, table, known in (
        ("boxes", config.boxes, BOX_CLASSES),
        ("pixels", config.pixels, (*MAP_CLASSES, *GROUPS)),
    ):
        for name, target in table.items():
            if target not in (*known, "ignore"):
                raise ConfigError(
                    f"{origin}: {key}.{name}: unknown class {target!r}; known: {[*known, 'ignore']}"
                )
    strange = [name for name in config.pixels if not name.isdecimal() or int(name) > 255]
    if strange:
        raise ConfigError(f"{origin}: pixels: expected ids from 0 to 255, got {strange[0]!r}")
    pixels: dict[int | str, str] = {int(name): target for name, target in config.pixels.items()}
    boxes: dict[int | str, str] = dict(config.boxes.items())
    return LabelMapping(pixels=pixels, boxes=boxes)


def _clipped(objects: list[LabelledObject], shape: tuple[int, ...]) -> list[LabelledObject]:
    """What of the objects lies in the frame: nobody can find more."""
    height, width = shape
    found = []
    for item in objects:
        x1, y1, x2, y2 = item.box_xyxy
        box = (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2))
        if is_box(box):
            found.append(replace(item, box_xyxy=box))
    return found


def _instances(objects: list[LabelledObject], shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Numbers from 1, in the order of the boxes; inside a box without an outline nobody knows."""
    numbers = np.zeros(shape, np.int32)
    for item in objects:
        if not item.outlines:
            x1, y1, x2, y2 = (max(0, round(value)) for value in item.box_xyxy)
            numbers[y1:y2, x1:x2] = -1
    for number, item in enumerate(objects, start=1):
        if item.outlines:
            for line in item.outlines:  # one by one: together, what overlaps would be a hole
                cv2.fillPoly(numbers, [line], number)
    known = [number if item.outlines else -1 for number, item in enumerate(objects, start=1)]
    return {"instances": numbers, "instance": np.array(known, np.int64)}
