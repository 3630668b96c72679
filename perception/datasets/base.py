"""The contract of a data set: an ordered collection of samples, labelled in the label space of `perception.core.labels`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.core.camera import Camera
from perception.core.errors import ConfigError, InputError, check_array
from perception.core.labels import FURTHER_LABELS
from perception.core.types import Bool, Float32, Int64, UInt8

DATA_VARIABLE = "PERCEPTION_DATA"
PICTURES = (".png", ".jpg")  # of pictures of public sets: originals are PNG, many copies JPEG


@dataclass(frozen=True, slots=True, eq=False)
class BoxLabels:
    """The boxes of one frame.

    Attributes:
        boxes_xyxy: ``float32[K, 4]``, px of the frame.
        class_ids: ``int64[K]``, index into `perception.core.labels.BOX_CLASSES`.
        boxed_classes: ids of the classes that this set boxes; the others are neither trained nor scored.
        unjudged: ``bool[H, W]``, where objects may stand that nobody boxed: neither trained nor scored there.
        distances_m: ``float32[K]``, metres ahead of the camera, NaN where unknown; ``None``: the set does not tell.
    """

    boxes_xyxy: Float32
    class_ids: Int64
    boxed_classes: tuple[int, ...]
    unjudged: Bool
    distances_m: Float32 | None = None

    def __post_init__(self) -> None:
        check_array("BoxLabels.boxes_xyxy", self.boxes_xyxy, np.float32, (None, 4))
        check_array("BoxLabels.class_ids", self.class_ids, np.int64, (len(self.boxes_xyxy),))
        check_array("BoxLabels.unjudged", self.unjudged, np.bool_, (None, None))
        if self.distances_m is not None:
            shape = (len(self.boxes_xyxy),)
            check_array("BoxLabels.distances_m", self.distances_m, np.float32, shape)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame with whatever its set labels; ``None`` means not labelled.

    Attributes:
        name: unique within the set.
        image: ``uint8[H, W, 3]``, channels in `perception.core.types.CHANNEL_ORDER`.
        class_map: ``uint8[H, W]`` of classes, groups and ignore (`perception.core.labels`), or ``None``.
        boxes: or ``None``.
        camera: calibration of this frame, or ``None``.
        further: name in `perception.core.labels.FURTHER_LABELS` -> array: what the set has of what was asked for.
    """

    name: str
    image: UInt8
    class_map: UInt8 | None
    boxes: BoxLabels | None
    camera: Camera | None
    further: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_array("Sample.image", self.image, np.uint8, (None, None, 3))
        if self.class_map is not None:
            check_array("Sample.class_map", self.class_map, np.uint8, self.image.shape[:2])
        if self.boxes is not None:
            check_array(
                "Sample.boxes.unjudged", self.boxes.unjudged, np.bool_, self.image.shape[:2]
            )
        for name, array in self.further.items():
            self._check_further(name, array)

    def _check_further(self, name: str, array: NDArray[Any]) -> None:
        label = FURTHER_LABELS[name]
        boxes = 0 if self.boxes is None else len(self.boxes.boxes_xyxy)
        shape = label.shape(self.image.shape[:2], boxes)
        check_array(f"Sample.further[{name!r}]", array, label.dtype, shape)


class Dataset(Sequence[Sample]):
    """Frames of one set and split, read from disk when asked for.

    Args:
        names: of the samples, in the set's own order.

    Attributes:
        stretch: how many neighbours in that order may show the same stretch of road, so that they are no independent samples.
        further: names in `perception.core.labels.FURTHER_LABELS` that samples are to have, if the set labels them; none to begin with,
            because reading them costs time.
    """

    stretch: int = 10

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.further: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]  # no slices: samples are read one by one
        return self.load(self.names[index])

    def load(self, name: str) -> Sample:
        """Read one sample.

        Raises:
            InputError: a file is missing or damaged.
        """
        raise NotImplementedError


def data_root() -> Path:
    """The folder of all data sets, from the environment variable ``PERCEPTION_DATA``."""
    root = os.environ.get(DATA_VARIABLE)
    if not root:
        raise ConfigError(
            f"{DATA_VARIABLE} is not set; set it to the folder that holds the data sets"
        )
    return Path(root)


def read_image(path: Path) -> UInt8:
    """``uint8[H, W, 3]``, BGR, as stored: a camera's note to turn it (EXIF) is left aside, since labels are of the stored pixels.

    Raises:
        InputError: it is missing or damaged.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(_decode(path, flags), np.uint8)


def read_label_map(
    path: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8
) -> NDArray[Any]:
    """A picture of ids.

    Args:
        path: of the file.
        shape: height and width of the frame that it labels.
        dtype: ``uint8`` or ``uint16``.

    Returns:
        ``dtype[H, W]``.

    Raises:
        InputError: it is missing, damaged, of another depth, or not of the frame's size.
    """
    raw = _decode(path, cv2.IMREAD_UNCHANGED)
    depth = _png_depth(path)
    if depth < 8:
        raise InputError(
            f"{path}: expected 8 bits a pixel, got {depth}, which OpenCV stretches to other ids; save it with 8"
        )
    if raw.shape != shape or raw.dtype != dtype:
        hint = "; ids stand in a grey picture, not in colours or a palette" if raw.ndim == 3 else ""
        raise InputError(
            f"{path}: expected labels {np.dtype(dtype).name}{[*shape]}, got {raw.dtype.name}{[*raw.shape]}{hint}"
        )
    return raw


def _png_depth(path: Path) -> int:
    """Bits of a sample of a PNG, from its header; 8 for other files."""
    with path.open("rb") as file:
        head = file.read(25)
    return head[24] if head.startswith(b"\x89PNG") and len(head) == 25 else 8


def is_box(box_xyxy: Sequence[float]) -> bool:
    """Whether a labelled box is finite and has an area."""
    x1, y1, x2, y2 = box_xyxy
    return bool(np.isfinite(box_xyxy).all()) and x2 > x1 and y2 > y1


def _decode(path: Path, flags: int) -> NDArray[Any]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    # decoded from memory: from a file, OpenCV fills what is missing of a JPEG with grey and says nothing
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise InputError(f"{path}: cannot be decoded; expected a whole picture")
    return image


def find_picture(folder: Path, stem: str) -> Path:
    """``stem.png`` or ``stem.jpg`` in `folder`."""
    for suffix in PICTURES:
        if (folder / (stem + suffix)).is_file():
            return folder / (stem + suffix)
    raise InputError(f"{folder / stem}: no .png or .jpg of this name")


def list_stems(folder: Path) -> list[str]:
    """Names without suffix of the pictures in a folder, sorted; raise `InputError` where there is none."""
    stems = sorted({p.stem for p in folder.glob("*") if p.suffix in PICTURES})
    if not stems:
        raise InputError(f"{folder}: no pictures there; is the data set complete?")
    return stems


def unknown_split(dataset: str, split: str, known: Sequence[str]) -> ConfigError:
    """The error for a split that a set does not have."""
    return ConfigError(f"data set {dataset!r} has no split {split!r}; known: {sorted(known)}")
