"""ROS camera_info files, as camera_calibration writes and camera_info_manager reads them.

Source: http://wiki.ros.org/camera_calibration_parsers; the models: REP 104 and sensor_msgs/distortion_models.h. The rectification and projection
matrices are of a stereo pair's rectified frames; what is read here is the camera itself: ``camera_matrix`` and its distortion.
"""

from pathlib import Path
from typing import Any, ClassVar

import yaml

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
    read_text,
    size_of,
)
from perception.core.camera import Camera
from perception.core.errors import InputError
from perception.core.files import write_atomically

MODELS = {
    "plumb_bob": RADIAL,
    "rational_polynomial": RATIONAL,
    "equidistant": FISHEYE,
}
KEYS = ("image_width", "image_height", "camera_matrix", "distortion_model", "distortion_coefficients")  # fmt: skip


class Ros(CameraFormat):
    """``camera_info`` as YAML: size, matrix, and one of three distortion models."""

    title = "a ROS camera_info file"
    lenses = frozenset({NO_LENS, *MODELS.values()})
    holds: ClassVar[frozenset[str]] = frozenset(
        {"width_px", "height_px", *INTRINSICS, "lens", "distortion"}
    )

    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read the file; a ``plumb_bob`` of five zeros is no distortion."""
        self.choose(name)
        table = _read_table(path, read_text(path, self.title))
        missing = [key for key in KEYS if key not in table]
        if missing:
            raise InputError(f"{path}: not {self.title}: {', '.join(missing)} missing")
        model = table["distortion_model"]
        if model not in MODELS:
            raise InputError(
                f"{path}: distortion_model: expected one of {', '.join(MODELS)}, got {model!r}"
            )
        lens, count = MODELS[model]
        matrix = _matrix(path, "camera_matrix", table["camera_matrix"], (3, 3)).reshape(3, 3)
        coefficients = _matrix(
            path, "distortion_coefficients", table["distortion_coefficients"], (1, count)
        )
        told = _pixels(path, table, "image_width"), _pixels(path, table, "image_height")
        width, height = size_of(path, size_wh, told)
        return make_camera(
            path,
            width_px=width,
            height_px=height,
            **intrinsics(path, "camera_matrix", matrix),
            lens=lens,
            distortion=tuple(coefficients.tolist())
            if coefficients.any() or model != "plumb_bob"
            else (),
            source=path.name,
        )

    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write the file, its rectified frames those of the same matrix without distortion."""
        self.choose(name)
        lens = camera.lens, len(camera.distortion) or RADIAL[1]
        model = next(known for known, of in MODELS.items() if of == lens)
        values = list(camera.distortion) or [0.0] * RADIAL[1]
        matrix = matrix_of(camera)
        flat = [value for row in matrix for value in row]
        projection = [value for row in matrix for value in (*row, 0.0)]
        table = {
            "image_width": camera.width_px,
            "image_height": camera.height_px,
            "camera_name": path.stem,
            "camera_matrix": {"rows": 3, "cols": 3, "data": flat},
            "distortion_model": model,
            "distortion_coefficients": {"rows": 1, "cols": len(values), "data": values},
            "rectification_matrix": {"rows": 3, "cols": 3, "data": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]},
            "projection_matrix": {"rows": 3, "cols": 4, "data": projection},
        }  # fmt: skip
        text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None)
        write_atomically(path, text.encode())


def _read_table(path: Path, text: str) -> dict[str, Any]:
    if text.startswith("%YAML:"):
        raise InputError(f"{path}: is a file of OpenCV, not of ROS; give --from opencv")
    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML: {told}") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: expected the keys of a ROS camera_info file, got {text[:40]!r}")
    return table


def _matrix(path: Path, key: str, held: Any, shape: tuple[int, int]) -> Any:  # noqa: ANN401 (as it was read)
    """``float64[rows x columns]`` of a block with rows, cols and data."""
    if not isinstance(held, dict) or not {"rows", "cols", "data"} <= held.keys():
        raise InputError(f"{path}: {key}: expected rows, cols and data, got {held!r}")
    if (held["rows"], held["cols"]) != shape:
        raise InputError(
            f"{path}: {key}: expected {shape[0]}x{shape[1]}, got {held['rows']}x{held['cols']}"
        )
    return numbers(path, f"{key}.data", held["data"], (shape[0] * shape[1],))


def _pixels(path: Path, table: dict[str, Any], key: str) -> int:
    value = table[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{path}: {key}: expected a whole number of px, got {value!r}")
    return value
