"""KITTI's calibration files: one matrix a line, ``NAME: numbers``, row-major, px and metres.

Source: Geiger, Lenz, Stiller, Urtasun, "Vision meets robotics: the KITTI dataset", IJRR 2013, section "Sensor calibration".
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perception.core.camera import Camera, camera_from_projection
from perception.core.errors import ConfigError, InputError
from perception.core.types import Float64

SHAPES: Mapping[str, tuple[int, int]] = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_cam_to_road": (3, 4)}
NOMINAL_HEIGHT_M = (
    1.65  # of the cameras above the road, from the figure of the vehicle in the source
)


def read_calib(path: Path, names: tuple[str, ...]) -> dict[str, Float64]:
    """The matrices of these names, each ``float64`` of its shape in `SHAPES`.

    Raises:
        InputError: the file cannot be read, or lacks one of them.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a KITTI calibration file: {error}") from error
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: _matrix(path, name, values.get(name, "")) for name in names}


def _matrix(path: Path, name: str, text: str) -> Float64:
    rows, columns = SHAPES[name]
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InputError(f"{path}: {name}: {error}; is the file damaged?") from error
    if numbers.size != rows * columns or not np.isfinite(numbers).all():
        raise InputError(
            f"{path}: {name}: expected {rows * columns} finite numbers, got {numbers.size}; is the file damaged?"
        )
    return numbers.reshape(rows, columns)


def road_camera(path: Path, size_wh: tuple[int, int]) -> Camera:
    """The left colour camera over the road frame that the file gives for this very picture.

    Args:
        path: calibration file of the road benchmark, with ``Tr_cam_to_road``.
        size_wh: of the picture, px.
    """
    matrices = read_calib(path, ("P2", "R0_rect", "Tr_cam_to_road"))
    rectified_from_camera, road_from_camera = np.eye(4), np.eye(4)
    rectified_from_camera[:3, :3] = matrices["R0_rect"]
    road_from_camera[:3] = matrices["Tr_cam_to_road"]
    try:
        pose = rectified_from_camera @ np.linalg.inv(road_from_camera)
    except np.linalg.LinAlgError as error:
        raise InputError(f"{path}: Tr_cam_to_road has no inverse; is the file damaged?") from error
    return _camera(path, matrices["P2"], pose, size_wh)


def nominal_camera(path: Path, size_wh: tuple[int, int]) -> Camera:
    """The left colour camera of a file without a road frame: level, `NOMINAL_HEIGHT_M` above the road.

    Args:
        path: calibration file of the object benchmark.
        size_wh: of the picture, px.
    """
    pose = np.eye(4)
    pose[1, 3] = NOMINAL_HEIGHT_M  # the road lies below the rectified camera 0: its y points down
    return _camera(path, read_calib(path, ("P2",))["P2"], pose, size_wh)


def _camera(path: Path, projection: Float64, pose: Float64, size_wh: tuple[int, int]) -> Camera:
    try:
        return camera_from_projection(projection, pose, size_wh, source=path.name)
    except ConfigError as error:
        raise InputError(f"{path}: {error}; is the file damaged?") from error
