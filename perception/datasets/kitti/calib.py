"""KITTI's calibration files: one matrix a line, ``NAME: numbers``, row-major, px and metres; of the tracking benchmark some without a colon.

Source: Geiger, Lenz, Stiller, Urtasun, "Vision meets robotics: the KITTI dataset", IJRR 2013, section "Sensor calibration".
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perception.core.camera import Camera, camera_from_projection
from perception.core.errors import ConfigError, InputError
from perception.core.types import Float64

CAMERAS = range(4)  # left grey, right grey, left colour, right colour
SHAPES: Mapping[str, tuple[int, int]] = {
    "R0_rect": (3, 3),
    "Tr_cam_to_road": (3, 4),
    "R_rect": (3, 3),  # these two: the tracking benchmark
    "Tr_velo_cam": (3, 4),
    **{f"P{k}": (3, 4) for k in CAMERAS},
    **{f"P_rect_{k:02}": (3, 4) for k in CAMERAS},
    **{f"K_{k:02}": (3, 3) for k in CAMERAS},
    **{f"D_{k:02}": (1, 5) for k in CAMERAS},
    **{f"S_{k:02}": (1, 2) for k in CAMERAS},
    **{f"S_rect_{k:02}": (1, 2) for k in CAMERAS},
}
NOMINAL_HEIGHT_M = (
    1.65  # of the cameras above the road, from the figure of the vehicle in the source
)


def read_calib(path: Path, names: tuple[str, ...]) -> dict[str, Float64]:
    """The matrices of these names, each ``float64`` of its shape in `SHAPES`.

    Raises:
        InputError: the file cannot be read, or lacks one of them.
    """
    values = _lines(path)
    return {name: _matrix(path, name, values.get(name, "")) for name in names}


def has_road(path: Path) -> bool:
    """Whether the file tells how the cameras stand over the road, as those of the road benchmark do."""
    return "Tr_cam_to_road" in _lines(path)


def _lines(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a KITTI calibration file: {error}") from error
    found = [line.replace(":", " ", 1).split(maxsplit=1) for line in lines]
    return {words[0]: words[1] for words in found if len(words) == 2}


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
    return _camera(path, read_calib(path, ("P2",))["P2"], road_pose(path), size_wh)


def road_pose(path: Path) -> Float64:
    """``float64[4, 4]``: from the road frame of a file of the road benchmark to the rectified camera 0."""
    matrices = read_calib(path, ("R0_rect", "Tr_cam_to_road"))
    rectified_from_camera, road_from_camera = np.eye(4), np.eye(4)
    rectified_from_camera[:3, :3] = matrices["R0_rect"]
    road_from_camera[:3] = matrices["Tr_cam_to_road"]
    try:
        return np.asarray(rectified_from_camera @ np.linalg.inv(road_from_camera), np.float64)
    except np.linalg.LinAlgError as error:
        raise InputError(f"{path}: Tr_cam_to_road has no inverse; is the file damaged?") from error


def nominal_camera(path: Path, size_wh: tuple[int, int]) -> Camera:
    """The left colour camera of a file without a road frame: level, `NOMINAL_HEIGHT_M` above the road.

    Args:
        path: calibration file of the object benchmark.
        size_wh: of the picture, px.
    """
    pose = np.eye(4)
    pose[1, 3] = NOMINAL_HEIGHT_M  # the road lies below the rectified camera 0: its y points down
    return _camera(path, read_calib(path, ("P2",))["P2"], pose, size_wh)


def camera_from_scanner(path: Path) -> tuple[Float64, Float64]:
    """Of a file of the tracking benchmark: ``float64[4, 4]`` from the laser scanner to the rectified camera 0, and ``float64[3, 4]``, `P2`."""
    matrices = read_calib(path, ("R_rect", "Tr_velo_cam", "P2"))
    rectified, pose = np.eye(4), np.eye(4)
    rectified[:3, :3], pose[:3] = matrices["R_rect"], matrices["Tr_velo_cam"]
    return np.asarray(rectified @ pose, np.float64), matrices["P2"]


def _camera(path: Path, projection: Float64, pose: Float64, size_wh: tuple[int, int]) -> Camera:
    try:
        return camera_from_projection(projection, pose, size_wh, source=path.name)
    except ConfigError as error:
        raise InputError(f"{path}: {error}; is the file damaged?") from error
