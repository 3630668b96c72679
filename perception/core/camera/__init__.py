"""A calibrated camera, its lens, its mounting, its file, and the road in metres."""

from perception.core.camera import lens
from perception.core.camera.files import CAMERAS_DIR, find_camera, load_camera, save_camera
from perception.core.camera.ground import OUTSIDE_PX, GroundGrid, resample
from perception.core.camera.model import ROAD_FROM_VEHICLE, Camera, camera_from_projection
from perception.core.camera.undistort import UNSEEN, Undistorter, Undistortion, build_undistorter

__all__ = [
    "CAMERAS_DIR",
    "OUTSIDE_PX",
    "ROAD_FROM_VEHICLE",
    "UNSEEN",
    "Camera",
    "GroundGrid",
    "Undistorter",
    "Undistortion",
    "build_undistorter",
    "camera_from_projection",
    "find_camera",
    "lens",
    "load_camera",
    "resample",
    "save_camera",
]
