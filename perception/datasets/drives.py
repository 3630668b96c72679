"""Labelled drives in the order of time: what streaming accuracy is measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from perception.core.errors import InputError
from perception.core.types import Float64
from perception.datasets.base import Sample
from perception.datasets.kitti.object import parse_objects
from perception.datasets.synthetic import Synthetic
from perception.render.store import list_drives

KITTI_HZ = 10.0
KITTI_SHAPE = (375, 1242)  # px, of the pictures of the sequence


@dataclass(frozen=True, slots=True)
class LabelledDrive:
    """Frames of one drive.

    Attributes:
        name: of the drive.
        moments_s: ``float64[F]``, when each frame was taken, ascending.
        load: reads one frame by its index.
    """

    name: str
    moments_s: Float64
    load: Callable[[int], Sample]


def rendered_drives(root: Path) -> list[LabelledDrive]:
    """The drives of ``root/val``, as ``perception render --out ROOT/val`` leaves them.

    Raises:
        InputError: there is none, or one is not complete.
    """
    frames = Synthetic(root, "val")
    drives = {f"val/{drive.folder.name}": drive for drive in list_drives(root / "val")}
    found: list[LabelledDrive] = []
    for name, members in groupby(frames.names, lambda name: name.rpartition("/")[0]):
        names, drive = list(members), drives[name]
        if drive.missing:
            raise InputError(
                f"{drive.folder}: {len(drive.missing)} of {drive.frames} frames are missing; render it to its end first"
            )
        moments_s = np.arange(len(names)) / drive.config.fps
        found.append(LabelledDrive(name, moments_s, _reader(frames, names)))
    return found


def _reader(frames: Synthetic, names: Sequence[str]) -> Callable[[int], Sample]:
    return lambda index: frames.load(names[index])


def kitti_tracks(root: Path, sequence: str = "0001") -> list[LabelledDrive]:
    """A sequence of KITTI tracking as one drive of labels, without its pictures.

    Source: Geiger, Lenz, Urtasun, "Are we ready for autonomous driving?", CVPR 2012; its tracking benchmark.

    Args:
        root: folder that holds ``training/label_02``.
        sequence: of the benchmark.

    Raises:
        InputError: the label file is missing or damaged.
    """
    path = root / "training" / "label_02" / f"{sequence}.txt"
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        frames = 1 + max(int(row[0]) for row in rows)
        # behind frame and track stands what a label of the object benchmark has
        objects = [[row[2:] for row in rows if int(row[0]) == index] for index in range(frames)]
        labels = [parse_objects(found, KITTI_SHAPE) for found in objects]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: not a KITTI tracking label file: {error!r}") from error
    blank = np.zeros((*KITTI_SHAPE, 3), np.uint8)

    def load(index: int) -> Sample:
        return Sample(f"{sequence}/{index:06d}", blank, None, labels[index], None)

    return [LabelledDrive(sequence, np.arange(frames) / KITTI_HZ, load)]
