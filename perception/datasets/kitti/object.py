"""KITTI object detection in its own layout: 2D boxes of vehicles, people and cyclists.

Source: Geiger, Lenz, Urtasun, "Are we ready for autonomous driving?", CVPR 2012.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from perception.core.errors import InputError
from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.datasets.base import (
    BoxLabels,
    Dataset,
    Sample,
    find_picture,
    list_stems,
    read_image,
    unknown_split,
)
from perception.datasets.kitti.calib import nominal_camera

T = TypeVar("T")

EVERY = 5  # each fifth frame is validation
LOCATION_Z = 12  # place, behind the type, of the metres from the camera along its axis


class KittiObject(Dataset):
    """KITTI object frames; ``DontCare`` and ``Misc`` regions are not judged.

    Args:
        root: folder that holds ``training/{image_2,label_2,calib}``.
        split: ``train``, ``val`` or ``all``.
    """

    stretch = 1  # KITTI shuffled this set: neighbours are not of one drive

    def __init__(self, root: Path, split: str) -> None:
        known = ("train", "val", "all")
        if split not in known:
            raise unknown_split("kitti_object", split, known)
        self._folder = root / "training"
        stems = list_stems(self._folder / "image_2")
        keep = (
            split == "all" or (i % EVERY == EVERY - 1) == (split == "val")
            for i in range(len(stems))
        )
        super().__init__([stem for stem, kept in zip(stems, keep, strict=True) if kept])

    def load(self, name: str) -> Sample:
        """Read frame, boxes and calibration."""
        image = read_image(find_picture(self._folder / "image_2", name))
        height, width = image.shape[:2]
        calib = self._folder / "calib" / f"{name}.txt"
        camera = nominal_camera(calib, (width, height)) if calib.is_file() else None
        return Sample(name, image, None, self._read_boxes(name, (height, width)), camera)

    def _read_boxes(self, name: str, shape: tuple[int, ...]) -> BoxLabels:
        path = self._folder / "label_2" / f"{name}.txt"
        return read_label_file(path, lambda rows: parse_objects(rows, shape))


def read_label_file(path: Path, parse: Callable[[list[list[str]]], T]) -> T:
    """What `parse` makes of the rows of a label file; `InputError` where it cannot be read or `parse` finds a row that is none."""
    with told_as_label_file(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return parse([line.split() for line in lines if line.strip()])


@contextmanager
def told_as_label_file(path: Path) -> Iterator[None]:
    """What goes wrong with the rows of a label file becomes an `InputError`."""
    try:
        yield
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: not a KITTI label file: {error!r}") from error


def parse_objects(rows: Iterable[Sequence[str]], shape: tuple[int, ...]) -> BoxLabels:
    """The boxes of one frame; ``DontCare`` and ``Misc`` regions are not judged.

    Args:
        rows: of a label file: type, truncated, occluded, alpha, x1, y1, x2, y2, h, w, l, x, y, z, rotation_y.
        shape: height and width of the frame, px.

    Raises:
        ValueError, KeyError, IndexError: a row is no such row.
    """
    mapping = MAPPINGS["kitti_object"]
    unjudged = np.zeros(shape, np.bool_)
    boxes: list[list[float]] = []
    ids: list[int] = []
    distances: list[float] = []
    for kind, *numbers in rows:
        x1, y1, x2, y2 = (float(n) for n in numbers[3:7])
        target = mapping.boxes[kind]
        if target == "ignore":
            left, top = max(0, int(x1)), max(0, int(y1))
            unjudged[top : max(0, int(y2) + 1), left : max(0, int(x2) + 1)] = True
        else:
            boxes.append([x1, y1, x2, y2])
            ids.append(BOX_CLASSES.index(target))
            distances.append(float(numbers[LOCATION_Z]))
    return BoxLabels(
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(ids, np.int64),
        boxed_classes=mapping.boxed_classes,
        unjudged=unjudged,
        distances_m=np.array(distances, np.float32),
    )
