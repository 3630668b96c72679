"""KITTI tracking in its own layout: 2D boxes with the number of their track, and scans of the laser.

Source: Geiger, Lenz, Urtasun, "Are we ready for autonomous driving?", CVPR 2012, its tracking benchmark.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import InputError
from perception.core.labels import MAPPINGS
from perception.core.types import Float32
from perception.datasets.base import (
    BoxLabels,
    Dataset,
    Sample,
    find_picture,
    list_stems,
    read_image,
    unknown_split,
)
from perception.datasets.kitti.calib import camera_from_scanner, nominal_camera
from perception.datasets.kitti.object import parse_objects, read_label_file, told_as_label_file
from perception.datasets.lidar import scan_map

# Voigtlaender et al., "MOTS: Multi-object tracking and segmentation", CVPR 2019, section 4: no street is in both
VALIDATION = {"0002", "0006", "0007", "0008", "0010", "0013", "0014", "0016", "0018"}
TRACKS = 10_000  # more than a sequence has; `identity` is the track's number plus this times that of the sequence


class KittiTracking(Dataset):
    """KITTI tracking frames, ``DontCare`` regions not judged. It has ``identity``, and ``lidar_m`` where there is a scan.

    Args:
        root: folder that holds ``training/{image_02,label_02,calib,velodyne}``.
        split: ``train``, ``val`` (whole sequences, see `VALIDATION`) or ``all``.
    """

    def __init__(self, root: Path, split: str) -> None:
        known = ("train", "val", "all")
        if split not in known:
            raise unknown_split("kitti_tracking", split, known)
        self._folder = root / "training"
        images = self._folder / "image_02"
        sequences = sorted(p.name for p in images.glob("*") if p.is_dir())
        chosen = [s for s in sequences if split == "all" or (s in VALIDATION) == (split == "val")]
        if not chosen:
            raise InputError(
                f"{images}: no sequence of the split {split!r} there, only {sequences}; is the data set complete?"
            )
        names = [f"{s}/{stem}" for s in chosen for stem in list_stems(images / s)]
        strange = [name for name in names if not name.replace("/", "").isdecimal()]
        if strange:
            raise InputError(f"{images}: expected SEQUENCE/FRAME in digits, got {strange[0]!r}")
        super().__init__(names)
        self._rows: dict[str, dict[int, list[list[str]]]] = {}

    def load(self, name: str) -> Sample:
        """Read frame, boxes and calibration of ``sequence/frame``."""
        sequence, stem = name.split("/")
        image = read_image(find_picture(self._folder / "image_02" / sequence, stem))
        height, width = image.shape[:2]
        calib = self._folder / "calib" / f"{sequence}.txt"
        camera = nominal_camera(calib, (width, height)) if calib.is_file() else None
        path = self._folder / "label_02" / f"{sequence}.txt"
        rows = self._read_rows(path).get(int(stem), [])
        with told_as_label_file(path):
            boxes, tracks = _objects(rows, (height, width))
        further: dict[str, NDArray[Any]] = {}
        if "identity" in self.further:
            further["identity"] = tracks + int(sequence) * TRACKS
        scan = self._folder / "velodyne" / sequence / f"{stem}.bin"
        if "lidar_m" in self.further and scan.is_file():
            further["lidar_m"] = _read_scan(scan, calib, (width, height))
        return Sample(name, image, None, boxes, camera, further)

    def _read_rows(self, path: Path) -> dict[int, list[list[str]]]:
        """The rows of each frame, read once."""
        key = path.stem
        if key not in self._rows:
            by_frame: dict[int, list[list[str]]] = {}
            for row in read_label_file(path, lambda rows: [(int(r[0]), r[1:]) for r in rows]):
                by_frame.setdefault(row[0], []).append(row[1])
            self._rows[key] = by_frame
        return self._rows[key]


def _objects(rows: list[list[str]], shape: tuple[int, ...]) -> tuple[BoxLabels, NDArray[np.int64]]:
    """Boxes, and the number of each one's track; rows begin with it, then follows what a label of the object benchmark has."""
    mapping = MAPPINGS["kitti_tracking"].boxes
    tracks = [int(row[0]) for row in rows if mapping[row[1]] != "ignore"]
    return parse_objects([row[1:] for row in rows], shape), np.array(tracks, np.int64)


def _read_scan(path: Path, calib: Path, size_wh: tuple[int, int]) -> Float32:
    """``float32[H, W]``, see `scan_map`; a file holds ``float32`` x, y, z, reflectance of each point."""
    try:
        numbers = np.fromfile(path, np.float32)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if numbers.size == 0 or numbers.size % 4:
        raise InputError(
            f"{path}: expected four float32 numbers a point, got {numbers.size} numbers; is the file damaged?"
        )
    camera_from_velodyne, projection = camera_from_scanner(calib)
    points = np.ones((numbers.size // 4, 4))
    points[:, :3] = numbers.reshape(-1, 4)[:, :3]
    camera = camera_from_velodyne @ points.T
    front = camera[2] > 0
    x, y, z = projection @ camera[:, front]
    return scan_map(np.stack((x / z, y / z), axis=1), camera[2, front], size_wh)
