"""KITTI road in its own layout: road, not road, not scored.

Source: Fritsch, Kuehnl, Geiger, "A new performance measure and evaluation benchmark for road detection algorithms", ITSC 2013.
"""

from pathlib import Path

import numpy as np

from perception.core.errors import InputError
from perception.core.labels import MAPPINGS, map_id
from perception.datasets.base import (
    Dataset,
    Sample,
    find_picture,
    list_stems,
    read_image,
    unknown_split,
)
from perception.datasets.kitti.calib import road_camera

# category -> first and last frame number of validation: whole blocks, since neighbours look alike
VALIDATION = {"um": (52, 69), "umm": (9, 30), "uu": (65, 72)}


class KittiRoad(Dataset):
    """KITTI road training frames; not-scored pixels are ignored.

    Args:
        root: folder that holds ``data_road/training/{image_2,gt_image_2,calib}``.
        split: ``train``, ``val`` or ``all``.
    """

    def __init__(self, root: Path, split: str) -> None:
        known = ("train", "val", "all")
        if split not in known:
            raise unknown_split("kitti_road", split, known)
        self._folder = root / "data_road" / "training"
        stems = list_stems(self._folder / "image_2")
        super().__init__(
            [s for s in stems if _is_validation(s) == (split == "val") or split == "all"]
        )
        self._pixels = MAPPINGS["kitti_road"].pixels

    def load(self, name: str) -> Sample:
        """Read frame, road label and, where the file is there, the calibration."""
        image = read_image(find_picture(self._folder / "image_2", name))
        category, number = name.split("_")
        truth = read_image(find_picture(self._folder / "gt_image_2", f"{category}_road_{number}"))
        if truth.shape != image.shape:
            raise InputError(
                f"{name}: expected labels of size {image.shape[:2]}, got {truth.shape[:2]}"
            )
        road, scored = truth[..., 0] > 0, truth[..., 2] > 0  # blue and red, in BGR
        class_map = np.full(road.shape, map_id(self._pixels["not_road"]), np.uint8)
        class_map[road] = map_id(self._pixels["road"])
        class_map[~scored] = map_id(self._pixels["not_scored"])
        height, width = road.shape
        calib = self._folder / "calib" / f"{name}.txt"
        camera = road_camera(calib, (width, height)) if calib.is_file() else None
        return Sample(name, image, class_map, boxes=None, camera=camera)


def _is_validation(stem: str) -> bool:
    category, _, number = stem.partition("_")
    if category not in VALIDATION or not number.isdecimal():
        raise InputError(f"{stem}: not a frame of KITTI road; expected a name like um_000000")
    first, last = VALIDATION[category]
    return first <= int(number) <= last
