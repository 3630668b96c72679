"""Drives on disk to the layouts that other software reads: KITTI's object detection, and COCO's JSON.

Sources: Geiger, Lenz, Urtasun, "Are we ready for autonomous driving?", CVPR 2012 (devkit_object/readme.txt); Lin et al.,
"Microsoft COCO", arXiv 1405.0312.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import atan2, pi
from os.path import relpath
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception.core.camera import Camera
from perception.core.errors import ConfigError
from perception.core.files import write_atomically
from perception.core.labels import BOX_CLASSES, KEY_POINTS, MAPPINGS
from perception.core.types import Bool
from perception.render.disk import (
    PICTURE,
    PNG,
    path_of,
    read_frame,
    read_labels,
    read_picture,
)
from perception.render.records import FrameLabels, ObjectLabel
from perception.render.store import StoredDrive, is_clear

Tell = Callable[[int, int], None]  # frames done, frames in all

KITTI_TYPES: Mapping[str, str] = {
    "car": "Car", "van": "Van", "truck": "Truck", "bus": "Truck", "person": "Pedestrian", "cyclist": "Cyclist",
}  # fmt: skip
KITTI_OCCLUDED = (0.1, 0.5)  # shares hidden, up to which KITTI's levels 0 and 1 go
UNKNOWN = (
    "-1 -1 -1 -1000 -1000 -1000 -10"  # of a region that nobody judges: no size, place and angle
)
# which joints to connect in a drawing, by `KEY_POINTS`, from 1
SKELETON = (
    (1, 2), (2, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 8), (3, 9), (4, 10), (9, 10), (9, 11), (10, 12), (11, 13), (12, 14),
)  # fmt: skip
VISIBLE, HIDDEN, UNLABELLED = 2, 1, 0  # of a key point, in COCO


def _frames(drives: Sequence[StoredDrive], tell: Tell | None) -> Iterator[tuple[StoredDrive, int]]:
    """Each frame that is there."""
    frames = [
        (drive, i) for drive in drives for i in sorted(set(range(drive.frames)) - {*drive.missing})
    ]
    for number, frame in enumerate(frames):
        yield frame
        if tell:
            tell(number + 1, len(frames))


def export_kitti(drives: Sequence[StoredDrive], folder: Path, progress: Tell | None = None) -> int:
    """Write ``training/{image_2,label_2,calib}``, frames numbered through, and ``frames.txt`` with where each comes from.

    Boxes are of the whole object as far as it is in the frame, as KITTI's are. A bus is a ``Truck``, as KITTI has no buses; what
    is hardly seen (`is_clear`) is ``DontCare``. ``rotation_y`` turns about the camera's own y axis, as KITTI's 3D boxes know no other turn: they stand upright
    on the road only for a camera that looks level (``camera.pitch_deg=0``, ``optics.shake=0``). Pixels count from pixel centres, as
    the projection matrices do.

    Returns:
        How many frames there are.

    Raises:
        ConfigError: a camera has distortion, which this layout cannot tell.
        InputError: a drive cannot be read.
        OutputError: the folder cannot be written.
    """
    for drive in drives:
        if any(drive.camera.distortion):
            raise ConfigError(
                f"{drive.folder}: KITTI's layout is of cameras without distortion; render with such a camera"
            )
    lines = []
    for number, (drive, index) in enumerate(_frames(drives, progress)):
        name = f"{number:06d}"
        lines.append(f"{name} {drive.folder.name} {index}")
        _, coded = cv2.imencode(".png", read_picture(drive.folder, index), PNG)
        labels = read_labels(drive.folder, index)
        told = "".join(f"{_kitti_line(label, drive.camera.size_wh)}\n" for label in labels)
        training = folder / "training"
        write_atomically(training / "image_2" / f"{name}.png", coded.tobytes())
        write_atomically(training / "label_2" / f"{name}.txt", told.encode())
        write_atomically(training / "calib" / f"{name}.txt", kitti_calib(drive.camera).encode())
    write_atomically(folder / "frames.txt", "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


def _kitti_line(label: ObjectLabel, size_wh: tuple[int, int]) -> str:
    if not is_clear(label):
        x1, y1, x2, y2 = (value - 0.5 for value in label.box_xyxy)
        return f"DontCare -1 -1 -10 {x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f} {UNKNOWN}"
    whole = label.amodal_xyxy or label.box_xyxy
    limits = (size_wh[0] - 1, size_wh[1] - 1)
    box = " ".join(f"{min(max(v - 0.5, 0), limits[i % 2]):.2f}" for i, v in enumerate(whole))
    length, width, height = label.size_lwh_m
    x_m, y_m, z_m = label.centre_m
    alpha = (label.yaw_rad - atan2(x_m, z_m) + pi) % (2 * pi) - pi
    level = sum(label.occluded > limit for limit in KITTI_OCCLUDED)
    kind = "van" if label.attributes.get("kind") == "van" else label.kind
    return (
        f"{KITTI_TYPES[kind]} {label.truncated:.2f} {level} {alpha:.2f} {box} "
        f"{height:.2f} {width:.2f} {length:.2f} {x_m:.2f} {y_m:.2f} {z_m:.2f} {label.yaw_rad:.2f}"
    )


def kitti_calib(camera: Camera) -> str:
    """All of KITTI's matrices: four times the one camera, and a laser scanner in its place that nobody has."""
    fx, fy, cx, cy = camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px
    projection = f"{fx:.6f} 0 {cx:.6f} 0 0 {fy:.6f} {cy:.6f} 0 0 0 1 0"
    return (
        "".join(f"P{k}: {projection}\n" for k in range(4))
        + "R0_rect: 1 0 0 0 1 0 0 0 1\n"
        + "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"  # x forward, y left, z up
        + "Tr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0\n"
    )


def export_coco(drives: Sequence[StoredDrive], path: Path, progress: Tell | None = None) -> int:
    """Write one JSON file with boxes, masks and key points of what is seen; ``iscrowd`` is 1 where `is_clear` does not hold.

    ``file_name`` is relative to the folder of `path`. Each annotation also tells identity and attributes, each image its drive.

    Returns:
        How many frames there are.

    Raises:
        InputError: a drive cannot be read.
        OutputError: the file cannot be written.
    """
    images: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for drive, index in _frames(drives, progress):
        picture = path_of(drive.folder, PICTURE, index)
        width, height = drive.camera.size_wh
        images.append(
            {
                "id": len(images) + 1,
                "file_name": Path(relpath(picture, path.parent)).as_posix(),
                "width": width,
                "height": height,
                "drive": drive.folder.name,
                "frame": index,
            }
        )
        for note in _coco_notes(read_frame(drive.folder, index).labels):
            notes.append({"id": len(notes) + 1, "image_id": len(images), **note})
    table = {
        "info": {"description": "synthetic drives with exact labels"},
        "images": images,
        "annotations": notes,
        "categories": [_coco_category(k, name) for k, name in enumerate(BOX_CLASSES)],
    }
    write_atomically(path, json.dumps(table, separators=(",", ":")).encode())
    return len(images)


def _coco_category(class_id: int, name: str) -> dict[str, Any]:
    table = {"id": class_id + 1, "name": name, "supercategory": "road user"}
    if name == "vehicle":
        return table
    return {**table, "keypoints": list(KEY_POINTS), "skeleton": [list(pair) for pair in SKELETON]}


def _coco_notes(labels: FrameLabels) -> Iterator[dict[str, Any]]:
    for label in labels.objects:
        x1, y1, x2, y2 = label.box_xyxy
        box_class = MAPPINGS["synthetic"].boxes[label.kind]
        note: dict[str, Any] = {
            "category_id": BOX_CLASSES.index(box_class) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": label.pixels,
            "iscrowd": int(not is_clear(label)),
            "segmentation": run_lengths(labels.instances == label.identity),
            "identity": label.identity,
            "attributes": dict(label.attributes),
        }
        if label.key_points is not None:
            points = [_coco_point(*point) for point in label.key_points.tolist()]
            note["keypoints"] = [value for point in points for value in point]
            note["num_keypoints"] = sum(point[2] != UNLABELLED for point in points)
        yield note


def _coco_point(x: float, y: float, seen: float) -> tuple[float, float, int]:
    if not seen and x == 0 and y == 0:
        return 0.0, 0.0, UNLABELLED  # behind the camera
    return round(x, 2), round(y, 2), VISIBLE if seen else HIDDEN


def run_lengths(mask: Bool) -> dict[str, list[int]]:
    """``bool[H, W]`` -> COCO's uncompressed runs: how many pixels are off, on, off ..., column by column."""
    height, width = mask.shape
    flat = np.concatenate(([False], mask.ravel(order="F"), [False]))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    edges = np.concatenate(
        ([0], changes, [] if len(changes) and changes[-1] == mask.size else [mask.size])
    )
    return {"size": [height, width], "counts": np.diff(edges).astype(int).tolist()}
