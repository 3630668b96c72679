"""A stand-in for a drive: small random frames whose labels have the form of real ones, made in no time."""

import os
import time
from dataclasses import replace

import numpy as np

from perception.core.labels import KEY_POINTS
from perception.render.config import CameraConfig, DriveConfig
from perception.render.picture.view import build_camera
from perception.render.records import (
    CityId,
    FrameLabels,
    ObjectLabel,
    RenderedFrame,
    State,
)

RENDERER = "tests.render.factories:FakeDrive"
SIZE_WH = (96, 64)
KINDS = ("car", "truck", "bus", "person", "cyclist")
CLASS_OF = {
    "car": CityId.CAR,
    "truck": CityId.TRUCK,
    "bus": CityId.BUS,
    "person": CityId.PERSON,
    "cyclist": CityId.RIDER,
}


def drive_config(frames=4, **changes):
    """A drive of so many small frames."""
    camera = CameraConfig(size_wh=SIZE_WH)
    return replace(DriveConfig(duration_s=frames / 10, camera=camera), **changes)


def make_object(rng, identity, labels_of, size_wh=SIZE_WH):
    """An object drawn as a rectangle into the maps of `labels_of`; what it hides is no longer seen."""
    class_ids, instances, depth = labels_of
    kind = KINDS[identity % len(KINDS)]
    width, height = (int(n) for n in rng.integers(6, 20, 2))
    x1, y1 = int(rng.integers(0, size_wh[0] - width)), int(rng.integers(0, size_wh[1] - height))
    place = np.s_[y1 : y1 + height, x1 : x1 + width]
    z_m = 30.0 - identity
    class_ids[place], instances[place], depth[place] = CLASS_OF[kind], identity, z_m
    points = None
    if kind in {"person", "cyclist"}:
        points = np.zeros((len(KEY_POINTS), 3), np.float32)
        points[:, 0] = rng.uniform(x1, x1 + width, len(points))
        points[:, 1] = rng.uniform(y1, y1 + height, len(points))
        points[::2, 2] = 1
        points[1] = 0
    return ObjectLabel(
        identity=identity,
        kind=kind,
        box_xyxy=(x1, y1, x1 + width, y1 + height),
        amodal_xyxy=(x1 - 0.5, y1 - 0.25, x1 + width + 0.5, y1 + height + 0.25),
        pixels=width * height,
        occluded=float(rng.uniform(0, 1)),
        truncated=0.0,
        size_lwh_m=(4.5, 1.8, 1.5),
        centre_m=(float(rng.normal()), 1.4, z_m),
        yaw_rad=float(rng.uniform(-3, 3)),
        speed_mps=float(rng.uniform(0, 15)),
        key_points=points,
        attributes={"kind": "van" if identity == 5 else kind, "colour": "red"},
    )


def seen(label, instances):
    """The object as it is seen once all are drawn, or nothing."""
    rows, columns = np.nonzero(instances == label.identity)
    if not len(rows):
        return None
    hull = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return replace(label, box_xyxy=hull, pixels=len(rows), occluded=1 - len(rows) / label.pixels)


def make_rendered(index=0, seed=0, objects=6, size_wh=SIZE_WH):
    """A frame of noise with rectangles that hide each other."""
    rng = np.random.default_rng((seed, index))
    width, height = size_wh
    class_ids = np.full((height, width), CityId.ROAD, np.uint8)
    class_ids[: height // 2] = CityId.SKY
    depth = rng.uniform(0.5, 90, (height, width)).astype(np.float32)
    depth[: height // 2] = 0
    instances = np.zeros((height, width), np.uint16)
    flow = rng.normal(0, 9, (height, width, 2)).astype(np.float32)
    flow[-1] = np.nan
    made = [make_object(rng, 1 + i, (class_ids, instances, depth), size_wh) for i in range(objects)]
    left = [label for label in (seen(one, instances) for one in made) if label is not None]
    pose = np.eye(4)
    pose[:3, 3] = rng.normal(0, 10, 3)
    labels = FrameLabels(
        class_ids=class_ids,
        instances=instances,
        depth_m=depth,
        lanes=rng.integers(0, 7, (height, width), np.uint8),
        flow_px=flow,
        objects=tuple(sorted(left, key=lambda o: o.centre_m[2])),
        camera_from_world=pose,
        ego=State(float(index), -1.75, 0.01, 12.5),
        time_s=index / 10,
    )
    grey = np.kron(rng.integers(20, 200, (height // 8, width // 8, 1)), np.ones((8, 8, 1)))
    smooth = grey + np.array([0, 20, 40])
    return RenderedFrame(index, smooth.astype(np.uint8), labels)


class FakeDrive:
    """Stands in for `perception.render.drive.Drive`."""

    def __init__(self, config):
        self.config = config
        self.camera = build_camera(config.camera)
        self.frames = config.frames

    def render(self, index):
        return make_rendered(index, self.config.seed, size_wh=self.config.camera.size_wh)


class SlowDrive(FakeDrive):
    """Takes its time."""

    def render(self, index):
        time.sleep(0.2)
        return super().render(index)


class DyingDrive(FakeDrive):
    """Ends its process at the third frame, as the system does where memory is short."""

    def render(self, index):
        if index == 2:
            os._exit(9)
        return super().render(index)
