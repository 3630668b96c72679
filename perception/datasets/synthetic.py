"""Drives of `perception.render` on disk, as ``perception render --out ROOT/train`` and ``ROOT/val`` leave them."""

from pathlib import Path

import numpy as np

from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.datasets.base import BoxLabels, Dataset, Sample, unknown_split
from perception.render.disk import read_labels, read_map, read_picture
from perception.render.records import ObjectLabel
from perception.render.store import is_clear, list_drives

SPLITS = ("train", "val")


class Synthetic(Dataset):
    """Frames of rendered drives. What is hardly seen (`perception.render.store.is_clear`) is a region that is not judged.

    Args:
        root: folder that holds ``train/DRIVE`` and ``val/DRIVE``.
        split: ``train`` or ``val``.
    """

    def __init__(self, root: Path, split: str) -> None:
        if split not in SPLITS:
            raise unknown_split("synthetic", split, SPLITS)
        self._drives = {
            f"{split}/{drive.folder.name}": drive for drive in list_drives(root / split)
        }
        self._mapping = MAPPINGS["synthetic"]
        self._table = self._mapping.pixel_table()
        super().__init__(
            [
                f"{name}/{index:06d}"
                for name, drive in self._drives.items()
                for index in sorted(set(range(drive.frames)) - {*drive.missing})
            ]
        )

    def load(self, name: str) -> Sample:
        """Read frame, class map, boxes and camera of ``split/drive/frame``."""
        place, _, number = name.rpartition("/")
        drive, index = self._drives[place], int(number)
        image = read_picture(drive.folder, index)
        raw = read_map(drive.folder, "class", index, image.shape[:2])
        boxes = self._boxes(read_labels(drive.folder, index), image.shape[:2])
        return Sample(name, image, self._table[raw], boxes, drive.camera)

    def _boxes(self, labels: tuple[ObjectLabel, ...], shape: tuple[int, ...]) -> BoxLabels:
        unjudged = np.zeros(shape, np.bool_)
        for label in labels:
            if not is_clear(label):
                x1, y1, x2, y2 = label.box_xyxy
                unjudged[y1:y2, x1:x2] = True
        clear = [label for label in labels if is_clear(label)]
        ids = [BOX_CLASSES.index(self._mapping.boxes[label.kind]) for label in clear]
        return BoxLabels(
            boxes_xyxy=np.array([label.box_xyxy for label in clear], np.float32).reshape(-1, 4),
            class_ids=np.array(ids, np.int64),
            boxed_classes=self._mapping.boxed_classes,
            unjudged=unjudged,
        )
