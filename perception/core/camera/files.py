"""Camera files: ``calib/cameras/NAME.toml``, whose schema is `Camera`."""

import json
from dataclasses import fields
from pathlib import Path

from perception.core.camera.model import Camera
from perception.core.config import build_config, read_toml
from perception.core.errors import ConfigError
from perception.core.files import write_atomically

CAMERAS_DIR = Path(__file__).parents[3] / "calib" / "cameras"


def find_camera(name_or_path: str | Path) -> Camera:
    """Read a camera, given as a name under ``calib/cameras`` or as the path of a file.

    Raises:
        ConfigError: there is none of that name, or its file is incomplete.
    """
    path = Path(name_or_path)
    if not path.is_file():
        path = CAMERAS_DIR / f"{name_or_path}.toml"
    if not path.is_file():
        known = sorted(file.stem for file in CAMERAS_DIR.glob("*.toml"))
        raise ConfigError(f"camera {str(name_or_path)!r}: no such file; known cameras: {known}")
    return load_camera(path)


def load_camera(path: Path) -> Camera:
    """Read a camera file; raise `ConfigError` where it is missing, incomplete or has unknown keys."""
    table = read_toml(path)
    try:
        return build_config(Camera, table, str(path))
    except ConfigError as error:
        told = str(error)
        raise ConfigError(told if told.startswith(str(path)) else f"{path}: {told}") from error


def save_camera(camera: Camera, path: Path, comment: str = "") -> None:
    """Write a camera file that `load_camera` reads back to an equal camera; what is unknown (``None``) is left out.

    Args:
        camera: what to write.
        path: the file; replaced as a whole or not at all.
        comment: lines for the file's head.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    for field in fields(camera):
        value = getattr(camera, field.name)
        if value is not None:
            # JSON's numbers, lists and strings are TOML's
            shown = json.dumps(list(value) if isinstance(value, tuple) else value)
            lines.append(f"{field.name} = {shown}")
    write_atomically(path, ("\n".join(lines) + "\n").encode())
