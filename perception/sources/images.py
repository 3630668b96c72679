"""Frames of a folder of pictures, in the order of their names."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from perception.core.errors import InputError
from perception.core.types import UInt8
from perception.sources.base import Picture, Source

SUFFIXES = (".jpeg", ".jpg", ".png")


class ImageFolderSource(Source):
    """A folder of PNG or JPEG files, sorted by name; it has no rate of its own.

    Args:
        folder: path of the folder.

    Raises:
        InputError: no pictures there, or one that cannot be read.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.live = False
        self.fps = None
        self._paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)
        if not self._paths:
            raise InputError(f"{folder}: no pictures there; expected files named *.png or *.jpg")
        self.length = len(self._paths)
        height, width = read_picture(self._paths[0]).shape[:2]
        self.size_wh = (width, height)

    def _pictures(self) -> Iterator[Picture]:
        for path in self._paths:
            captured_ns = time.monotonic_ns()
            yield Picture(read_picture(path), captured_ns, None)


def read_picture(path: Path) -> UInt8:
    """A PNG or JPEG file as ``uint8[H, W, 3]``, BGR; raise `InputError` where it cannot be read."""
    try:
        # Not cv2.imread: that cannot tell a missing file from a damaged one, and prints instead.
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        raise InputError(f"{path}: cannot be decoded: {error.err}") from error
    if image is None:
        raise InputError(f"{path}: not a picture, or damaged; expected PNG or JPEG")
    return image  # type: ignore[return-value]  # IMREAD_COLOR gives uint8[H, W, 3]
