"""CamVid at 480x360 in SegNet's layout: 11 classes, boxes derived from connected components.

Source: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009; the split of SegNet, arXiv 1511.00561.
"""

import json
from itertools import groupby
from pathlib import Path

import numpy as np

from perception.core.errors import InputError
from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.datasets.base import (
    BoxLabels,
    Dataset,
    Sample,
    find_picture,
    read_image,
    read_label_map,
    unknown_split,
)

UNLABELLED = 11
BLOCK = 10  # frames of one validation block
EVERY = 5  # each fifth block of a drive's train frames is validation

DRIVES = ("0001TP", "0006R0", "0016E5")  # of the train frames

# split -> the folders of the set it draws from
FOLDERS = {
    "train": "train",
    "val": "val",
    "val_blocks": "train",
    "val_folder": "val",
    "test": "test",
    **{f"{part}_{drive}": "train" for part in ("drive", "train", "without") for drive in DRIVES},
}


class CamVid(Dataset):
    """CamVid frames.

    The published validation frames share a drive with the training frames, so validation also holds every fifth block of ten
    consecutive training frames of each drive, which then do not train.

    Args:
        root: folder with ``train.txt``, ``trainannot/``, ``boxes_train.json`` and so on.
        split: ``train``, ``val`` (both parts of validation), ``val_blocks`` and ``val_folder`` (one part each), ``test``; to ask how a
            recipe fares on a drive that it has not seen: ``without_DRIVE`` (``train`` less that drive) and ``drive_DRIVE`` (all train
            frames of it, those that validate too); ``train_DRIVE`` is what ``without_DRIVE`` leaves out. The val folder is of 0016E5.
    """

    def __init__(self, root: Path, split: str) -> None:
        if split not in FOLDERS:
            raise unknown_split("camvid", split, tuple(FOLDERS))
        self._root = root
        parts = ("val_blocks", "val_folder") if split == "val" else (split,)
        names = [f"{FOLDERS[part]}/{stem}" for part in parts for stem in _stems(root, part)]
        super().__init__(names)
        self._mapping = MAPPINGS["camvid"]
        self._table = self._mapping.pixel_table()
        self._boxes = {
            name: found
            for folder in {FOLDERS[part] for part in parts}
            for name, found in _read_boxes(root, folder).items()
        }

    def load(self, name: str) -> Sample:
        """Read frame, class map and boxes of ``folder/stem``."""
        folder, stem = name.split("/")
        image = read_image(find_picture(self._root / folder, stem))
        raw = read_label_map(self._root / f"{folder}annot" / f"{stem}.png", image.shape[:2])
        found = self._boxes.get(name, [])
        ids = [BOX_CLASSES.index(self._mapping.boxes[category]) for category, _ in found]
        boxes = BoxLabels(
            boxes_xyxy=np.array([box for _, box in found], np.float32).reshape(-1, 4),
            class_ids=np.array(ids, np.int64),
            boxed_classes=self._mapping.boxed_classes,
            unjudged=raw == UNLABELLED,
        )
        return Sample(name, image, self._table[raw], boxes, camera=None)


def _stems(root: Path, part: str) -> list[str]:
    listing = root / f"{FOLDERS[part]}.txt"
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{listing}: cannot be read as a list of frames: {error}") from error
    stems = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if FOLDERS[part] != "train":
        return stems
    kind, _, chosen = part.partition("_")
    kept = []
    for drive, frames in groupby(sorted(stems), key=lambda stem: stem.split("_")[0]):
        if kind == "drive":
            kept += [stem for stem in frames if drive == chosen]
        elif {"train": chosen in {"", drive}, "without": drive != chosen}.get(kind, True):
            for i, stem in enumerate(frames):
                is_val = (i // BLOCK) % EVERY == EVERY - 1
                kept += [stem] if is_val == (part == "val_blocks") else []
    return kept


def _read_boxes(root: Path, folder: str) -> dict[str, list[tuple[int, list[float]]]]:
    path = root / f"boxes_{folder}.json"
    boxes: dict[str, list[tuple[int, list[float]]]] = {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        names = {i["id"]: f"{folder}/{Path(i['file_name']).stem}" for i in table["images"]}
        for note in table["annotations"]:
            x, y, width, height = note["bbox"]
            category = int(note["category_id"])
            if category not in MAPPINGS["camvid"].boxes:
                raise InputError(f"{path}: unknown category {category}; expected 1, 2 or 3")
            entry = (category, [x, y, x + width, y + height])
            boxes.setdefault(names[note["image_id"]], []).append(entry)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as COCO JSON: {error!r}") from error
    return boxes
