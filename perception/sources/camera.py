"""Frames of a camera on this machine, through OpenCV."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2

from perception.core.errors import ConfigError, InputError
from perception.core.types import UInt8
from perception.sources.base import Picture, Source

SCHEME = "camera:"


class CameraSource(Source):
    """The camera of the given number. A frame counts as captured when the driver hands it over.

    Args:
        spec: ``camera:N``.

    Raises:
        ConfigError: N is no number.
        InputError: no such camera, or it delivers nothing.
    """

    scheme: ClassVar[str] = SCHEME

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        self.live = self.endless = True
        self._camera = self._open(spec.removeprefix(self.scheme))
        ok, image = self._camera.read()
        if not ok or image is None:
            self._camera.release()
            raise InputError(
                f"{spec}: the camera does not open or delivers no frame; is it in use?"
            )
        self.fps = self._camera.get(cv2.CAP_PROP_FPS) or None
        self.size_wh = (image.shape[1], image.shape[0])

    def _open(self, place: str) -> cv2.VideoCapture:
        """Open what stands behind the scheme."""
        if not place.isdigit():
            raise ConfigError(f"source {self.name!r}: expected camera:N, for example camera:0")
        _check_device(self.name, int(place))
        camera = cv2.VideoCapture(int(place))
        # Keep the driver from queueing old frames; backends that know no such setting ignore it.
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return camera

    def _pictures(self) -> Iterator[Picture]:
        count = 0
        while not self._stopping.is_set():
            ok = self._camera.grab()
            captured_ns = time.monotonic_ns()
            image: UInt8 | None = None
            if ok:
                ok, image = self._camera.retrieve()  # type: ignore[assignment]  # uint8[H, W, 3]
            if not ok or image is None:
                raise InputError(f"{self.name}: the camera stopped after {count} frames")
            count += 1
            yield Picture(image, captured_ns, None)

    def close(self) -> None:
        """Give the camera back."""
        super().close()
        self._camera.release()


def _check_device(spec: str, number: int) -> None:
    """On Linux, refuse a camera that is not there before OpenCV prints pages about it."""
    if sys.platform != "linux" or Path(f"/dev/video{number}").exists():
        return
    known = sorted(f"camera:{p.name.removeprefix('video')}" for p in Path("/dev").glob("video*"))
    raise InputError(f"{spec}: no such camera; cameras here: {known}")
