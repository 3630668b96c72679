"""KITTI's two layouts and its calibration files, on tiny made-up copies of them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perception.core.errors import InputError
from perception.core.labels import BOX_CLASSES, IGNORE, ROAD, map_id
from perception.datasets import open_dataset
from perception.datasets.kitti.calib import NOMINAL_HEIGHT_M, road_camera

NOT_ROAD = map_id("not_road")
SIZE_WH = (40, 20)
ROAD_NAMES = ["um_000051", "um_000052", "umm_000008", "umm_000030", "uu_000064", "uu_000072"]
P2 = np.array([[700.0, 0, 19.5, 42.0], [0, 700.0, 9.5, 0.14], [0, 0, 1, 0.003]])
TURNED = cv2.Rodrigues(np.array([0.02, -0.01, 0.015]))[0]
CAM_TO_ROAD = np.hstack([TURNED, [[0.02], [-1.6], [0.3]]])
RECTIFIED = cv2.Rodrigues(np.array([-0.004, 0.007, 0.01]))[0]
OBJECTS = """\
Car 0.00 0 1.85 4.00 5.00 14.00 15.50 1.5 1.6 3.7 1.0 1.7 20.0 1.57
Van 0.00 0 1.85 20.00 2.00 30.00 9.00 1.5 1.6 3.7 1.0 1.7 20.0 1.57
Cyclist 0.00 3 -1.65 1.00 1.00 3.00 8.00 1.9 0.5 1.8 4.0 1.3 36.0 -1.5
Person_sitting 0.00 3 -1.65 15.00 1.00 17.00 8.00 1.9 0.5 1.8 4.0 1.3 36.0 -1.5
DontCare -1 -1 -10 -2.00 15.00 4.60 18.20 -1 -1 -1 -1000 -1000 -1000 -10
"""


def write_calib(path, **matrices):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{n}: {' '.join(f'{v:.12e}' for v in m.ravel())}\n" for n, m in matrices.items()]
    path.write_text("".join(lines) + "\n", encoding="utf-8")


def write_road_calib(path):
    write_calib(path, P2=P2, R0_rect=RECTIFIED, Tr_cam_to_road=CAM_TO_ROAD)


@pytest.fixture
def road(tmp_path):
    """Six frames on both sides of the borders of validation; one has a calibration."""
    folder = tmp_path / "kitti_road" / "data_road" / "training"
    for kind in ("image_2", "gt_image_2"):
        (folder / kind).mkdir(parents=True)
    truth = np.zeros((20, 40, 3), np.uint8)  # BGR: nothing is scored
    truth[:, :10] = (255, 0, 255)  # road
    truth[:, 10:20] = (0, 0, 255)  # not road
    truth[:, 20:30] = (255, 0, 0)  # road, not scored
    for name in ROAD_NAMES:
        category, number = name.split("_")
        cv2.imwrite(str(folder / "image_2" / f"{name}.jpg"), np.full((20, 40, 3), 80, np.uint8))
        cv2.imwrite(str(folder / "gt_image_2" / f"{category}_road_{number}.png"), truth)
    write_road_calib(folder / "calib" / "um_000051.txt")
    return folder


@pytest.fixture
def objects(tmp_path):
    """Ten frames with the same objects."""
    folder = tmp_path / "kitti_object" / "training"
    for kind in ("image_2", "label_2"):
        (folder / kind).mkdir(parents=True)
    for i in range(10):
        cv2.imwrite(str(folder / "image_2" / f"{i:06d}.png"), np.full((20, 40, 3), 80, np.uint8))
        (folder / "label_2" / f"{i:06d}.txt").write_text(OBJECTS, encoding="utf-8")
    write_calib(folder / "calib" / "000000.txt", P2=P2)
    return folder


def opened_road(folder, split="train"):
    return open_dataset("kitti_road", split, folder.parents[2])


def opened_objects(folder, split="train"):
    return open_dataset("kitti_object", split, folder.parents[1])


def test_validation_of_the_road_is_whole_blocks(road):
    assert opened_road(road, "val").names == ("um_000052", "umm_000030", "uu_000072")
    assert opened_road(road).names == ("um_000051", "umm_000008", "uu_000064")
    assert opened_road(road, "all").names == tuple(ROAD_NAMES)


def test_colours_of_the_road_labels(road):
    class_map = opened_road(road)[0].class_map
    assert class_map[0, [0, 10, 20, 30]].tolist() == [ROAD, NOT_ROAD, IGNORE, IGNORE]


def test_a_road_frame_has_a_camera_only_with_its_own_calibration(road):
    cameras = [opened_road(road, "all").load(name).camera for name in ROAD_NAMES]
    assert [camera is not None for camera in cameras] == [True] + [False] * 5
    assert cameras[0].size_wh == SIZE_WH


def test_the_camera_of_a_road_frame_projects_as_the_benchmark_does(road):
    camera = opened_road(road)[0].camera
    # px from road metres: P2, rectification, and the way back from the road to the camera
    rectified, to_road = np.eye(4), np.eye(4)
    rectified[:3, :3] = RECTIFIED
    to_road[:3] = CAM_TO_ROAD
    whole = P2 @ rectified @ np.linalg.inv(to_road)
    for x_m, z_m in ((0.0, 8.0), (-6.0, 20.0), (9.0, 45.0)):
        u, v, w = whole @ [x_m, 0.0, z_m, 1.0]
        got = camera.image_points(np.array([[x_m, z_m]]))
        np.testing.assert_allclose(got, [[u / w + 0.5, v / w + 0.5]], atol=1e-6)


def test_objects_become_boxes_of_three_classes_and_unjudged_regions(objects):
    boxes = opened_objects(objects)[0].boxes
    assert [BOX_CLASSES[i] for i in boxes.class_ids] == [
        "vehicle",
        "vehicle",
        "cyclist",
        "pedestrian",
    ]
    assert boxes.boxes_xyxy[0].tolist() == [4, 5, 14, 15.5]
    assert boxes.distances_m.tolist() == [20, 20, 36, 36]
    assert boxes.boxed_classes == (0, 1, 2)
    want = np.zeros((20, 40), np.bool_)
    want[15:19, :5] = True  # the part inside the frame
    np.testing.assert_array_equal(boxes.unjudged, want)


def test_distances_are_one_for_each_box(objects):
    boxes = opened_objects(objects)[0].boxes
    with pytest.raises(ValueError, match=r"distances_m: expected float32\[4\]"):
        replace(boxes, distances_m=boxes.distances_m[:2])


def test_objects_have_no_class_map(objects):
    assert opened_objects(objects)[0].class_map is None


def test_every_fifth_object_frame_is_validation(objects):
    assert opened_objects(objects, "val").names == ("000004", "000009")
    assert len(opened_objects(objects)) == 8
    assert len(opened_objects(objects, "all")) == 10


def test_the_camera_of_an_object_frame_stands_at_the_nominal_height(objects):
    camera = opened_objects(objects)[0].camera
    assert camera.height_m == pytest.approx(NOMINAL_HEIGHT_M, abs=1e-3)
    assert (camera.pitch_deg, camera.roll_deg, camera.yaw_deg) == (0, 0, 0)
    assert opened_objects(objects)[1].camera is None


def test_the_other_suffix_of_a_picture_is_found_too(road):
    picture = road / "image_2" / "um_000051.jpg"
    cv2.imwrite(str(picture.with_suffix(".png")), cv2.imread(str(picture)))
    picture.unlink()
    assert opened_road(road)[0].name == "um_000051"


ROAD_LABEL = "gt_image_2/um_road_000051.png"
ROAD_DAMAGES = {
    "no pictures": lambda f: [p.unlink() for p in (f / "image_2").iterdir()],
    "foreign picture": lambda f: (f / "image_2" / "holiday.jpg").write_bytes(b""),
    "missing label": lambda f: (f / ROAD_LABEL).unlink(),
    "damaged label": lambda f: (f / ROAD_LABEL).write_bytes((f / ROAD_LABEL).read_bytes()[:60]),
    "label of another size": lambda f: cv2.imwrite(str(f / ROAD_LABEL), np.zeros((9, 9, 3), np.uint8)),
    "calibration without road": lambda f: write_calib(f / "calib/um_000051.txt", P2=P2),
    "calibration is no text": lambda f: (f / "calib/um_000051.txt").write_bytes(b"\xff\xfe\x00"),
}  # fmt: skip


@pytest.mark.parametrize("damage", ROAD_DAMAGES)
def test_a_damaged_road_set_is_one_clear_error(road, damage):
    ROAD_DAMAGES[damage](road)
    with pytest.raises(InputError) as caught:
        opened_road(road)[0]
    assert "\n" not in str(caught.value)


LABEL = "label_2/000000.txt"
OBJECT_DAMAGES = {
    "missing label": lambda f: (f / LABEL).unlink(),
    "line without location": lambda f: (f / LABEL).write_text(
        "Car 0.00 0 1.85 4.00 5.00 14.00 15.50 1.5"
    ),
    "line cut off": lambda f: (f / LABEL).write_text("Car 0.00 0 1.85 4.00 5.00"),
    "unknown type": lambda f: (f / LABEL).write_text(OBJECTS.replace("Van", "Boat")),
    "no numbers": lambda f: (f / LABEL).write_text(OBJECTS.replace("4.00 5.00", "a b")),
    "calibration cut off": lambda f: (f / "calib/000000.txt").write_text("P2: 7.0e+02 0.0 1"),
}


@pytest.mark.parametrize("damage", OBJECT_DAMAGES)
def test_a_damaged_object_set_is_one_clear_error(objects, damage):
    OBJECT_DAMAGES[damage](objects)
    with pytest.raises(InputError) as caught:
        opened_objects(objects)[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        pytest.param({"R0_rect": np.full((3, 3), np.nan)}, "R0_rect: expected 9 finite", id="nan"),
        pytest.param({"Tr_cam_to_road": np.zeros((3, 4))}, "no inverse", id="singular"),
        pytest.param({"R0_rect": 2 * RECTIFIED}, "orthonormal", id="no rotation"),
        pytest.param({"P2": np.zeros((3, 4))}, "no focal length", id="no focal length"),
    ],
)
def test_a_calibration_of_no_camera_is_refused(tmp_path, matrices, message):
    path = tmp_path / "calib.txt"
    sound = {"P2": P2, "R0_rect": RECTIFIED, "Tr_cam_to_road": CAM_TO_ROAD}
    write_calib(path, **sound | matrices)
    with pytest.raises(InputError, match=message):
        road_camera(path, SIZE_WH)


def test_a_calibration_with_words_for_numbers_is_refused(tmp_path):
    path = tmp_path / "calib.txt"
    path.write_text("P2: one two\n", encoding="utf-8")
    with pytest.raises(InputError, match="P2"):
        road_camera(path, SIZE_WH)


@pytest.fixture
def tracks(tmp_path):
    """Two frames of a training sequence, the first with a scan, and one of a validation sequence."""
    folder = tmp_path / "kitti_tracking" / "training"
    for sequence, frames in (("0001", 2), ("0002", 1)):
        (folder / "image_02" / sequence).mkdir(parents=True)
        for index in range(frames):
            path = folder / "image_02" / sequence / f"{index:06d}.jpg"
            cv2.imwrite(str(path), np.full((20, 40, 3), 80, np.uint8))
    (folder / "label_02").mkdir()
    rows = [f"0 {n - 1} {row}" for n, row in enumerate(OBJECTS.splitlines())]
    late = "1 7 Person 0 3 -1.65 15.00 1.00 17.00 8.00 1.9 0.5 1.8 4.0 1.3 36.0 -1.5"
    (folder / "label_02" / "0001.txt").write_text("\n".join([*rows, late]))
    (folder / "label_02" / "0002.txt").write_text("")
    # x of the scanner is ahead, y to the left; two of the matrices stand without a colon
    ahead = "0 -1 0 0 0 0 -1 0 1 0 0 0"
    calib = f"P2: {' '.join(f'{v:e}' for v in P2.ravel())}\nR_rect 1 0 0 0 1 0 0 0 1\nTr_velo_cam {ahead}\n"
    (folder / "calib").mkdir()
    for sequence in ("0001", "0002"):
        (folder / "calib" / f"{sequence}.txt").write_text(calib)
    points = np.array([[10, 0, 0, 0.5], [20, 0, 0, 0.5], [-10, 0, 0, 0.5]], np.float32)
    (folder / "velodyne" / "0001").mkdir(parents=True)
    points.tofile(folder / "velodyne" / "0001" / "000000.bin")
    return folder


def test_tracks_become_boxes_with_an_identity(tracks):
    dataset = open_dataset("kitti_tracking", "train", tracks.parents[1])
    dataset.further = frozenset({"identity"})
    first, second = dataset
    assert dataset.names == ("0001/000000", "0001/000001")
    assert [BOX_CLASSES[i] for i in first.boxes.class_ids] == [
        "vehicle", "vehicle", "cyclist", "pedestrian"
    ]  # fmt: skip
    assert first.further["identity"].tolist() == [9_999, 10_000, 10_001, 10_002]
    assert first.boxes.unjudged[15:19, :5].all()
    assert [BOX_CLASSES[i] for i in second.boxes.class_ids] == ["pedestrian"]
    assert open_dataset("kitti_tracking", "val", tracks.parents[1]).names == ("0002/000000",)


def test_a_scan_is_depth_in_the_picture(tracks):
    dataset = open_dataset("kitti_tracking", "train", tracks.parents[1])
    dataset.further = frozenset({"lidar_m"})
    scan = dataset[0].further["lidar_m"]
    near, far = P2 @ (0, 0, 10, 1), P2 @ (0, 0, 20, 1)
    expected = {(round(y / z), round(x / z)): m for (x, y, z), m in ((far, 20.0), (near, 10.0))}
    assert {(r, c): scan[r, c] for r, c in np.argwhere(np.isfinite(scan)).tolist()} == expected
    assert "lidar_m" not in dataset[1].further


def test_a_picture_that_is_no_frame_is_told(tracks):
    (tracks / "image_02" / "0001" / "cover.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected SEQUENCE/FRAME in digits, got '0001/cover'"):
        open_dataset("kitti_tracking", "train", tracks.parents[1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("scan", r"000000.bin: expected four float32 numbers a point, got 2"),
        ("label", r"0001.txt: not a KITTI label file"),
        ("calib", r"0001.txt: R_rect: expected 9 finite numbers, got 0"),
    ],
)
def test_a_damaged_tracking_set_is_one_clear_error(tracks, damage, message):
    if damage == "scan":
        (tracks / "velodyne" / "0001" / "000000.bin").write_bytes(b"12345678")
    elif damage == "label":
        (tracks / "label_02" / "0001.txt").write_text("0 1 Car")
    else:
        (tracks / "calib" / "0001.txt").write_text(f"P2: {' '.join(map(str, P2.ravel()))}")
    dataset = open_dataset("kitti_tracking", "train", tracks.parents[1])
    dataset.further = frozenset({"lidar_m"})
    with pytest.raises(InputError, match=message):
        dataset[0]
