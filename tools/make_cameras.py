"""Write the shipped cameras, ``calib/cameras/``, from the data sets' own files: ``python tools/make_cameras.py``; reads PERCEPTION_DATA.

Left out of it are those that ``perception calibrate`` measured.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np

from perception.calibration.formats import read_camera
from perception.core.camera import CAMERAS_DIR, Camera, save_camera
from perception.datasets.base import DATA_VARIABLE
from perception.datasets.kitti.calib import NOMINAL_HEIGHT_M
from perception.render.config import CameraConfig
from perception.render.picture.view import build_camera

HEAD = "{}\nMade by tools/make_cameras.py. Keys, units, axes: calib/README.md"
KITTI_SOURCE = "KITTI (Geiger et al., IJRR 2013), P2 of {}; CC BY-NC-SA 3.0"
KITTI_HEAD = (
    "KITTI's left colour camera on {}, rectified. height_m is nominal and level, as the set gives none; the sigmas are the rms of the\n"
    "road benchmark's own planes (Tr_cam_to_road, frames of {}) about that."
)
KITTI = {  # day -> a file with its P2, and the size of its frames: one tells the other
    "2011-09-26": ("kitti_object/training/calib/000001.txt", (1242, 375)),
    "2011-09-28": ("kitti_object/training/calib/000074.txt", (1224, 370)),
    "2011-09-29": ("kitti_object/training/calib/000015.txt", (1238, 374)),
    "2011-09-30": ("kitti_road/data_road/training/calib/uu_000067.txt", (1226, 370)),
    "2011-10-03": ("kitti_object/training/calib/000024.txt", (1241, 376)),
}
ROAD_CALIB = "kitti_road/data_road/training/calib"


def kitti_cameras(data: Path) -> Iterator[tuple[str, Camera, str]]:
    """Name, camera and head of each recording day."""
    planes: dict[float, list[Camera]] = {}
    for file in sorted((data / ROAD_CALIB).glob("*.txt")):
        plane = read_camera(file, size_wh=(1242, 375))  # the size is not looked at
        planes.setdefault(plane.fx_px, []).append(plane)
    every = [plane for day in planes.values() for plane in day]
    for day, (file_name, size_wh) in KITTI.items():
        told = read_camera(data / file_name, size_wh=size_wh)
        judged = planes.get(told.fx_px, every)
        camera = Camera(
            width_px=told.width_px,
            height_px=told.height_px,
            fx_px=told.fx_px,
            fy_px=told.fy_px,
            cx_px=told.cx_px,
            cy_px=told.cy_px,
            height_m=NOMINAL_HEIGHT_M,
            height_sigma_m=_rms([(plane.height_m or 0.0) - NOMINAL_HEIGHT_M for plane in judged]),
            pitch_sigma_deg=_rms([plane.pitch_deg for plane in judged]),
            source=KITTI_SOURCE.format(day),
            date=day,
        )
        of = f"that day: {len(judged)}" if judged is not every else f"other days: {len(judged)}"
        yield f"kitti_{day.replace('-', '_')}", camera, KITTI_HEAD.format(day, of)


def other_cameras(data: Path) -> Iterator[tuple[str, Camera, str]]:
    """The front camera of nuScenes, and that of rendered drives."""
    front = read_camera(data / "nuscenes" / "v1.0-mini", name="CAM_FRONT")
    yield (
        "nuscenes_cam_front",
        replace(
            front,
            source="nuScenes v1.0-mini scene-0061 (Caesar et al., CVPR 2020), calibrated_sensor of CAM_FRONT; CC BY-NC-SA 4.0",
            date="2018-07-24",
        ),
        "nuScenes' CAM_FRONT in one log, rectified; every vehicle of the set has its own. The road's origin is below the rear axle.",
    )
    drawn = build_camera(CameraConfig())
    yield (
        "synthetic_dashcam",
        replace(
            drawn,
            source="perception render, its usual camera (CameraConfig); Apache-2.0",
            date="2026-11-23",
        ),
        "The camera of rendered drives, at rest; those that a seed varies differ, and are stored with each drive.",
    )


def _rms(values: list[float]) -> float:
    return round(sqrt(float(np.mean(np.square(values)))), 3)


def main() -> None:
    """Write them all."""
    data = Path(os.environ[DATA_VARIABLE])
    for name, camera, told in (*kitti_cameras(data), *other_cameras(data)):
        save_camera(camera, CAMERAS_DIR / f"{name}.toml", HEAD.format(told))


if __name__ == "__main__":
    main()
