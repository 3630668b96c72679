"""A calibrated camera, its lens, its mounting, its file, and the road in metres."""

from perception.core.camera import lens
from perception.core.camera.files import find_camera, load_camera, save_camera
from perception.core.camera.ground import OUTSIDE_PX, GroundGrid, resample
from perception.core.camera.model import Camera, camera_from_projection

__all__ = [
    "OUTSIDE_PX",
    "Camera",
    "GroundGrid",
    "camera_from_projection",
    "find_camera",
    "lens",
    "load_camera",
    "resample",
    "save_camera",
]
