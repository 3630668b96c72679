"""What every format of camera files does, and the checks that they share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from perception.core.camera import Camera
from perception.core.errors import ConfigError, InputError
from perception.core.types import Float64

INTRINSICS = ("fx_px", "fy_px", "cx_px", "cy_px")
NO_LENS = ("pinhole", 0)
RADIAL = ("pinhole", 5)  # k1, k2, p1, p2, k3
RATIONAL = ("pinhole", 8)  # and k4, k5, k6
FISHEYE = ("fisheye", 4)


class CameraFormat(ABC):
    """A kind of file that holds a camera, or several.

    Attributes:
        title: what to call it in a message.
        lenses: which lenses it holds, each with its number of coefficients.
        holds: the keys of `Camera` that it has a place for.
        names: of the cameras in one file, the usual one first; empty where there is only one.
    """

    title: ClassVar[str]
    lenses: ClassVar[frozenset[tuple[str, int]]]
    holds: ClassVar[frozenset[str]]
    names: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read one camera; the arguments are those of `perception.calibration.formats.read_camera`."""

    @abstractmethod
    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write one camera, whose lens `check_lens` has let pass."""

    def check_lens(self, camera: Camera, path: Path) -> None:
        """Raise `ConfigError` where the format cannot hold this lens."""
        got = (camera.lens, len(camera.distortion))
        if got not in self.lenses:
            held = ", ".join(f"{lens} of {count}" for lens, count in sorted(self.lenses))
            raise ConfigError(
                f"{path}: {self.title} cannot hold a {got[0]} lens of {got[1]} coefficients; it holds {held}; "
                "write another format, for example toml"
            )

    def choose(self, name: str) -> str:
        """The camera that is meant; raise `ConfigError` for one that such a file does not have."""
        if not self.names:
            if name:
                raise ConfigError(
                    f"{self.title} holds one camera without a name; leave out {name!r}"
                )
            return ""
        if name and name not in self.names:
            raise ConfigError(
                f"{self.title} has no camera {name!r}; it has {', '.join(self.names)}"
            )
        return name or self.names[0]


def read_text(path: Path, title: str) -> str:
    """The text of a file; raise `InputError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as {title}: {error}") from error


def numbers(path: Path, key: str, values: Any, count: Sequence[int]) -> Float64:  # noqa: ANN401 (as it was read)
    """``float64[n]`` from what a file holds under a key.

    Args:
        path: for messages.
        key: for messages.
        values: what should be a list of finite numbers; text such as ``1e-05``, which YAML does not take for one, is read.
        count: how many there may be.

    Raises:
        InputError: they are no numbers, not finite, or too many or too few.
    """
    expected = f"expected {' or '.join(map(str, count))} finite numbers"
    if not isinstance(values, list):
        raise InputError(f"{path}: {key}: {expected}, got {values!r}")
    try:
        found = np.array([float(value) for value in values if not isinstance(value, bool)])
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {key}: {expected}, got {values!r}") from error
    if len(values) not in count or found.size != len(values) or not np.isfinite(found).all():
        raise InputError(f"{path}: {key}: {expected}, got {len(values)}: {values!r}")
    return found


def intrinsics(path: Path, key: str, matrix: Float64) -> dict[str, float]:
    """The keys of a `Camera` from an intrinsic matrix ``float64[3, 3]``; raise `InputError` where it is none, or skewed."""
    (fx, skew, cx), (shear, fy, cy), last = matrix.tolist()
    if skew or shear or last != [0.0, 0.0, 1.0] or fx <= 0 or fy <= 0:
        raise InputError(
            f"{path}: {key}: expected the rows fx 0 cx, 0 fy cy, 0 0 1 with positive focal lengths, got {matrix.tolist()}"
        )
    return dict(zip(INTRINSICS, (fx, fy, cx, cy), strict=True))


def matrix_of(camera: Camera) -> list[list[float]]:
    """The intrinsic matrix as files have it: integers are pixel centres."""
    return [
        [camera.fx_px, 0.0, camera.cx_px],
        [0.0, camera.fy_px, camera.cy_px],
        [0.0, 0.0, 1.0],
    ]


def make_camera(path: Path, **keys: Any) -> Camera:  # noqa: ANN401 (of a camera)
    """A camera of what a file says; raise `InputError` where no camera is like that."""
    try:
        return Camera(**keys)
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error


def size_of(
    path: Path, size_wh: tuple[int, int] | None, told_wh: tuple[int, int] | None
) -> tuple[int, int]:
    """The size of the frames, px.

    Args:
        path: for messages.
        size_wh: that the user gives.
        told_wh: that the file tells.

    Raises:
        ConfigError: neither is there, or they differ.
    """
    if size_wh is not None and told_wh is not None and size_wh != told_wh:
        asked, told = ("x".join(map(str, size)) for size in (size_wh, told_wh))
        raise ConfigError(f"{path}: is of frames of {told}; leave out --size {asked}")
    found = told_wh or size_wh
    if found is None:
        raise ConfigError(f"{path}: does not tell the size of its frames; give --size WIDTHxHEIGHT")
    return found
