"""The shipped cameras: each loads, says where it comes from, and agrees with the files of its data set."""

import os
import re
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import pytest

from perception.calibration.formats import read_camera
from perception.core.camera import CAMERAS_DIR, find_camera, load_camera
from perception.core.errors import ConfigError
from perception.datasets.kitti.calib import nominal_camera
from perception.render.config import CameraConfig
from perception.render.picture.view import build_camera

FILES = sorted(CAMERAS_DIR.glob("*.toml"))
KITTI = [path for path in FILES if path.stem.startswith("kitti")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_camera_loads_and_says_its_source_licence_and_date(path):
    camera = find_camera(path.stem)
    assert camera == load_camera(path) == find_camera(path)
    assert re.search(r"\b(CC BY-NC-SA [34]\.0|Apache-2\.0|MIT|no licence stated)\b", camera.source)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", camera.date)


def test_days_and_sets_are_there():
    names = {path.stem for path in FILES}
    assert {"kitti_2011_09_26", "kitti_2011_09_28", "kitti_2011_09_29", "kitti_2011_09_30",
            "kitti_2011_10_03", "nuscenes_cam_front", "synthetic_dashcam"} <= names  # fmt: skip
    assert len({load_camera(path).size_wh for path in KITTI}) == len(KITTI)


def test_an_unknown_camera_lists_those_that_are_known():
    with pytest.raises(ConfigError, match=r"'kitti': no such file.*'kitti_2011_09_26'") as caught:
        find_camera("kitti")
    assert "\n" not in str(caught.value)


def test_the_synthetic_dashcam_is_that_of_rendered_drives():
    drawn, shipped = build_camera(CameraConfig()), find_camera("synthetic_dashcam")
    assert replace(shipped, source=drawn.source, date="") == drawn


@pytest.mark.data
def test_every_kitti_frame_has_the_camera_of_its_size():
    data = Path(os.environ["PERCEPTION_DATA"])
    cameras = {camera.size_wh: camera for camera in map(load_camera, KITTI)}
    seen = set()
    for folder in (data / "kitti_object/training", data / "kitti_road/data_road/training"):
        for calib in sorted((folder / "calib").glob("*.txt")):
            picture = folder / "image_2" / f"{calib.stem}.jpg"
            height, width = cv2.imread(str(picture)).shape[:2]
            told, shipped = nominal_camera(calib, (width, height)), cameras[width, height]
            for key in ("fx_px", "fy_px", "cx_px", "cy_px", "pitch_deg", "roll_deg", "yaw_deg"):
                assert getattr(told, key) == pytest.approx(getattr(shipped, key)), (calib, key)
            assert told.height_m == pytest.approx(shipped.height_m, abs=0.02)
            seen.add((width, height))
    assert seen == set(cameras)


@pytest.mark.data
def test_the_tracking_set_has_the_camera_of_its_day():
    path = (
        Path(os.environ["PERCEPTION_DATA"]) / "kitti_tracking" / "training" / "calib" / "0001.txt"
    )
    told, shipped = read_camera(path, size_wh=(1242, 375)), find_camera("kitti_2011_09_26")
    assert told.fx_px == shipped.fx_px
    assert (told.cx_px, told.cy_px) == (shipped.cx_px, shipped.cy_px)


@pytest.mark.data
def test_the_front_camera_is_that_of_the_tables():
    tables = Path(os.environ["PERCEPTION_DATA"]) / "nuscenes" / "v1.0-mini"
    told, shipped = read_camera(tables, name="CAM_FRONT"), find_camera("nuscenes_cam_front")
    for key, value in asdict(replace(shipped, source=told.source, date="")).items():
        same = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert getattr(told, key) == same, key  # processors round a product of matrices differently
