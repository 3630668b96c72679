"""This project's own camera files."""

from dataclasses import fields
from pathlib import Path
from typing import ClassVar

from perception.calibration.formats.base import (
    FISHEYE,
    NO_LENS,
    RADIAL,
    RATIONAL,
    CameraFormat,
    size_of,
)
from perception.core.camera import Camera, load_camera, save_camera

HEAD = "Keys, units and axes: calib/README.md"


class Toml(CameraFormat):
    """``calib/cameras/NAME.toml``: everything is held."""

    title = "a camera file"
    lenses = frozenset({NO_LENS, ("fisheye", 0), RADIAL, RATIONAL, FISHEYE})
    holds: ClassVar[frozenset[str]] = frozenset(field.name for field in fields(Camera))

    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read the file."""
        self.choose(name)
        camera = load_camera(path)
        size_of(path, size_wh, camera.size_wh)
        return camera

    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write the file."""
        self.choose(name)
        save_camera(camera, path, HEAD)
