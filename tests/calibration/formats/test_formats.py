"""Camera files of other tools: every round trip, what is refused, and who tells of what."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perception.calibration.formats import FORMATS, format_of, read_camera, write_camera
from perception.core.camera import Camera
from perception.core.errors import ConfigError, InputError, OutputError
from perception.datasets.kitti.calib import road_camera

COEFFICIENTS = {"pinhole": (0, 5, 8), "fisheye": (4,)}
NUMBER = st.floats(-0.5, 0.5, allow_subnormal=False)
MOUNTINGS = st.fixed_dictionaries(
    {
        "height_m": st.floats(0.5, 3),
        "pitch_deg": st.floats(-30, 30),
        "roll_deg": st.floats(-20, 20),
        "yaw_deg": st.floats(-179, 179),
        "lateral_m": st.floats(-2, 2),
        "forward_m": st.floats(-2, 2),
    }
)


@st.composite
def cameras(draw, lenses=(("pinhole", 0),), mounted=False):
    """A camera with one of the lenses, whose coefficients are not all zero where it has any."""
    lens, count = draw(st.sampled_from(lenses))
    distortion = draw(st.tuples(*[NUMBER] * (count - 1), st.floats(0.01, 0.5))) if count else ()
    return Camera(
        width_px=draw(st.integers(16, 4096)),
        height_px=draw(st.integers(16, 4096)),
        fx_px=draw(st.floats(50, 5000)),
        fy_px=draw(st.floats(50, 5000)),
        cx_px=draw(st.floats(-100, 4000)),
        cy_px=draw(st.floats(-100, 4000)),
        lens=lens,
        distortion=distortion,
        **(draw(MOUNTINGS) if mounted else {}),
    )


LENSES = tuple((lens, count) for lens, counts in COEFFICIENTS.items() for count in counts)
CASES = {
    "toml": (cameras(LENSES, mounted=True), "camera.toml", ""),
    "ros": (cameras(LENSES), "camera.yaml", ""),
    "opencv": (cameras(LENSES), "camera.yml", ""),
    "kitti": (cameras(), "000000.txt", "P2"),
    "kitti on the road": (cameras(mounted=True), "um_000000.txt", "P0"),
    "kitti_raw": (
        cameras((("pinhole", 0), ("pinhole", 5))),
        "calib_cam_to_cam.txt",
        "02",
    ),
    "nuscenes": (cameras(mounted=True), "tables", "CAM_BACK"),
}


@pytest.mark.parametrize("case", CASES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_camera_that_is_written_and_read_is_the_same(tmp_path_factory, case, data):
    strategy, file, name = CASES[case]
    camera = data.draw(strategy)
    path = tmp_path_factory.mktemp("files") / file
    sizeless = format_of(path) in {"kitti", "nuscenes"}
    left_out = ("height_px", "width_px") if sizeless else ()
    assert write_camera(camera, path, name=name) == left_out
    got = read_camera(path, name=name, size_wh=camera.size_wh if sizeless else None)
    for field in ("size_wh", "lens"):
        assert getattr(got, field) == getattr(camera, field)
    assert len(got.distortion) == len(camera.distortion)
    np.testing.assert_allclose(got.distortion, camera.distortion, rtol=1e-10)
    keys = ("fx_px", "fy_px", "cx_px", "cy_px", "pitch_deg", "roll_deg", "lateral_m", "forward_m")
    for key in keys:
        np.testing.assert_allclose(getattr(got, key), getattr(camera, key), atol=2e-6, rtol=1e-9)
    assert (got.height_m is None) == (camera.height_m is None)
    if camera.height_m is not None:
        assert got.height_m == pytest.approx(camera.height_m, abs=1e-6)
    turned = (got.yaw_deg - camera.yaw_deg + 180) % 360 - 180
    assert abs(turned) < 2e-6


def test_every_format_has_a_round_trip():
    assert {case.split()[0] for case in CASES} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.toml", "toml"),
        ("training/calib/000001.txt", "kitti"),
        ("2011_09_26/calib_cam_to_cam.txt", "kitti_raw"),
        ("ost.yaml", "ros"),
        ("out_camera_data.yml", "opencv"),
        ("nuscenes/v1.0-mini", "nuscenes"),
        ("v1.0-mini/calibrated_sensor.json", "nuscenes"),
    ],
)
def test_the_name_of_a_file_tells_its_format(name, kind):
    assert format_of(Path(name)) == kind


def test_a_name_that_tells_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"--from or --to.*kitti_raw"):
        format_of(Path("camera.xml"))


CAMERA = Camera(
    width_px=640, height_px=360, fx_px=460.0, fy_px=461.0, cx_px=314.0, cy_px=188.0,
    distortion=(-0.3, 0.1, 0.001, -0.002, 0.05),
)  # fmt: skip
FISHEYE = replace(CAMERA, lens="fisheye", distortion=(0.1, 0.01, 0.02, 0.03))
RATIONAL = replace(CAMERA, distortion=(0.1,) * 8)


@pytest.mark.parametrize(
    ("camera", "file", "message"),
    [
        pytest.param(FISHEYE, "000000.txt", "fisheye lens of 4", id="fisheye in kitti"),
        pytest.param(CAMERA, "000000.txt", "pinhole lens of 5", id="distortion in kitti"),
        pytest.param(RATIONAL, "calib_cam_to_cam.txt", "pinhole lens of 8", id="rational in raw"),
        pytest.param(CAMERA, "tables", "pinhole lens of 5", id="distortion in nuscenes"),
        pytest.param(replace(CAMERA, distortion=()), "tables", "no height_m", id="no mounting"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_it_is_written(tmp_path, camera, file, message):
    with pytest.raises(ConfigError, match=message) as caught:
        write_camera(camera, tmp_path / file)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_keys_that_a_format_has_no_place_for_are_named(tmp_path):
    known = replace(CAMERA, height_m=1.4, pitch_deg=-2.0, rms_px=0.2, date="2026-01-02")
    left = write_camera(known, tmp_path / "a.yaml")
    assert left == ("date", "height_m", "pitch_deg", "rms_px")
    assert write_camera(known, tmp_path / "a.yml") == ("height_m", "pitch_deg")
    got = read_camera(tmp_path / "a.yml")
    assert (got.rms_px, got.date) == (0.2, "2026-01-02")


def test_tables_that_are_there_are_not_replaced(tmp_path):
    mounted = replace(CAMERA, distortion=(), height_m=1.5)
    write_camera(mounted, tmp_path / "tables")
    with pytest.raises(OutputError, match="there already"):
        write_camera(mounted, tmp_path / "tables")


def test_a_rectified_camera_of_a_recording_day_has_no_distortion(tmp_path):
    path = tmp_path / "calib_cam_to_cam.txt"
    straight = replace(CAMERA, distortion=())
    write_camera(straight, path, name="03")
    assert read_camera(path, name="rect_03") == replace(straight, source=path.name)
    with pytest.raises(InputError, match="S_rect_02"):
        read_camera(path)


def test_a_lens_that_bends_is_of_no_rectified_camera(tmp_path):
    path = tmp_path / "calib_cam_to_cam.txt"
    with pytest.raises(ConfigError, match=r"rect_03 is rectified.*--to-name 03"):
        write_camera(CAMERA, path, name="rect_03")
    write_camera(CAMERA, path)
    assert read_camera(path, name="02").distortion == CAMERA.distortion
    with pytest.raises(InputError, match="S_rect_02"):
        read_camera(path)


def test_the_size_must_be_told_once(tmp_path):
    write_camera(replace(CAMERA, distortion=()), tmp_path / "0.txt")
    with pytest.raises(ConfigError, match="--size"):
        read_camera(tmp_path / "0.txt")
    write_camera(CAMERA, tmp_path / "0.yml")
    with pytest.raises(ConfigError, match="frames of 640x360; leave out --size 1x1"):
        read_camera(tmp_path / "0.yml", size_wh=(1, 1))


WRONG = [
    ("0.yaml", "width: 640", "width: .nan", "image_width"),
    ("0.yaml", "image_height: 360", "", "image_height missing"),
    ("0.yaml", "460.0", ".nan", "finite"),
    ("0.yaml", "cols: 3", "cols: 4", "camera_matrix: expected 3x3, got 3x4"),
    ("0.yaml", "plumb_bob", "kannala", "distortion_model: expected one of plumb_bob"),
    ("0.yaml", "plumb_bob", "equidistant", "expected 1x4, got 1x5"),
    ("0.yaml", "image_width", "%YAML:1.0\nimage_width", "--from opencv"),
    ("0.yaml", "image_width: 640", "image_width: {", "cannot be read as YAML"),
    ("0.yaml", "[460.0, 0.0", "[460.0, 1.0", "fx 0 cx"),
    ("0.yml", "image_width: 640", "image_width: 640.5", "whole number"),
    ("0.yml", "image_height: 360", "", "image_height missing"),
    ("0.yml", "460.", ".Nan", "finite"),
    ("0.yml", "rows: 5", "rows: 7", "distortion_coefficients"),
    ("0.yml", "rows: 3", "rows: 1", "camera_matrix"),
    ("0.yml", "fisheye_model: 0", "fisheye_model: 1", "expected 0 or 4"),
    ("0.yml", "image_width: 640", "image_width: -640", "width_px: expected a positive"),
    ("calib_cam_to_cam.txt", "K_02: 4.6", "K_02: nan 4.6", "K_02"),
    ("calib_cam_to_cam.txt", "D_02:", "E_02:", "D_02: expected 5"),
    ("calib_cam_to_cam.txt", "S_02: 6.4", "S_02: 6.4005", "S_02: expected whole"),
]


@pytest.mark.parametrize(("file", "before", "after", "message"), WRONG)
def test_a_file_with_a_mistake_is_refused_in_one_line(tmp_path, file, before, after, message):
    path = tmp_path / file
    name = "02" if file.startswith("calib") else ""
    write_camera(CAMERA, path, name=name)
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_camera(path, name=name)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("calibrated_sensor", {"rotation": [1, 0, 0, 1]}, "length 1"),
        ("calibrated_sensor", {"rotation": [1, 0, 0, float("nan")]}, "finite"),
        ("calibrated_sensor", {"translation": [0, 0]}, "expected 3"),
        ("calibrated_sensor", {"translation": [0, 0, -1]}, "height_m"),
        ("calibrated_sensor", {"camera_intrinsic": []}, "expected 3x3"),
        ("sensor", {"channel": "CAM_BACK"}, "no calibration of CAM_FRONT"),
    ],
)
def test_tables_with_a_mistake_are_refused(tmp_path, table, change, message):
    write_camera(replace(CAMERA, distortion=(), height_m=1.5), tmp_path / "tables")
    path = tmp_path / "tables" / f"{table}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([rows[0] | change]), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_camera(tmp_path / "tables", size_wh=(640, 360))
    assert "\n" not in str(caught.value)


def test_numbers_without_a_point_are_numbers_in_a_ros_file(tmp_path):
    path = tmp_path / "a.yaml"
    write_camera(CAMERA, path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("-0.3", "-3e-1"), encoding="utf-8")
    assert read_camera(path).distortion == CAMERA.distortion


@pytest.mark.parametrize(
    ("count", "tail", "want"),
    [(4, [], 5), (5, [], 5), (12, [0] * 4, 8), (14, [0] * 6, 8), (12, [0, 0, 0, 0.1], None)],
)
def test_opencv_may_write_more_or_fewer_coefficients(tmp_path, count, tail, want):
    path = tmp_path / "a.yml"
    write_camera(CAMERA, path)
    values = ([0.1] * 8)[: count - len(tail)] + tail
    text = re.sub(r"rows: 5", f"rows: {count}", path.read_text(encoding="utf-8"))
    head, _, rest = text.rpartition("data: [")
    path.write_text(f"{head}data: {values}{rest.partition(']')[2]}", encoding="utf-8")
    if want is None:
        with pytest.raises(InputError, match="thin prism"):
            read_camera(path)
    else:
        got = read_camera(path).distortion
        assert got == tuple([0.1] * min(count, 8) + [0.0] * (want - min(count, 8)))


@pytest.mark.parametrize("file", ["a.yaml", "a.yml", "a.txt", "tables"])
def test_a_missing_file_is_one_line(tmp_path, file):
    with pytest.raises(InputError) as caught:
        read_camera(tmp_path / file, size_wh=(10, 10))
    assert "\n" not in str(caught.value)


@pytest.mark.data
def test_files_of_the_road_benchmark_give_the_camera_that_its_frames_are_scored_with():
    folder = Path(os.environ["PERCEPTION_DATA"]) / "kitti_road/data_road/training/calib"
    for path in sorted(folder.glob("*.txt"))[::9]:
        assert read_camera(path, size_wh=(1242, 375)) == road_camera(path, (1242, 375))


@pytest.mark.data
def test_the_grey_and_colour_cameras_of_a_file_are_half_a_metre_apart():
    folder = Path(os.environ["PERCEPTION_DATA"]) / "kitti_road/data_road/training/calib"
    path = sorted(folder.glob("um_*.txt"))[0]
    left, right = (read_camera(path, name=name, size_wh=(1242, 375)) for name in ("P2", "P3"))
    assert right.lateral_m - left.lateral_m == pytest.approx(0.533, abs=0.01)


@pytest.mark.data
def test_the_front_camera_of_nuscenes_looks_ahead_from_above_the_road():
    tables = Path(os.environ["PERCEPTION_DATA"]) / "nuscenes" / "v1.0-mini"
    camera = read_camera(tables)
    assert camera.size_wh == (1600, 900)
    assert camera.fx_px == 1266.417203046554
    assert camera.height_m == pytest.approx(1.5109575986862183)
    assert (abs(camera.yaw_deg), abs(camera.pitch_deg)) < (1, 2)
    assert abs(read_camera(tables, name="CAM_BACK").yaw_deg) > 175
    assert read_camera(tables, name="CAM_FRONT_RIGHT").yaw_deg == pytest.approx(56, abs=2)
