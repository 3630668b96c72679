"""nuScenes' keyframe through the devkit, which needs NumPy 1: these tests run in that environment (make check-numpy1)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from perception.core.camera import Camera
from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES
from perception.datasets import open_dataset

try:
    from nuscenes.utils.data_classes import Box
    from pyquaternion import Quaternion

    from perception.datasets.nuscenes import flat_box
except ModuleNotFoundError:
    Box = None

needs_devkit = pytest.mark.skipif(Box is None, reason="no nuscenes-devkit")
INTRINSIC = np.array([[100.0, 0, 49.5], [0, 100.0, 29.5], [0, 0, 1]])
SIZE_WH = (100, 60)


@pytest.mark.skipif(Box is not None, reason="the devkit is there")
def test_without_the_devkit_the_way_out_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"needs the package 'nuscenes'.*perception\[nuscenes\]"):
        open_dataset("nuscenes", "train", tmp_path)


def cube(centre):
    """Of 2 m, in the camera's coordinates."""
    return Box(centre, (2.0, 2.0, 2.0), Quaternion())


@needs_devkit
def test_a_flat_box_just_holds_what_is_seen_of_a_box():
    # of a cube 10 m ahead the near side is seen largest, from 9 m
    x1, y1, x2, y2 = flat_box(cube((0.0, 0.0, 10.0)), INTRINSIC, SIZE_WH)
    assert (x1, x2) == pytest.approx((50 - 100 / 9, 50 + 100 / 9))
    assert (y1, y2) == pytest.approx((30 - 100 / 9, 30 + 100 / 9))


@needs_devkit
def test_a_flat_box_ends_with_the_picture_and_at_the_camera():
    assert flat_box(cube((0.0, 0.0, -10.0)), INTRINSIC, SIZE_WH) is None
    assert flat_box(cube((100.0, 0.0, 10.0)), INTRINSIC, SIZE_WH) is None
    # half behind the camera, to its right: it goes on to the right edge
    box = flat_box(cube((1.2, 0.0, 0.0)), INTRINSIC, SIZE_WH)
    assert box == pytest.approx((50 + 0.2 * 100, 0, 100, 60))


@needs_devkit
@pytest.mark.data
def test_the_keyframe_has_six_cameras_with_boxes_distances_and_a_scan():
    dataset = open_dataset("nuscenes", "train")
    dataset.further = frozenset({"lidar_m", "identity"})
    samples = {sample.name.split("/")[2]: sample for sample in dataset}
    assert len(samples) == 6
    front = samples["CAM_FRONT"]
    assert isinstance(front.camera, Camera)
    assert 1.4 < front.camera.height_m < 1.7
    assert abs(front.camera.yaw_deg) < 2
    assert abs(abs(samples["CAM_BACK"].camera.yaw_deg) - 180) < 2
    boxes = front.boxes
    assert {BOX_CLASSES[i] for i in boxes.class_ids} == {*BOX_CLASSES}
    # the scan agrees with the distance of what it hit: the truck on the left
    scan = front.further["lidar_m"]
    assert 2000 < np.isfinite(scan).sum() < 4000
    widths = boxes.boxes_xyxy[:, 2] - boxes.boxes_xyxy[:, 0]
    truck = int(widths.argmax())
    x1, y1, x2, y2 = boxes.boxes_xyxy[truck].astype(int)
    hits = scan[y1:y2, x1:x2]
    assert np.nanmedian(hits) == pytest.approx(boxes.distances_m[truck], abs=6)
    # who is in two pictures has one identity
    seen = [set(s.further["identity"].tolist()) for s in samples.values()]
    assert any(a & b for i, a in enumerate(seen) for b in seen[:i])


def changed_front(tmp_path, change):
    """The front camera's sample with the rows of the tables as `change(table, rows)` gives them."""
    real = Path(os.environ["PERCEPTION_DATA"]) / "nuscenes"
    root = tmp_path / "nuscenes"
    (root / "v1.0-mini").mkdir(parents=True)
    for name in ("samples", "maps"):
        (root / name).symlink_to(real / name)
    for table in (real / "v1.0-mini").glob("*.json"):
        rows = change(table.stem, json.loads(table.read_text()))
        (root / "v1.0-mini" / table.name).write_text(json.dumps(rows))
    dataset = open_dataset("nuscenes", "train", tmp_path)
    return dataset.load(next(name for name in dataset.names if name.endswith("CAM_FRONT")))


@needs_devkit
@pytest.mark.data
def test_objects_that_no_ray_met_are_not_judged(tmp_path):
    def unmet(table, rows):
        zero = {"num_lidar_pts": 0, "num_radar_pts": 0}
        return [{**row, **zero} for row in rows] if table == "sample_annotation" else rows

    sample = changed_front(tmp_path, unmet)
    assert len(sample.boxes.boxes_xyxy) == 0
    assert sample.boxes.unjudged.any()


@needs_devkit
@pytest.mark.data
@pytest.mark.parametrize(("attribute", "cyclists"), [("with", 1), ("without", 0)])
def test_a_bicycle_counts_with_who_rides_it(tmp_path, attribute, cyclists):
    def told(table, rows):
        if table == "attribute":
            name = f"cycle.{attribute}_rider"
            return [*rows, {"token": "told", "name": name, "description": ""}]
        if table == "sample_annotation":
            return [{**row, "attribute_tokens": ["told"]} for row in rows]
        return rows

    ids = changed_front(tmp_path, told).boxes.class_ids.tolist()
    assert ids.count(BOX_CLASSES.index("cyclist")) == cyclists
    assert ids.count(BOX_CLASSES.index("vehicle")) > 0


@needs_devkit
@pytest.mark.parametrize("damage", ["no tables", "half a table"])
def test_a_damaged_set_is_one_clear_error(tmp_path, damage):
    if damage == "half a table":
        folder = tmp_path / "nuscenes" / "v1.0-mini"
        folder.mkdir(parents=True)
        (folder / "category.json").write_text("[")
    with pytest.raises(InputError, match=r"devkit cannot read the tables|is the data set complete"):
        open_dataset("nuscenes", "train", tmp_path)
