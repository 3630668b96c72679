"""Frames of a camera on this machine, through OpenCV."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

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

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        self.live = True
        number = spec.removeprefix(SCHEME)
        if not number.isdigit():
            raise ConfigError(f"source {spec!r}: expected camera:N, for example camera:0")
        _check_device(spec, int(number))
        self._camera = cv2.VideoCapture(int(number))
        # Keep the driver from queueing old frames; backends that know no such setting ignore it.
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        ok, image = self._camera.read()
        if not ok or image is None:
            self._camera.release()
            raise InputError(
                f"{spec}: the camera does not open or delivers no frame; is it in use?"
            )
        self.fps = self._camera.get(cv2.CAP_PROP_FPS) or None
        self.size_wh = (image.shape[1], image.shape[0])

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
