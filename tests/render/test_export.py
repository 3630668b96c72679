"""What is exported is read by others as it was meant: KITTI's layout by the project's own loader, COCO's JSON by pycocotools."""

import json
from dataclasses import replace
from math import atan2, pi
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perception.core.errors import ConfigError, InputError, OutputError
from perception.core.labels import BOX_CLASSES
from perception.datasets.kitti.calib import read_calib
from perception.datasets.kitti.object import KittiObject
from perception.render.disk import path_of, read_frame, read_picture
from perception.render.export import KITTI_TYPES, export_coco, export_kitti, run_lengths
from perception.render.store import is_clear, write_drives
from tests.render.factories import KINDS, RENDERER, drive_config

CALIB = ("P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo")


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    """Two drives of three frames."""
    folder = tmp_path_factory.mktemp("drives")
    jobs = [(drive_config(3, seed=seed), folder / f"drive{seed}") for seed in (1, 2)]
    return write_drives(jobs, processes=1, renderer=RENDERER)


def frames_of(drives):
    """Folder and index of each frame."""
    return [(drive.folder, i) for drive in drives for i in range(drive.frames)]


# --- KITTI -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kitti(drives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitti")
    assert export_kitti(drives, folder) == 6
    return folder


def test_the_loader_of_kitti_reads_pictures_boxes_and_camera(kitti, drives):
    dataset = KittiObject(kitti, "all")
    assert len(dataset) == 6
    for sample, (folder, index) in zip(dataset, frames_of(drives), strict=True):
        rendered = read_frame(folder, index)
        np.testing.assert_array_equal(sample.image, rendered.image)
        clear = [label for label in rendered.labels.objects if is_clear(label)]
        assert len(sample.boxes.boxes_xyxy) == len(clear)
        for box, class_id, label in zip(*boxes_of(sample), clear, strict=True):
            x1, y1, x2, y2 = label.amodal_xyxy
            # KITTI counts from pixel centres
            whole = [max(x1 - 0.5, 0), max(y1 - 0.5, 0), min(x2 - 0.5, 95), min(y2 - 0.5, 63)]
            assert box.tolist() == pytest.approx(whole, abs=0.006)
            names = {"person": "pedestrian", "cyclist": "cyclist"}
            assert BOX_CLASSES[class_id] == names.get(label.kind, "vehicle")
        for label in rendered.labels.objects:
            if not is_clear(label):
                column, row = label.box_xyxy[:2]
                assert sample.boxes.unjudged[row, column]
        assert sample.camera.fx_px == pytest.approx(drives[0].camera.fx_px, abs=1e-5)
        assert sample.camera.cx_px == pytest.approx(drives[0].camera.cx_px, abs=1e-5)


def boxes_of(sample):
    return sample.boxes.boxes_xyxy, sample.boxes.class_ids.tolist()


def test_a_line_tells_size_place_and_angles_in_the_order_of_kitti(kitti, drives):
    labels = [
        label for folder, i in frames_of(drives) for label in read_frame(folder, i).labels.objects
    ]
    lines = [
        line.split()
        for name in sorted(kitti.glob("training/label_2/*.txt"))
        for line in name.read_text().splitlines()
    ]  # fmt: skip
    assert len(lines) == len(labels)
    for words, label in zip(lines, labels, strict=True):
        assert len(words) == 15
        if not is_clear(label):
            told = " ".join(words[:4] + words[8:])
            assert told == "DontCare -1 -1 -10 -1 -1 -1 -1000 -1000 -1000 -10"
            continue
        kind, _, level, *numbers = words
        alpha, *_ = numbers = [float(n) for n in numbers]
        assert kind in KITTI_TYPES.values()
        assert int(level) == (label.occluded > 0.1) + (label.occluded > 0.5)
        length, width, height = label.size_lwh_m
        assert numbers[5:8] == [height, width, length]
        assert numbers[8:11] == pytest.approx(label.centre_m, abs=0.006)
        assert numbers[11] == pytest.approx(label.yaw_rad, abs=0.006)
        assert -pi <= alpha <= pi
        ray = atan2(label.centre_m[0], label.centre_m[2])
        assert np.cos(alpha + ray - label.yaw_rad) == pytest.approx(1, abs=1e-3)


def test_every_kind_has_a_type_and_the_frames_tell_where_they_come_from(kitti):
    assert set(KINDS) <= set(KITTI_TYPES)
    lines = (kitti / "frames.txt").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("000000 drive1 0", "000005 drive2 2")


def test_the_calibration_has_every_matrix_that_readers_ask_for(kitti):
    path = kitti / "training" / "calib" / "000000.txt"
    lines = dict(line.split(":") for line in path.read_text().splitlines())
    assert {name: len(lines[name].split()) for name in CALIB} == {
        **dict.fromkeys(CALIB, 12),
        "R0_rect": 9,
    }
    assert read_calib(path, ("P2", "R0_rect"))["R0_rect"].tolist() == np.eye(3).tolist()
    forward = np.array(lines["Tr_velo_to_cam"].split(), float).reshape(3, 4)[:, 0]
    assert forward.tolist() == [0, 0, 1]  # the scanner's x is the camera's z


def test_a_camera_with_distortion_is_refused(drives, tmp_path):
    bent = replace(drives[0], camera=replace(drives[0].camera, distortion=(0.1, 0, 0, 0, 0)))
    with pytest.raises(ConfigError, match="without distortion"):
        export_kitti([bent], tmp_path)


# --- COCO ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coco(drives):
    path = drives[0].folder.parent / "instances.json"
    assert export_coco(drives, path) == 6
    return path


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools on NumPy 2
def test_pycocotools_reads_boxes_masks_and_key_points(coco, drives, capsys):
    from pycocotools.coco import COCO  # noqa: PLC0415

    table = COCO(str(coco))
    assert [c["name"] for c in table.loadCats(table.getCatIds())] == list(BOX_CLASSES)
    people = table.loadCats([2])[0]
    assert len(people["keypoints"]) == 14
    assert {joint for pair in people["skeleton"] for joint in pair} == set(range(1, 15))
    for image_id, (folder, index) in enumerate(frames_of(drives), start=1):
        rendered = read_frame(folder, index)
        (image,) = table.loadImgs([image_id])
        assert Path(coco.parent / image["file_name"]) == path_of(folder, "rgb", index)
        notes = table.loadAnns(table.getAnnIds(imgIds=[image_id]))
        assert len(notes) == len(rendered.labels.objects)
        for note, label in zip(notes, rendered.labels.objects, strict=True):
            mask = table.annToMask(note).astype(bool)
            np.testing.assert_array_equal(mask, rendered.labels.instances == label.identity)
            rows, columns = np.nonzero(mask)
            x, y, width, height = note["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
            assert note["area"] == mask.sum()
            assert note["iscrowd"] == (not is_clear(label))
            assert ("keypoints" in note) == (label.key_points is not None)
            if label.key_points is not None:
                points = np.array(note["keypoints"]).reshape(14, 3)
                assert note["num_keypoints"] == np.count_nonzero(points[:, 2]) == 13
                assert points[1].tolist() == [0, 0, 0]  # behind the camera
                np.testing.assert_array_equal(points[:, 2] == 2, label.key_points[:, 2] == 1)
                np.testing.assert_allclose(points[:, :2], label.key_points[:, :2], atol=0.006)


def test_coco_scores_the_truth_against_itself_as_perfect(coco, capsys):
    from pycocotools.coco import COCO  # noqa: PLC0415
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415

    truth = COCO(str(coco))
    found = [
        {key: note[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for note in truth.dataset["annotations"]
        if not note["iscrowd"]
    ]
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_begin_with_what_is_off_and_make_up_the_mask(mask):
    runs = run_lengths(mask)
    assert runs["size"] == list(mask.shape)
    assert sum(runs["counts"]) == mask.size
    assert all(n > 0 for n in runs["counts"][1:])
    values = np.arange(len(runs["counts"])) % 2 == 1
    rebuilt = np.repeat(values, runs["counts"]).reshape(mask.shape, order="F")
    np.testing.assert_array_equal(rebuilt, mask)


# --- both ------------------------------------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize(
    "export",
    [
        pytest.param(lambda drives, path, tell=None: export_kitti(drives, path, tell), id="kitti"),
        pytest.param(
            lambda drives, path, tell=None: export_coco(drives, path / "a.json", tell), id="coco"
        ),
    ],
)


@BOTH
def test_progress_is_told_and_frames_that_are_missing_are_left_out(export, drives, tmp_path):
    jobs = [(drive_config(3), tmp_path / "drive")]
    (drive,) = write_drives(jobs, processes=1, renderer=RENDERER)
    path_of(drive.folder, "objects", 1).unlink()
    seen = []
    assert export([drive], tmp_path / "out", lambda *told: seen.append(told)) == 2
    assert seen == [(1, 2), (2, 2)]


@BOTH
def test_a_place_that_cannot_be_written_is_one_line(export, drives):
    with pytest.raises(OutputError, match="cannot be written"):
        export(drives, Path("/proc/none"))


@BOTH
def test_a_damaged_drive_is_one_line(export, tmp_path):
    jobs = [(drive_config(1), tmp_path / "drive")]
    (drive,) = write_drives(jobs, processes=1, renderer=RENDERER)
    path_of(drive.folder, "rgb", 0).write_bytes(b"")
    with pytest.raises(InputError, match="damaged"):
        export([drive], tmp_path / "out")


def test_pictures_lose_nothing_more_on_their_way_to_kitti(kitti, drives):
    picture = cv2.imread(str(kitti / "training" / "image_2" / "000003.png"))
    np.testing.assert_array_equal(picture, read_picture(drives[1].folder, 0))


def test_the_json_is_one_table_of_plain_values(coco):
    table = json.loads(coco.read_text())
    assert [len(table[key]) for key in ("images", "categories")] == [6, 3]
    assert [note["id"] for note in table["annotations"]] == list(
        range(1, len(table["annotations"]) + 1)
    )
