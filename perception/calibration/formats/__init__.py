"""Files in which other tools keep cameras: one module a format, one line a format here."""

import re
from dataclasses import fields
from pathlib import Path

from perception.calibration.formats.base import CameraFormat
from perception.core.camera import Camera
from perception.core.errors import ConfigError
from perception.core.registry import Registry

FORMATS = Registry(
    "camera format",
    {
        "kitti": "perception.calibration.formats.kitti:Kitti",
        "kitti_raw": "perception.calibration.formats.kitti_raw:KittiRaw",
        "nuscenes": "perception.calibration.formats.nuscenes:NuScenes",
        "opencv": "perception.calibration.formats.opencv:OpenCv",
        "ros": "perception.calibration.formats.ros:Ros",
        "toml": "perception.calibration.formats.toml:Toml",
    },
    extras={"ros": "ros"},
)
# the first that fits a path, by its name alone
NAMES = (
    (re.compile(r"\.toml$"), "toml"),
    (re.compile(r"(^|/)calib_cam_to_cam[^/]*\.txt$"), "kitti_raw"),
    (re.compile(r"\.txt$"), "kitti"),
    (re.compile(r"\.ya?ml\.gz$|\.yml$"), "opencv"),
    (re.compile(r"\.yaml$"), "ros"),
    (re.compile(r"(^|/)(calibrated_sensor\.json|[^/.]+|v[\d.]+-[a-z]+)$"), "nuscenes"),
)


def format_of(path: Path) -> str:
    """The format that the name of a file or folder tells of.

    Raises:
        ConfigError: it tells of none.
    """
    for pattern, kind in NAMES:
        if pattern.search(path.as_posix()):
            return kind
    raise ConfigError(
        f"{path}: its name tells of no camera format; name one with --from or --to: {sorted(FORMATS)}"
    )


def read_camera(
    path: Path, kind: str = "", name: str = "", size_wh: tuple[int, int] | None = None
) -> Camera:
    """Read a camera.

    Args:
        path: a file, or a folder of nuScenes tables.
        kind: of `FORMATS`; empty: as the name of the file tells.
        name: which camera, where the format holds several; empty: its usual one.
        size_wh: of the frames, px, where the format does not tell it.

    Raises:
        ConfigError: unknown format or camera, a package is missing, or the size is missing or another than the file's.
        InputError: the file is missing, damaged, or of a camera that is unknown here.
    """
    return open_format(path, kind).read(path, name, size_wh)


def write_camera(camera: Camera, path: Path, kind: str = "", name: str = "") -> tuple[str, ...]:
    """Write a camera; the arguments are those of `read_camera`.

    Returns:
        The keys of the camera that the format has no place for, so that they are not in the file.

    Raises:
        ConfigError: unknown format or name, or the format cannot hold such a lens or lacks the mounting that it wants.
        OutputError: the file cannot be written.
    """
    into = open_format(path, kind)
    into.check_lens(camera, path)
    into.write(camera, path, name)
    usual = {field.name: field.default for field in fields(Camera)}
    left = {field.name for field in fields(Camera)} - into.holds
    return tuple(sorted(key for key in left if getattr(camera, key) != usual[key]))


def open_format(path: Path, kind: str = "") -> CameraFormat:
    """The reader and writer of a format, or of what the name of a file tells."""
    found: CameraFormat = FORMATS[kind or format_of(path)]()
    return found
