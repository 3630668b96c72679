"""CamVid's layout, on a tiny made-up copy of it."""

import json

import cv2
import numpy as np
import pytest

from perception.core.errors import InputError
from perception.core.labels import IGNORE, MAP_CLASSES
from perception.datasets import open_dataset

TRAIN = [f"0001TP_{i:06d}" for i in range(100)] + [f"0016E5_{i:05d}" for i in range(25)]
NAMES = {"train": TRAIN, "val": ["0016E5_99001", "0016E5_99002"], "test": ["Seq05VD_f00000"]}
LABELS = np.tile(np.arange(12, dtype=np.uint8), (8, 2))  # every class and unlabelled


@pytest.fixture
def root(tmp_path):
    """Lists of all frames; pictures and labels of one frame of each folder."""
    root = tmp_path / "camvid"
    for folder, names in NAMES.items():
        for kind in (folder, f"{folder}annot"):
            (root / kind).mkdir(parents=True)
        lines = [f"{folder}/{name}.jpg {folder}annot/{name}.png\n" for name in names]
        (root / f"{folder}.txt").write_text("".join(lines), encoding="utf-8")
        cv2.imwrite(str(root / folder / f"{names[0]}.jpg"), np.full((8, 24, 3), 90, np.uint8))
        cv2.imwrite(str(root / f"{folder}annot" / f"{names[0]}.png"), LABELS)
        notes = [
            {"image_id": 7, "category_id": 1, "bbox": [2, 3, 10, 4]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5]},
            {"image_id": 8, "category_id": 2, "bbox": [1, 1, 2, 2]},
        ]
        images = [{"id": 7 + i, "file_name": f"{name}.png"} for i, name in enumerate(names)]
        table = {
            "images": images,
            "annotations": [n for n in notes if n["image_id"] < 7 + len(names)],
        }
        (root / f"boxes_{folder}.json").write_text(json.dumps(table), encoding="utf-8")
    return root


def opened(root, split):
    return open_dataset("camvid", split, root.parent)


def test_every_fifth_block_of_ten_of_each_drive_is_validation(root):
    blocks = [name.split("/")[1] for name in opened(root, "val_blocks").names]
    assert blocks == TRAIN[40:50] + TRAIN[90:100]  # the other drive has less than five blocks
    train = [name.split("/")[1] for name in opened(root, "train").names]
    assert train == [name for name in TRAIN if name not in blocks]


def test_a_drive_can_be_held_back_and_looked_at_alone(root):
    without, of = opened(root, "without_0001TP").names, opened(root, "drive_0001TP").names
    train = opened(root, "train").names
    assert without == tuple(name for name in train if "0001TP" not in name)
    assert of == tuple(f"train/{name}" for name in TRAIN if "0001TP" in name)
    rest = opened(root, "train_0001TP").names
    assert rest == tuple(name for name in train if "0001TP" in name), "without what validates"
    assert 0 < len(rest) < len(of)


def test_validation_is_these_blocks_and_the_sets_own_validation(root):
    val = opened(root, "val").names
    assert val == (*opened(root, "val_blocks").names, *opened(root, "val_folder").names)
    assert opened(root, "val_folder").names == ("val/0016E5_99001", "val/0016E5_99002")


def test_the_test_frames_are_those_of_the_test_folder(root):
    assert opened(root, "test").names == ("test/Seq05VD_f00000",)


def test_a_frame_has_its_class_map_and_its_boxes(root):
    sample = opened(root, "train")[0]
    assert sample.image.shape == (8, 24, 3)
    want = [*range(len(MAP_CLASSES)), IGNORE]
    assert sample.class_map[0, :12].tolist() == want
    assert sample.boxes.boxes_xyxy.tolist() == [[2, 3, 12, 7], [0, 0, 5, 5]]
    assert sample.boxes.class_ids.tolist() == [0, 2]
    assert sample.boxes.boxed_classes == (0, 1, 2)
    np.testing.assert_array_equal(sample.boxes.unjudged, LABELS == 11)


def test_a_frame_without_boxes_has_none(root):
    table = {"images": [], "annotations": []}
    (root / "boxes_test.json").write_text(json.dumps(table), encoding="utf-8")
    assert opened(root, "test")[0].boxes.boxes_xyxy.shape == (0, 4)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


DAMAGES = {
    "missing list": lambda root: (root / "train.txt").unlink(),
    "list is no text": lambda root: (root / "train.txt").write_bytes(b"\xff\xfe\x00"),
    "missing boxes": lambda root: (root / "boxes_train.json").unlink(),
    "boxes cut off": lambda root: cut(root / "boxes_train.json"),
    "boxes of another format": lambda root: (root / "boxes_train.json").write_text("[]"),
    "unknown category": lambda root: (root / "boxes_train.json").write_text(
        (root / "boxes_train.json").read_text().replace('"category_id": 3', '"category_id": 9')
    ),
    "missing picture": lambda root: (root / "train" / f"{TRAIN[0]}.jpg").unlink(),
    "picture cut off": lambda root: cut(root / "train" / f"{TRAIN[0]}.jpg"),
    "empty picture": lambda root: (root / "train" / f"{TRAIN[0]}.jpg").write_bytes(b""),
    "missing label": lambda root: (root / "trainannot" / f"{TRAIN[0]}.png").unlink(),
    "label cut off": lambda root: cut(root / "trainannot" / f"{TRAIN[0]}.png"),
    "label of another size": lambda root: cv2.imwrite(
        str(root / "trainannot" / f"{TRAIN[0]}.png"), LABELS[:4]
    ),
    "label in colour": lambda root: cv2.imwrite(
        str(root / "trainannot" / f"{TRAIN[0]}.png"), np.dstack([LABELS] * 3)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_set_is_one_clear_error(root, damage):
    DAMAGES[damage](root)
    with pytest.raises(InputError) as caught:
        opened(root, "train")[0]
    assert "\n" not in str(caught.value)
