"""Drives of `perception.render` on disk, as ``perception render --out ROOT/train`` and ``ROOT/val`` leave them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.labels import (
    BOX_CLASSES,
    COLOURS,
    IGNORE,
    KEY_POINTS,
    KINDS,
    LANE_CLASSES,
    LIGHTS,
    MAPPINGS,
    PLACES,
    WEATHERS,
    name_index,
)
from perception.core.types import Float32, UInt8
from perception.datasets.base import BoxLabels, Dataset, Sample, unknown_split
from perception.datasets.lidar import thin_to_lidar
from perception.render.config import DriveConfig
from perception.render.disk import (
    read_depth,
    read_instances,
    read_labels,
    read_map,
    read_picture,
)
from perception.render.presets import light_of, weather_of
from perception.render.records import Marking, ObjectLabel
from perception.render.store import StoredDrive, is_clear, list_drives

SPLITS = ("train", "val")
PAINT = {
    Marking.NONE: "none", Marking.EDGE: "line", Marking.LANE: "line", Marking.CENTRE: "line",
    Marking.CENTRE_SOLID: "line", Marking.STOP: "crossing", Marking.CROSSING: "crossing",
}  # fmt: skip


class Synthetic(Dataset):
    """Frames of rendered drives. What is hardly seen (`perception.render.store.is_clear`) is a region that is not judged.

    It has all of `perception.core.labels.FURTHER_LABELS` that a set can have. Identities are those of the drives' cast: sets of several casts mix them up.

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
        labels = read_labels(drive.folder, index)
        clear = [label for label in labels if is_clear(label)]
        hidden = [label for label in labels if not is_clear(label)]
        boxes = self._boxes(clear, hidden, image.shape[:2])
        further: dict[str, NDArray[Any]] = {}
        if self.further:
            known = {
                **_pixels(drive, index, image.shape[:2], clear, self.further),
                **_objects(clear),
                **_scene(drive.config),
            }
            further = {key: known[key] for key in self.further if key in known}
        return Sample(name, image, self._table[raw], boxes, drive.camera, further)

    def _boxes(
        self, clear: Sequence[ObjectLabel], hidden: Sequence[ObjectLabel], shape: tuple[int, ...]
    ) -> BoxLabels:
        unjudged = np.zeros(shape, np.bool_)
        for label in hidden:
            x1, y1, x2, y2 = label.box_xyxy
            unjudged[y1:y2, x1:x2] = True
        ids = [BOX_CLASSES.index(self._mapping.boxes[label.kind]) for label in clear]
        return BoxLabels(
            boxes_xyxy=np.array([label.box_xyxy for label in clear], np.float32).reshape(-1, 4),
            class_ids=np.array(ids, np.int64),
            boxed_classes=self._mapping.boxed_classes,
            unjudged=unjudged,
        )


def _pixels(
    drive: StoredDrive,
    index: int,
    shape: tuple[int, ...],
    clear: Sequence[ObjectLabel],
    wanted: frozenset[str],
) -> dict[str, NDArray[Any]]:
    """The maps that are wanted: each is a file."""
    found: dict[str, NDArray[Any]] = {}
    if wanted & {"depth_m", "lidar_m"}:
        depth = read_depth(drive.folder, index, shape)
        found["depth_m"] = np.where(depth > 0, depth, np.float32(np.nan))
        if "lidar_m" in wanted:
            found["lidar_m"] = thin_to_lidar(depth, drive.camera, seed=index)
    if "lanes" in wanted:
        table = np.full(256, IGNORE, np.uint8)
        for marking, name in PAINT.items():
            table[marking] = LANE_CLASSES.index(name)
        lanes: UInt8 = table[read_map(drive.folder, "lane", index, shape)]
        found["lanes"] = lanes
    if "instances" in wanted:
        numbers = read_instances(drive.folder, index, shape).astype(np.int32)
        boxed = np.isin(numbers, [0, *(label.identity for label in clear)])
        found["instances"] = np.where(boxed, numbers, -1)
    return found


def _objects(clear: Sequence[ObjectLabel]) -> dict[str, NDArray[Any]]:
    identities = np.array([label.identity for label in clear], np.int64)
    unknown = np.full((len(KEY_POINTS), 3), np.nan, np.float32)
    points = [unknown if label.key_points is None else _known(label.key_points) for label in clear]
    # a person's upper garment is "navy coat", a vehicle has kind and colour
    told = [_kind_and_colour(label) for label in clear]
    return {
        "instance": identities,
        "identity": identities,
        "kind": np.array([name_index(KINDS, kind) for kind, _ in told], np.int64),
        "colour": np.array([name_index(COLOURS, colour) for _, colour in told], np.int64),
        "key_points": np.array(points, np.float32).reshape(-1, len(KEY_POINTS), 3),
    }


def _known(points: Float32) -> Float32:
    """Key points; those behind the camera, which are zeros, become unknown."""
    known: Float32 = np.where(points.any(axis=1, keepdims=True), points, np.float32(np.nan))
    return known


def _kind_and_colour(label: ObjectLabel) -> tuple[str, str]:
    if "upper" in label.attributes:
        colour, _, garment = label.attributes["upper"].partition(" ")
        return garment, colour
    return label.attributes.get("kind", ""), label.attributes.get("colour", "")


def _scene(config: DriveConfig) -> dict[str, NDArray[Any]]:
    """A drive that leads through several places, or whose light changes, has no one answer."""
    steady = config.light.end_elevation_deg is None
    told = {
        "weather": name_index(WEATHERS, weather_of(config)),
        "light": name_index(LIGHTS, light_of(config)) if steady else -1,
        "place": name_index(PLACES, config.place),
    }
    return {name: np.array(value, np.int64) for name, value in told.items()}
