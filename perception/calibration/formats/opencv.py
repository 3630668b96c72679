"""Files of OpenCV's FileStorage, with the keys of its calibration samples.

Source: OpenCV, samples/cpp/tutorial_code/calib3d/camera_calibration. ``fisheye_model`` tells which formula the coefficients belong to; without it they are
those of a pinhole: 4, 5 or 8, or 12 or 14 of which those of thin prisms and tilted sensors, unknown here, are 0.
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from perception.calibration.formats.base import (
    FISHEYE,
    INTRINSICS,
    NO_LENS,
    RADIAL,
    RATIONAL,
    CameraFormat,
    intrinsics,
    make_camera,
    matrix_of,
    numbers,
    size_of,
)
from perception.core.camera import Camera
from perception.core.errors import InputError
from perception.core.files import write_atomically
from perception.core.types import Float64

COUNTS = (0, 4, 5, 8, 12, 14)  # of a pinhole
KEYS = ("camera_matrix", "distortion_coefficients", "image_width", "image_height")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class OpenCv(CameraFormat):
    """``camera_matrix``, ``distortion_coefficients``, ``image_width``, ``image_height``, and the rms where it is known."""

    title = "a calibration file of OpenCV"
    lenses = frozenset({NO_LENS, ("fisheye", 0), RADIAL, RATIONAL, FISHEYE})
    holds: ClassVar[frozenset[str]] = frozenset(
        {"width_px", "height_px", *INTRINSICS, "lens", "distortion", "rms_px", "date"}
    )

    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read the file."""
        self.choose(name)
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        try:
            # of the bytes: given a path, OpenCV prints its own lines about what it cannot read
            text = path.read_text(encoding="utf-8")
            storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
            keys = storage.root().keys() if storage.isOpened() else []
        except (OSError, UnicodeDecodeError, cv2.error, SystemError) as error:
            why = " ".join(str(error).split())
            raise InputError(f"{path}: cannot be read as {self.title}: {why}") from error
        missing = [key for key in KEYS if key not in keys]
        if missing:
            raise InputError(f"{path}: not {self.title}: {', '.join(missing)} missing")
        told = _pixels(path, storage, "image_width"), _pixels(path, storage, "image_height")
        width, height = size_of(path, size_wh, told)
        matrix = _matrix(path, storage, "camera_matrix")
        if matrix.shape != (3, 3):
            raise InputError(
                f"{path}: camera_matrix: expected 3x3, got {'x'.join(map(str, matrix.shape))}"
            )
        flat = numbers(path, "camera_matrix", matrix.ravel().tolist(), (9,)).reshape(3, 3)
        fisheye = storage.getNode("fisheye_model")
        lens = "fisheye" if not fisheye.empty() and fisheye.real() else "pinhole"
        rms = storage.getNode("avg_reprojection_error")
        date = storage.getNode("calibration_time").string()
        return make_camera(
            path,
            width_px=width,
            height_px=height,
            **intrinsics(path, "camera_matrix", flat),
            lens=lens,
            distortion=_coefficients(path, storage, lens),
            rms_px=None if rms.empty() else rms.real(),
            date=date if ISO_DATE.fullmatch(date) else "",
            source=path.name,
        )

    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write the file."""
        self.choose(name)
        storage = cv2.FileStorage(".yml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
        if camera.date:
            storage.write("calibration_time", camera.date)
        storage.write("image_width", camera.width_px)
        storage.write("image_height", camera.height_px)
        storage.write("fisheye_model", int(camera.lens == "fisheye"))
        storage.write("camera_matrix", np.array(matrix_of(camera)))
        values = camera.distortion or (0.0,) * (4 if camera.lens == "fisheye" else 5)
        storage.write("distortion_coefficients", np.array(values).reshape(-1, 1))
        if camera.rms_px is not None:
            storage.write("avg_reprojection_error", camera.rms_px)
        write_atomically(path, storage.releaseAndGetString().encode())


def _coefficients(path: Path, storage: Any, lens: str) -> tuple[float, ...]:  # noqa: ANN401 (cv2 has no type for it)
    key = "distortion_coefficients"
    values = _matrix(path, storage, key).ravel().tolist()
    if lens == "fisheye":
        found = numbers(path, key, values, (0, 4))
        return tuple(found.tolist()) if found.any() else ()
    found = numbers(path, key, values, COUNTS)
    if found[8:].any():
        raise InputError(
            f"{path}: {key}: expected no thin prism and no tilted sensor, whose terms are unknown here, got {found[8:].tolist()}"
        )
    count = 8 if found[5:8].any() else 5
    padded = np.zeros(count)
    padded[: min(count, found.size)] = found[:count]
    return tuple(padded.tolist()) if padded.any() else ()


def _matrix(path: Path, storage: Any, key: str) -> Float64:  # noqa: ANN401 (as above)
    node = storage.getNode(key)
    try:
        found = node.mat() if node.isMap() else None
    except (cv2.error, SystemError) as error:
        raise InputError(f"{path}: {key}: cannot be read as a matrix of OpenCV") from error
    if found is None or found.ndim != 2:
        raise InputError(f"{path}: {key}: expected a matrix of OpenCV (!!opencv-matrix)")
    return np.asarray(found, np.float64)


def _pixels(path: Path, storage: Any, key: str) -> int:  # noqa: ANN401 (as above)
    node = storage.getNode(key)
    if not node.isInt():
        raise InputError(f"{path}: {key}: expected a whole number of px")
    return int(node.real())
