"""Data of a user's own: boxes in COCO's format, class maps as pictures, and ``data.toml``, which says what its names mean here.

Source: the data format of Lin et al., "Microsoft COCO: Common objects in context", ECCV 2014 (cocodataset.org, "Data format").
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.core.config import build_config, read_toml
from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, GROUPS, MAP_CLASSES, LabelMapping
from perception.core.types import Int64
from perception.datasets.base import (
    BoxLabels,
    Dataset,
    Sample,
    read_image,
    read_label_map,
    unknown_split,
)

logger = logging.getLogger(__name__)

FILE = "data.toml"
PICTURES = {".jpg", ".jpeg", ".png"}
MIN_CORNERS = 3

Table = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFiles:
    """One split; all paths are relative to ``data.toml``.

    Attributes:
        pictures: folder that the file names of the annotations are relative to.
        annotations: COCO's JSON of object instances; empty where nothing is boxed.
        maps: folder of class maps: 8 bit PNG, an id a pixel, named as their picture; empty where there are none. A frame without
            one has no class map.
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


@dataclass(frozen=True, slots=True)
class _Object:
    name: str
    box_xyxy: tuple[float, float, float, float]
    crowd: bool
    outlines: tuple[Int64, ...]  # polygons, px; empty where only a box is drawn


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
        if split not in config.split:
            raise unknown_split(root.name, split, tuple(config.split))
        files = config.split[split]
        self.stretch = config.stretch
        self._mapping = _mapping(config, origin)
        self._table = self._mapping.pixel_table()
        self._pictures = root / files.pictures
        self._maps = root / files.maps if files.maps else None
        self._objects: dict[str, list[_Object]] | None = None
        if files.annotations:
            self._objects = _read_annotations(root / files.annotations, self._mapping)
            names = list(self._objects)
        else:
            found = (p for p in self._pictures.rglob("*") if p.suffix.lower() in PICTURES)
            names = sorted(p.relative_to(self._pictures).as_posix() for p in found)
        if not names:
            raise InputError(f"{origin}: split {split!r}: no pictures in {self._pictures}")
        super().__init__(names)

    def load(self, name: str) -> Sample:
        """Read the picture of this file name, its boxes and its class map."""
        image = read_image(self._pictures / name)
        shape = image.shape[:2]
        class_map = None
        path = self._maps / Path(name).with_suffix(".png") if self._maps else None
        if path is not None and path.is_file():
            class_map = self._table[read_label_map(path, shape)]
        if self._objects is None:
            return Sample(name, image, class_map, boxes=None, camera=None)
        boxes, kept = self._boxes(self._objects[name], shape)
        further: dict[str, NDArray[Any]] = {}
        if self.further & {"instances", "instance"} and any(item.outlines for item in kept):
            known = _instances(kept, shape)
            further = {key: known[key] for key in self.further & known.keys()}
        return Sample(name, image, class_map, boxes, camera=None, further=further)

    def _boxes(
        self, objects: list[_Object], shape: tuple[int, ...]
    ) -> tuple[BoxLabels, list[_Object]]:
        unjudged = np.zeros(shape, np.bool_)
        kept: list[_Object] = []
        for item in objects:
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


def _read_annotations(path: Path, mapping: LabelMapping) -> dict[str, list[_Object]]:
    """File name -> objects, in the order of the file's pictures; those that show nothing are there too."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        names = {entry["id"]: str(entry["name"]) for entry in table["categories"]}
        pictures = {entry["id"]: str(entry["file_name"]) for entry in table["images"]}
        found: dict[str, list[_Object]] = {name: [] for name in pictures.values()}
        for note in table["annotations"]:
            item = _object(names[note["category_id"]], note)
            found[pictures[note["image_id"]]].append(item)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as COCO JSON: {error!r}") from error
    flat = 0
    for name, objects in found.items():
        found[name] = [item for item in objects if _has_area(item)]
        flat += len(objects) - len(found[name])
    if flat:
        logger.warning("%s: %d boxes have no area and are left out", path, flat)
    used = {item.name for objects in found.values() for item in objects}
    unmapped = sorted(used - mapping.boxes.keys())
    if unmapped:
        raise ConfigError(
            f"{path}: category {unmapped[0]!r} is not mapped; name it in {FILE} under [boxes] as one of {[*BOX_CLASSES, 'ignore']}"
        )
    return found


def _object(name: str, note: Table) -> _Object:
    x, y, width, height = (float(value) for value in note["bbox"])
    crowd = bool(note.get("iscrowd", 0))
    drawn = note.get("segmentation")
    # run-length masks, which crowds have, are not read
    polygons = drawn if isinstance(drawn, list) else []
    outlines = tuple(
        np.rint(np.array(polygon, np.float64).reshape(-1, 2)).astype(np.int64)
        for polygon in polygons
        if len(polygon) >= 2 * MIN_CORNERS
    )
    return _Object(name, (x, y, x + width, y + height), crowd, outlines)


def _has_area(item: _Object) -> bool:
    x1, y1, x2, y2 = item.box_xyxy
    return x2 > x1 and y2 > y1  # false for NaN too


def _instances(objects: list[_Object], shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Numbers from 1, in the order of the boxes; inside a box without an outline nobody knows."""
    numbers = np.zeros(shape, np.int32)
    for item in objects:
        if not item.outlines:
            x1, y1, x2, y2 = (max(0, round(value)) for value in item.box_xyxy)
            numbers[y1:y2, x1:x2] = -1
    for number, item in enumerate(objects, start=1):
        if item.outlines:
            cv2.fillPoly(numbers, [line.astype(np.int32) for line in item.outlines], number)
    known = [number if item.outlines else -1 for number, item in enumerate(objects, start=1)]
    return {"instances": numbers, "instance": np.array(known, np.int64)}
