"""KITTI's calibration of the object, tracking and road benchmarks: ``P0`` to ``P3`` of rectified frames, and the road where it is known."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from perception.calibration.formats.base import (
    INTRINSICS,
    NO_LENS,
    CameraFormat,
    intrinsics,
    make_camera,
    size_of,
)
from perception.core.camera import Camera, camera_from_projection
from perception.core.errors import ConfigError, InputError
from perception.core.files import write_atomically
from perception.datasets.kitti.calib import has_road, read_calib, road_pose
from perception.render.export import kitti_calib


class Kitti(CameraFormat):
    """One file a frame. Its mounting is that of ``Tr_cam_to_road``, which the road benchmark has; else it is unknown.

    The size of the frames is not in it. Written are all of KITTI's lines: four times the one camera, and scanners that nobody has.
    """

    title = "a KITTI calibration file"
    lenses = frozenset({NO_LENS})
    holds: ClassVar[frozenset[str]] = frozenset(
        {*INTRINSICS, "height_m", "pitch_deg", "roll_deg", "yaw_deg", "lateral_m", "forward_m", "lens", "distortion"}
    )  # fmt: skip
    names = ("P2", "P0", "P1", "P3")  # left colour, left grey, right grey, right colour

    def read(self, path: Path, name: str, size_wh: tuple[int, int] | None) -> Camera:
        """Read one camera."""
        name = self.choose(name)
        projection = read_calib(path, (name,))[name]
        found = intrinsics(path, name, projection[:, :3])
        width, height = size_of(path, size_wh, None)
        if not has_road(path):
            return make_camera(path, width_px=width, height_px=height, **found, source=path.name)
        try:
            return camera_from_projection(projection, road_pose(path), (width, height), path.name)
        except ConfigError as error:
            raise InputError(f"{path}: {error}; is the file damaged?") from error

    def write(self, camera: Camera, path: Path, name: str) -> None:
        """Write the file."""
        self.choose(name)
        text = kitti_calib(camera)
        if camera.height_m is not None:
            road_from_camera = np.linalg.inv(camera.camera_from_road)[:3].ravel()
            text += f"Tr_cam_to_road: {' '.join(f'{x:.12e}' for x in road_from_camera)}\n"
        write_atomically(path, text.encode())
