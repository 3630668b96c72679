"""nuScenes through its own devkit: each camera's keyframes, 2D boxes around the labelled 3D boxes, and the laser's points.

Source: Caesar et al., "nuScenes: a multimodal dataset for autonomous driving", CVPR 2020.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import Box
from nuscenes.utils.geometry_utils import BoxVisibility
from nuscenes.utils.splits import create_splits_scenes
from pyquaternion import Quaternion

from perception.core.camera import ROAD_FROM_VEHICLE, Camera, camera_from_projection
from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.core.types import Bool, Float32, Float64
from perception.datasets.base import BoxLabels, Dataset, Sample, read_image, unknown_split
from perception.datasets.lidar import scan_map

SPLITS = ("train", "val")
# folder of the tables -> what the devkit puts before the name of a split
VERSIONS = {"v1.0-trainval": "", "v1.0-mini": "mini_"}
LIDAR = "LIDAR_TOP"
NEAR_M = 0.1  # what is behind this plane is cut off
BICYCLE, RIDDEN = "vehicle.bicycle", "cycle.with_rider"  # category, attribute
HARDLY_SEEN = "1"  # token of the visibility of 0 to 40 %
BROKEN = (AssertionError, OSError, ValueError, KeyError, TypeError)  # what the devkit may raise
# of the corners, in the devkit's order: four in front, then four behind
EDGES = [(i + k, (i + 1) % 4 + k) for k in (0, 4) for i in range(4)] + [(i, i + 4) for i in range(4)]  # fmt: skip


class NuScenesFrames(Dataset):
    """Keyframes of the six cameras. It has ``lidar_m`` and ``identity``, the same in all frames and cameras of a scene.

    Bicycles that nobody rides are not judged; where the tables do not tell, each has a rider. A 2D box is the smallest around what of the projected 3D box lies in the picture: it is looser than one drawn by hand, and goes on
    behind what hides the object. Objects that no ray of laser or radar met, or of which at most 40 % are seen, are not judged.

    Args:
        root: folder that holds ``samples`` and the tables: ``v1.0-trainval``, else ``v1.0-mini``.
        split: ``train`` or ``val``, whole scenes as the devkit splits them.
    """

    stretch = 6 * 40  # a scene

    def __init__(self, root: Path, split: str) -> None:
        if split not in SPLITS:
            raise unknown_split("nuscenes", split, SPLITS)
        there = [version for version in VERSIONS if (root / version).is_dir()]
        if not there:
            raise InputError(
                f"{root}: none of {', '.join(VERSIONS)} there; is the data set complete?"
            )
        try:
            self._tables = NuScenes(there[0], dataroot=str(root), verbose=False)
        except BROKEN as error:
            raise InputError(
                f"{root / there[0]}: the devkit cannot read the tables: {error!r}"
            ) from error
        scenes = set(create_splits_scenes()[VERSIONS[there[0]] + split])
        self._root = root
        self._tokens: dict[str, str] = {}
        for sample in self._tables.sample:
            scene = self._tables.get("scene", sample["scene_token"])["name"]
            if scene in scenes:
                for channel, token in sample["data"].items():
                    if channel.startswith("CAM_"):
                        self._tokens[f"{scene}/{sample['timestamp']}/{channel}"] = token
        if not self._tokens:
            raise InputError(
                f"{root / there[0]}: no keyframe of the split {split!r}; is the data set complete?"
            )
        super().__init__(sorted(self._tokens))

    def load(self, name: str) -> Sample:
        """Read frame, boxes and calibration of ``scene/microseconds/channel``."""
        try:
            return self._load(name, self._tokens[name])
        except BROKEN as error:
            raise InputError(f"{name}: the devkit cannot read it: {error!r}") from error

    def _load(self, name: str, token: str) -> Sample:
        record = self._tables.get("sample_data", token)
        image = read_image(self._root / record["filename"])
        height, width = image.shape[:2]
        # the devkit gives the boxes in the camera's coordinates
        _, found, intrinsic = self._tables.get_sample_data(token, box_vis_level=BoxVisibility.ANY)
        notes = [self._tables.get("sample_annotation", box.token) for box in found]
        hidden = [self._is_hidden(note) for note in notes]
        outlines = [flat_box(box, np.asarray(intrinsic), (width, height)) for box in found]
        targets = [
            "ignore"
            if unseen and _target(note["category_name"])
            else _target(note["category_name"])
            for note, unseen in zip(notes, hidden, strict=True)
        ]
        boxes, kept = _labels(targets, outlines, [box.center[2] for box in found], (height, width))
        further: dict[str, NDArray[Any]] = {}
        if "identity" in self.further:
            of = [self._tables.getind("instance", notes[i]["instance_token"]) for i in kept]
            further["identity"] = np.array(of, np.int64)
        if "lidar_m" in self.further:
            further["lidar_m"] = self._scan(record, (width, height))
        camera = self._camera(record, np.asarray(intrinsic, np.float64), (width, height))
        return Sample(name, image, None, boxes, camera, further)

    def _is_hidden(self, note: dict[str, Any]) -> bool:
        """No ray met it, it is hardly seen, or it is a bicycle of which the tables say that nobody rides it."""
        met = note["num_lidar_pts"] + note["num_radar_pts"] > 0
        told = [self._tables.get("attribute", token)["name"] for token in note["attribute_tokens"]]
        left = note["category_name"] == BICYCLE and bool(told) and RIDDEN not in told
        return not met or left or note["visibility_token"] == HARDLY_SEEN

    def _camera(self, record: dict[str, Any], intrinsic: Float64, size_wh: tuple[int, int]) -> Camera:  # fmt: skip
        mounted = self._tables.get("calibrated_sensor", record["calibrated_sensor_token"])
        pose = np.eye(4)
        pose[:3, :3] = ROAD_FROM_VEHICLE @ Quaternion(mounted["rotation"]).rotation_matrix
        pose[:3, 3] = ROAD_FROM_VEHICLE @ mounted["translation"]
        projection = np.hstack([intrinsic, np.zeros((3, 1))])
        try:
            source = f"nuScenes {record['channel']}"
            camera_from_road = np.asarray(np.linalg.inv(pose), np.float64)
            return camera_from_projection(projection, camera_from_road, size_wh, source)
        except ConfigError as error:
            raise InputError(f"{record['filename']}: its calibration: {error}") from error

    def _scan(self, record: dict[str, Any], size_wh: tuple[int, int]) -> Float32:
        """Both poses of the vehicle count: the scan is taken some milliseconds before or after the picture."""
        scanner = self._tables.get("sample", record["sample_token"])["data"][LIDAR]
        points, depth, picture = self._tables.explorer.map_pointcloud_to_image(
            scanner, record["token"]
        )
        picture.close()
        return scan_map(points[:2].T.astype(np.float64), depth.astype(np.float64), size_wh)


def flat_box(
    box: Box, intrinsic: Float64, size_wh: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """The smallest 2D box, px, around what of a 3D box, in the camera's coordinates, is in the picture; ``None`` for none of it."""
    corners = box.corners().T
    seen = [corner for corner in corners if corner[2] >= NEAR_M]
    for first, second in EDGES:
        a, b = corners[first], corners[second]
        if (a[2] - NEAR_M) * (b[2] - NEAR_M) < 0:  # the edge goes through the plane
            seen.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
    if not seen:
        return None
    points = np.array(seen) @ intrinsic.T
    flat = points[:, :2] / points[:, 2:] + 0.5  # pixel centres of the calibration are at integers
    hull = cv2.convexHull(flat.astype(np.float32))
    width, height = size_wh
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    area, part = cv2.intersectConvexConvex(hull, frame)
    if area <= 0 or part is None:
        return None
    (x1, y1), (x2, y2) = part[:, 0].min(axis=0), part[:, 0].max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def _target(category: str) -> str | None:
    """Box class, ``"ignore"``, or ``None`` for what is no traffic: by the longest entry that the category begins with."""
    table = MAPPINGS["nuscenes"].boxes
    fitting = [str(key) for key in table if f"{category}.".startswith(f"{key}.")]
    return table[max(fitting, key=len)] if fitting else None


def _labels(
    targets: list[str | None],
    outlines: list[tuple[float, float, float, float] | None],
    depth_m: list[float],
    shape: tuple[int, ...],
) -> tuple[BoxLabels, list[int]]:
    """The boxes of a frame, and the place of each among the annotations."""
    unjudged: Bool = np.zeros(shape, np.bool_)
    kept: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    ids: list[int] = []
    for index, (target, outline) in enumerate(zip(targets, outlines, strict=True)):
        if outline is None or target is None:
            continue
        if target == "ignore":
            x1, y1, x2, y2 = np.rint(outline).astype(int)
            unjudged[y1:y2, x1:x2] = True
        else:
            kept.append(index)
            boxes.append(outline)
            ids.append(BOX_CLASSES.index(target))
    labels = BoxLabels(
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(ids, np.int64),
        boxed_classes=MAPPINGS["nuscenes"].boxed_classes,
        unjudged=unjudged,
        distances_m=np.array([depth_m[i] for i in kept], np.float32),
    )
    return labels, kept
