"""Boxes whose distance is known: where the foot of each touches the road, for `perception bench distance`.

The foot of a 2D box belongs to the *nearest* lower edge of the object, not to its middle. KITTI object: the nearest of the four lower corners of the
labelled 3D box, whose z the label gives in the axes of the rectified camera. Rendered drives: the depth of the lowest pixel of the
object, exact, turned into z of the road.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, sin
from pathlib import Path

import numpy as np

from perception.core.camera import Camera
from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.core.types import Float32, Float64, Int64, UInt8
from perception.datasets.base import find_picture, list_stems, read_image
from perception.datasets.kitti.calib import nominal_camera
from perception.datasets.kitti.object import read_label_file
from perception.render.disk import read_frame
from perception.render.records import ObjectLabel, RenderedFrame
from perception.render.store import is_clear, list_drives

HIDDEN_SHARE = 0.1  # of a rendered object: what hides more may hide its foot
WHOLE = 0.0  # KITTI's share outside of the frame


@dataclass(frozen=True, slots=True, eq=False)
class DistanceSample:
    """One frame of known distances.

    Attributes:
        name: of the frame.
        image: ``uint8[H, W, 3]``.
        camera: of the frame.
        boxes_xyxy: ``float32[K, 4]``, px.
        class_ids: ``int64[K]``, index into `perception.core.labels.BOX_CLASSES`.
        true_m: ``float64[K]``: z of the nearest lower edge in the camera's road frame.
    """

    name: str
    image: UInt8
    camera: Camera
    boxes_xyxy: Float32
    class_ids: Int64
    true_m: Float64


def kitti_distances(root: Path) -> Iterator[DistanceSample]:
    """The frames of KITTI object with 3D labels, each with its own calibration; truncated objects are left out.

    Raises:
        InputError: the set is not there, or damaged.
    """
    folder = root / "training"
    for stem in list_stems(folder / "image_2"):
        image = read_image(find_picture(folder / "image_2", stem))
        camera = nominal_camera(folder / "calib" / f"{stem}.txt", (image.shape[1], image.shape[0]))
        kept = read_label_file(folder / "label_2" / f"{stem}.txt", _whole_objects)
        boxes, ids, true_m = zip(*kept, strict=True) if kept else ((), (), ())
        yield DistanceSample(
            stem,
            image,
            camera,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(ids, np.int64),
            np.array(true_m, np.float64),
        )


def _whole_objects(rows: list[list[str]]) -> list[tuple[list[float], int, float]]:
    """Box, class and true distance of each object of a label file that is not truncated."""
    table = MAPPINGS["kitti_object"].boxes
    return [
        (
            [float(n) for n in row[4:8]],
            BOX_CLASSES.index(table[row[0]]),
            _nearest_corner_m([float(n) for n in row[8:15]]),
        )
        for row in rows
        if table[row[0]] != "ignore" and float(row[1]) <= WHOLE
    ]


def _nearest_corner_m(numbers: list[float]) -> float:
    """Z of the nearest lower corner of a 3D box: its height, width, length, x, y, z and rotation about y."""
    _, width, length, _, _, z, yaw = numbers
    # the length points along (cos, -sin) of the yaw in (x, z)
    return z - abs(sin(yaw)) * length / 2 - abs(cos(yaw)) * width / 2


def rendered_distances(root: Path) -> Iterator[DistanceSample]:
    """The frames of ``root/DRIVE``, as ``perception render --out ROOT`` leaves them; objects of which more than a tenth is hidden are left out.

    Raises:
        InputError: there is no drive, or a frame is missing.
    """
    table = MAPPINGS["synthetic"].boxes
    for drive in list_drives(root):
        for index in range(drive.frames):
            frame = read_frame(drive.folder, index)
            kept = [
                label
                for label in frame.labels.objects
                if is_clear(label) and label.occluded <= HIDDEN_SHARE and label.truncated <= WHOLE
            ]
            yield DistanceSample(
                f"{drive.folder.name}/{index:06d}",
                frame.image,
                drive.camera,
                np.array([label.box_xyxy for label in kept], np.float32).reshape(-1, 4),
                np.array([BOX_CLASSES.index(table[label.kind]) for label in kept], np.int64),
                np.array([_lowest_pixel_m(frame, label, drive.camera) for label in kept]),
            )


def _lowest_pixel_m(frame: RenderedFrame, label: ObjectLabel, camera: Camera) -> float:
    """Z on the road of the lowest pixels of an object, m."""
    row = label.box_xyxy[3] - 1
    columns = np.flatnonzero(frame.labels.instances[row] == label.identity)
    depth_m = float(np.median(frame.labels.depth_m[row, columns]))
    pixel = camera.undistorted(np.array([[columns.mean() + 0.5, row + 0.5]]))[0]
    ray = np.linalg.solve(camera.image_from_camera, [*pixel, 1.0])
    point = np.linalg.solve(camera.camera_from_road, [*(ray * depth_m), 1.0])
    return float(point[2])
