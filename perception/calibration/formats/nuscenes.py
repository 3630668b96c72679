"""nuScenes' tables, read as the JSON that they are: ``sensor``, ``calibrated_sensor``, and ``sample_data`` for the size of the frames.

Source: Caesar et al., "nuScenes: a multimodal dataset for autonomous driving", CVPR 2020, and the schema in the devkit's documentation. A pose takes
the camera's axes to the vehicle's: x forward, y left, z up, the origin on the ground below the middle of the rear axle; a quaternion is w, x, y, z.
"""

import json
from pathlib import Path
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from perception.calibration.formats.base import (
    INTRINSICS,
    NO_LENS,
    CameraFormat,
    intrinsics,
    matrix_of,
    numbers,
    read_text,
    size_of,
)
from perception.core.camera import ROAD_FROM_VEHICLE, Camera, camera_from_projection
from perception.core.errors import ConfigError, InputError, OutputError
from perception.core.files import write_atomically
from perception.core.types import Float64

Row = dict[str, Any]
SIDES = ("FRONT", "FRONT_RIGHT", "FRONT_LEFT", "BACK", "BACK_LEFT", "BACK_RIGHT")


class NuScenes(CameraFormat):
    """A folder of tables, or its ``calibrated_sensor.json``. Where a channel was calibrated more than once, the first is read."""

    title = "the nuScenes tables"
    lenses = frozenset({NO_LENS})
    holds: ClassVar[frozenset[str]] = frozenset(
        {*INTRINSICS, "height_m", "pitch_deg", "roll_deg", "yaw_deg", "lateral_m", "forward_m", "lens", "distortion"}
    )  # fmt: skip
    names = tuple(f"CAM_{side}" for side in SIDES)

    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read one camera with its mounting; the size is that of the first picture of it, if ``sample_data.json`` is there."""
        channel, folder = self.choose(name), _folder(path)
        file = folder / "calibrated_sensor.json"
        row = _row_of(folder, file, channel)
        told = _told_size(folder, row["token"])
        size = size_of(folder, size_wh, told)
        rows = row["camera_intrinsic"]
        if not isinstance(rows, list) or [len(r) for r in rows if isinstance(r, list)] != [3] * 3:
            raise InputError(f"{file}: {channel}: camera_intrinsic: expected 3x3, got {rows!r}")
        flat = numbers(file, f"{channel}: camera_intrinsic", [x for r in rows for x in r], (9,))
        matrix = flat.reshape(3, 3)
        intrinsics(file, f"{channel}: camera_intrinsic", matrix)
        pose = np.eye(4)
        pose[:3, :3] = ROAD_FROM_VEHICLE @ _rotation(file, channel, row["rotation"])
        moved = numbers(file, f"{channel}: translation", row["translation"], (3,))
        pose[:3, 3] = ROAD_FROM_VEHICLE @ moved
        projection = np.hstack([matrix, np.zeros((3, 1))])
        try:
            source = f"nuScenes {channel}"
            return camera_from_projection(
                projection, np.asarray(np.linalg.inv(pose), np.float64), size, source
            )
        except ConfigError as error:
            raise InputError(f"{file}: {channel}: {error}") from error

    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write ``sensor.json`` and ``calibrated_sensor.json`` of one camera into a folder that has none."""
        channel, folder = self.choose(name), _folder(path)
        there = [f for f in ("sensor.json", "calibrated_sensor.json") if (folder / f).exists()]
        if there:
            raise OutputError(f"{folder / there[0]}: is there already; name another folder")
        if camera.height_m is None:
            raise ConfigError(
                f"{path}: {self.title} hold how a camera is mounted; this one has no height_m: add --set height_m=..."
            )
        road_from_camera = np.linalg.inv(camera.camera_from_road)
        token, sensor = (uuid5(NAMESPACE_URL, f"{t}/{channel}").hex for t in ("pose", "sensor"))
        pose = {
            "token": token,
            "sensor_token": sensor,
            "translation": (ROAD_FROM_VEHICLE.T @ road_from_camera[:3, 3]).tolist(),
            "rotation": _quaternion(ROAD_FROM_VEHICLE.T @ road_from_camera[:3, :3]).tolist(),
            "camera_intrinsic": matrix_of(camera),
        }
        kinds = [{"token": sensor, "channel": channel, "modality": "camera"}]
        for file, rows in (("sensor.json", kinds), ("calibrated_sensor.json", [pose])):
            write_atomically(folder / file, (json.dumps(rows, indent=1) + "\n").encode())


def _folder(path: Path) -> Path:
    return path.parent if path.suffix == ".json" else path


def _read_rows(file: Path, keys: tuple[str, ...]) -> list[Row]:
    """The rows of a table, each with at least these keys."""
    try:
        rows = json.loads(read_text(file, "a nuScenes table"))
    except ValueError as error:
        raise InputError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file}: expected a list of rows, as nuScenes' tables are")
    for row in rows:
        missing = [key for key in keys if key not in row]
        if missing:
            raise InputError(f"{file}: {', '.join(missing)} missing in a row: {str(row)[:80]}")
    return rows


def _row_of(folder: Path, file: Path, channel: str) -> Row:
    sensors = _read_rows(folder / "sensor.json", ("token", "channel"))
    tokens = {row["token"] for row in sensors if row["channel"] == channel}
    keys = ("token", "sensor_token", "translation", "rotation", "camera_intrinsic")
    found = [row for row in _read_rows(file, keys) if row["sensor_token"] in tokens]
    if not found:
        known = ", ".join(sorted(str(row["channel"]) for row in sensors))
        raise InputError(f"{file}: no calibration of {channel}; sensor.json has {known}")
    return found[0]


def _told_size(folder: Path, token: str) -> tuple[int, int] | None:
    """Width and height of the first picture of a calibrated camera; ``None`` where no table tells."""
    file = folder / "sample_data.json"
    if not file.is_file():
        return None
    for row in _read_rows(file, ("calibrated_sensor_token", "width", "height")):
        if row["calibrated_sensor_token"] == token:
            width, height = numbers(file, "width and height", [row["width"], row["height"]], (2,))
            return int(width), int(height)
    return None


def _rotation(file: Path, channel: str, held: Any) -> Float64:  # noqa: ANN401 (as it was read)
    """``float64[3, 3]`` of a unit quaternion w, x, y, z."""
    key = f"{channel}: rotation"
    quaternion = numbers(file, key, held, (4,))
    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > 1e-3:
        raise InputError(f"{file}: {key}: expected a quaternion of length 1, got {length:.4f}")
    w, x, y, z = quaternion / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _quaternion(rotation: Float64) -> Float64:
    """``float64[4]``, w, x, y, z, of a rotation: the eigenvector of Bar-Itzhack's matrix, which no angle upsets.

    Source: Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix", 2000.
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    form = np.array(
        [
            [a - e - i, d + b, g + c, h - f],
            [d + b, e - a - i, h + f, c - g],
            [g + c, h + f, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(form / 3)[1][:, -1]
    return np.array([w, x, y, z])
