"""BDD100K in its own layout: boxes of the 100k pictures, class maps of the 10k ones.

Source: Yu et al., "BDD100K: A diverse driving dataset for heterogeneous multitask learning", CVPR 2020.
"""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import InputError
from perception.core.labels import IGNORE, LIGHTS, MAPPINGS, PLACES, WEATHERS, name_index
from perception.core.types import Float32, UInt8
from perception.datasets.base import (
    Dataset,
    Sample,
    find_picture,
    is_box,
    list_stems,
    read_image,
    read_label_map,
    unknown_split,
)
from perception.datasets.cityscapes import StreetObject, join_riders, street_boxes

logger = logging.getLogger(__name__)

SPLITS = ("train", "val")
# ids in masks, 0 to 18, -> labelId of Cityscapes and its colour there, RGB, which colour maps have
CLASSES = (
    (7, (128, 64, 128)), (8, (244, 35, 232)), (11, (70, 70, 70)), (12, (102, 102, 156)), (13, (190, 153, 153)),
    (17, (153, 153, 153)), (19, (250, 170, 30)), (20, (220, 220, 0)), (21, (107, 142, 35)), (22, (152, 251, 152)),
    (23, (70, 130, 180)), (24, (220, 20, 60)), (25, (255, 0, 0)), (26, (0, 0, 142)), (27, (0, 0, 70)),
    (28, (0, 60, 100)), (31, (0, 80, 100)), (32, (0, 0, 230)), (33, (119, 11, 32)),
)  # fmt: skip
# words of the labels -> those of the label space; a word that is not there is unknown
WORDS = {
    "weather": (
        WEATHERS,
        {"clear": "dry", "partly cloudy": "dry", "overcast": "dry", "rainy": "rain", "foggy": "fog"},
    ),
    "timeofday": (LIGHTS, {"daytime": "day", "dawn/dusk": "dusk", "night": "night"}),
    "scene": (PLACES, {"city street": "town", "residential": "town"}),
}  # fmt: skip
LABEL_OF = {"weather": "weather", "timeofday": "light", "scene": "place"}
CORNERS = ("x1", "y1", "x2", "y2")
# what JSON of another form raises
BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    attributes: Mapping[str, str]
    kinds: tuple[str, ...]
    boxes_xyxy: Float32
    left_out: int  # boxes without area


class Bdd100k(Dataset):
    """BDD100K frames: what is there of ``images/100k`` with boxes, then of ``images/10k`` with class maps.

    Boxes are read from ``labels/det_20/det_SPLIT.json``, or from the older ``labels/100k/SPLIT/STEM.json``; class maps from
    ``labels/sem_seg/masks`` or from ``labels/sem_seg/colormaps``. Frames with boxes have ``weather``, ``light`` and ``place`` too;
    "highway" tells no place of the label space, "snowy" no weather.

    Args:
        root: folder that holds ``images`` and ``labels``.
        split: ``train`` or ``val``.
    """

    stretch = 1  # one frame of each drive

    def __init__(self, root: Path, split: str) -> None:
        if split not in SPLITS:
            raise unknown_split("bdd100k", split, SPLITS)
        self._root, self._split = root, split
        folders = [f"100k/{split}", f"10k/{split}"]
        there = [f for f in folders if (root / "images" / f).is_dir()]
        if not there:
            raise InputError(
                f"{root / 'images'}: neither {' nor '.join(folders)} there; is the data set complete?"
            )
        self._labels = _read_table(root / "labels" / "det_20" / f"det_{split}.json")
        names = [f"{f}/{stem}" for f in there for stem in list_stems(root / "images" / f)]
        labelled = [name for name in names if self._is_labelled(name)]
        if not labelled:
            raise InputError(
                f"{root / 'labels'}: no labels of the {len(names)} pictures of split {split!r}: expected det_20/det_{split}.json, "
                f"100k/{split}/*.json, or {split}/*.png in sem_seg/masks or sem_seg/colormaps"
            )
        super().__init__(labelled)

    def load(self, name: str) -> Sample:
        """Read one frame and its boxes or its class map; names are ``100k/SPLIT/STEM`` and ``10k/SPLIT/STEM``."""
        folder, stem = name.rsplit("/", 1)
        image = read_image(find_picture(self._root / "images" / folder, stem))
        if folder.startswith("10k"):
            return Sample(name, image, self._class_map(stem, image.shape[:2]), None, None)
        labels = self._labels.get(stem) or _read_single(self._single(stem))
        objects = [
            StreetObject(kind, (x1, y1, x2, y2))
            for kind, (x1, y1, x2, y2) in zip(labels.kinds, labels.boxes_xyxy.tolist(), strict=True)
        ]
        unjudged = np.zeros(image.shape[:2], np.bool_)
        boxes, _ = street_boxes(join_riders(objects), unjudged, "bdd100k")
        return Sample(name, image, None, boxes, None, self._told(labels.attributes))

    def _told(self, attributes: Mapping[str, str]) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}
        for attribute, label in LABEL_OF.items():
            if label in self.further:
                names, words = WORDS[attribute]
                word = words.get(attributes.get(attribute, ""), "")
                found[label] = np.array(name_index(names, word), np.int64)
        return found

    def _single(self, stem: str) -> Path:
        return self._root / "labels" / "100k" / self._split / f"{stem}.json"

    def _maps(self, kind: str, stem: str) -> Path:
        return self._root / "labels" / "sem_seg" / kind / self._split / f"{stem}.png"

    def _is_labelled(self, name: str) -> bool:
        stem = name.rsplit("/", 1)[1]
        if name.startswith("10k"):
            return any(self._maps(kind, stem).is_file() for kind in ("masks", "colormaps"))
        return stem in self._labels or self._single(stem).is_file()

    def _class_map(self, stem: str, shape: tuple[int, ...]) -> UInt8:
        path = self._maps("masks", stem)
        table = MAPPINGS["bdd100k"].pixel_table()
        if path.is_file():
            ids = read_label_map(path, shape)
            to_class = np.full(256, IGNORE, np.uint8)
            to_class[: len(CLASSES)] = [table[label_id] for label_id, _ in CLASSES]
            masked: UInt8 = to_class[ids]
            return masked
        path = self._maps("colormaps", stem)
        colours = read_image(path)[..., ::-1].astype(np.int64) @ (1 << 16, 1 << 8, 1)
        if colours.shape != shape:
            raise InputError(f"{path}: expected labels of size {shape}, got {colours.shape}")
        class_map = np.full(shape, IGNORE, np.uint8)
        for label_id, (red, green, blue) in CLASSES:
            class_map[colours == (red << 16 | green << 8 | blue)] = table[label_id]
        return class_map


def _read_table(path: Path) -> dict[str, _Labels]:
    """Scalabel's list of frames by the stem of their picture; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        frames = json.loads(path.read_text(encoding="utf-8"))
        found = {
            Path(frame["name"]).stem: _labels(frame.get("attributes"), frame.get("labels"))
            for frame in frames
        }
    except BROKEN as error:
        raise InputError(f"{path}: cannot be read as Scalabel JSON: {error!r}") from error
    left_out = sum(labels.left_out for labels in found.values())
    if left_out:
        logger.warning("%s: %d boxes have no area and are left out", path, left_out)
    return found


def _read_single(path: Path) -> _Labels:
    """The older form: a file a picture, whose only frame holds the objects."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return _labels(table.get("attributes"), table["frames"][0]["objects"])
    except BROKEN as error:
        raise InputError(f"{path}: cannot be read as BDD100K JSON: {error!r}") from error


def _labels(
    attributes: Mapping[str, str] | None, objects: Sequence[Mapping[str, Any]] | None
) -> _Labels:
    """What is kept of a frame: the words of JSON for 70,000 frames would fill more than a gigabyte."""
    with_box = [item for item in objects or () if item.get("box2d")]
    found = [(item, [float(item["box2d"][key]) for key in CORNERS]) for item in with_box]
    kept = [(item, corners) for item, corners in found if is_box(corners)]
    told = {sys.intern(key): sys.intern(str((attributes or {}).get(key))) for key in WORDS}
    kinds = tuple(sys.intern(str(item["category"])) for item, _ in kept)
    boxes = np.array([corners for _, corners in kept], np.float32).reshape(-1, 4)
    return _Labels(told, kinds, boxes, left_out=len(found) - len(kept))
