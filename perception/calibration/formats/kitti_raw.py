"""KITTI's ``calib_cam_to_cam.txt`` of a recording day: each camera as it is, with its distortion, and as its frames are rectified.

Source: Geiger, Lenz, Stiller, Urtasun, "Vision meets robotics: the KITTI dataset", IJRR 2013, section "Sensor calibration".
"""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from perception.calibration.formats.base import (
    INTRINSICS,
    NO_LENS,
    RADIAL,
    CameraFormat,
    intrinsics,
    make_camera,
    matrix_of,
    size_of,
)
from perception.core.camera import Camera
from perception.core.errors import ConfigError, InputError
from perception.core.files import write_atomically
from perception.datasets.kitti.calib import read_calib

NUMBERS = ("02", "00", "01", "03")  # left colour, left grey, right grey, right colour
IDENTITY = np.eye(3)


class KittiRaw(CameraFormat):
    """Cameras ``rect_00`` to ``rect_03`` of the rectified frames that KITTI hands out, and ``00`` to ``03`` of those before that.

    Written are the lines of one camera; those of its rectified frames only where its lens does not bend: they are the same then.
    """

    title = "KITTI's calib_cam_to_cam"
    lenses = frozenset({NO_LENS, RADIAL})
    holds: ClassVar[frozenset[str]] = frozenset(
        {"width_px", "height_px", *INTRINSICS, "lens", "distortion"}
    )
    names = (*(f"rect_{number}" for number in NUMBERS), *NUMBERS)

    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read one camera; how it is mounted stands in no file."""
        name = self.choose(name)
        rectified = name.startswith("rect_")
        size, matrix = (f"S_{name}", f"P_{name}" if rectified else f"K_{name}")
        distortion = "" if rectified else f"D_{name}"
        held = read_calib(path, tuple(filter(None, (size, matrix, distortion))))
        told = held[size].ravel()
        if (told < 1).any() or (told % 1).any():
            raise InputError(f"{path}: {size}: expected whole numbers of px, got {told.tolist()}")
        width, height = size_of(path, size_wh, (int(told[0]), int(told[1])))
        lens = held[distortion].ravel() if distortion else np.zeros(5)
        return make_camera(
            path,
            width_px=width,
            height_px=height,
            **intrinsics(path, matrix, held[matrix][:, :3]),
            distortion=tuple(lens.tolist()) if lens.any() else (),
            source=path.name,
        )

    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write the file; frames whose lens bends are not those of a ``rect_`` camera."""
        bends = any(camera.distortion)
        name = self.choose(name or (NUMBERS[0] if bends else ""))
        if bends and name.startswith("rect_"):
            raise ConfigError(
                f"{path}: {name} is rectified, and the camera's lens bends; expected --to-name {name.removeprefix('rect_')}"
            )
        number = name.removeprefix("rect_")
        matrix = np.array(matrix_of(camera))
        lines: dict[str, Iterable[float]] = {
            f"S_{number}": camera.size_wh,
            f"K_{number}": matrix.ravel(),
            f"D_{number}": camera.distortion or (0.0,) * 5,
            f"R_{number}": IDENTITY.ravel(),
            f"T_{number}": (0.0,) * 3,
        }
        if not bends:
            lines |= {
                f"S_rect_{number}": camera.size_wh,
                f"R_rect_{number}": IDENTITY.ravel(),
                f"P_rect_{number}": np.hstack([matrix, np.zeros((3, 1))]).ravel(),
            }
        shown = (f"{key}: {' '.join(f'{x:.12e}' for x in row)}\n" for key, row in lines.items())
        write_atomically(path, "".join(shown).encode())
