"""COCO's JSON of object instances: which objects each listed picture shows.

Source: the data format of Lin et al., "Microsoft COCO: Common objects in context", ECCV 2014 (cocodataset.org, "Data format").
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, LabelMapping
from perception.datasets.base import is_box

logger = logging.getLogger(__name__)

MIN_CORNERS = 3
FARTHEST_PX = 1e6  # of a corner of an outline that is read
# what JSON of another form raises
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One annotation.

    Attributes:
        name: of its category.
        box_xyxy: px; it has an area.
        crowd: several objects that nobody drew one by one.
        outlines: polygons ``int32[P, 2]``, px; empty where only a box is drawn.
    """

    name: str
    box_xyxy: tuple[float, float, float, float]
    crowd: bool
    outlines: tuple[NDArray[np.int32], ...]


@dataclass(slots=True, eq=False)
class ListedPicture:
    """What the file says of one picture.

    Attributes:
        size_wh: px, or ``None`` where it does not tell.
        objects: in its order.
    """

    size_wh: tuple[int, int] | None
    objects: list[LabelledObject]


def read_annotations(path: Path, mapping: LabelMapping) -> dict[str, ListedPicture]:
    """File name -> size and objects, in the order of the file's pictures; those that show nothing are there too.

    Raises:
        InputError: the file is missing or damaged, or an id is there twice.
        ConfigError: categories and names of the mapping do not belong together.
    """
    entry: Any = "the file"
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
        _check_unique(path, table)
        names = {entry["id"]: str(entry["name"]) for entry in table["categories"]}
        pictures: dict[Any, ListedPicture] = {}
        found: dict[str, ListedPicture] = {}
        for entry in table["images"]:
            size = (int(entry["width"]), int(entry["height"])) if "width" in entry else None
            pictures[entry["id"]] = found[str(entry["file_name"])] = ListedPicture(size, [])
        flat = 0
        for entry in table["annotations"]:
            item = _object(names[entry["category_id"]], entry)
            picture = pictures[entry["image_id"]]
            if is_box(item.box_xyxy):
                picture.objects.append(item)
            else:
                flat += 1
    except BROKEN as error:
        where = f"{entry!r:.80}"
        raise InputError(f"{path}: cannot be read as COCO JSON: {error!r} in {where}") from error
    if flat:
        logger.warning("%s: %d boxes have no area and are left out", path, flat)
    _check_categories(path, set(names.values()), found, mapping)
    return found


def _check_unique(path: Path, table: Table) -> None:
    """Ids that come twice would move labels to other pictures, or lose some."""
    for part, key in (("categories", "id"), ("images", "id"), ("images", "file_name")):
        seen = Counter(entry[key] for entry in table[part])
        twice = [value for value, count in seen.items() if count > 1]
        if twice:
            raise InputError(
                f"{path}: {part}: {key} {twice[0]!r} is there twice; were two exports put together without new ids?"
            )


def _check_categories(
    path: Path, known: set[str], pictures: Mapping[str, ListedPicture], mapping: LabelMapping
) -> None:
    """Every category has a meaning, and every name that has one is a category: else a class would count as boxed that nobody boxed."""
    used = {item.name for picture in pictures.values() for item in picture.objects}
    if unmapped := sorted(used - mapping.boxes.keys()):
        raise ConfigError(
            f"{path}: category {unmapped[0]!r} is not mapped; name it in data.toml under [boxes] as one of {[*BOX_CLASSES, 'ignore']}"
        )
    if strange := sorted(str(name) for name in mapping.boxes if name not in known):
        raise ConfigError(
            f"{path}: data.toml maps {strange[0]!r}, which is no category there ({', '.join(sorted(known))}); leave out what nobody boxed"
        )


def _object(name: str, note: Table) -> LabelledObject:
    x, y, width, height = (float(value) for value in note["bbox"])
    crowd = bool(note.get("iscrowd", 0))
    drawn = note.get("segmentation")
    # run-length masks, which crowds have, are not read
    polygons = (
        [np.array(polygon, np.float64) for polygon in drawn] if isinstance(drawn, list) else []
    )
    outlines = tuple(
        np.rint(polygon.reshape(-1, 2)).astype(np.int32)
        for polygon in polygons
        if polygon.size >= 2 * MIN_CORNERS and (np.abs(polygon) < FARTHEST_PX).all()
    )
    return LabelledObject(name, (x, y, x + width, y + height), crowd, outlines)
