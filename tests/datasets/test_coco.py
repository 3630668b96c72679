"""Data of a user's own: the example of the README, and what can be wrong with it."""

import json
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, IGNORE, MAP_CLASSES
from perception.datasets import open_dataset

README = Path(__file__).parents[2] / "README.md"
SHAPE = (480, 640)


def example(language):
    """The first block of a language in the README's section on one's own data."""
    text = README.read_text(encoding="utf-8").split("## Bring your data")[1]
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


@pytest.fixture
def own(tmp_path):
    """The files of the README, and pictures to go with them."""
    root = tmp_path / "campus"
    (root / "images").mkdir(parents=True)
    (root / "maps").mkdir()
    (root / "data.toml").write_text(example("toml"))
    (root / "train.json").write_text(example("json"))
    picture = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    for name in ("gate_0001", "gate_0002"):
        cv2.imwrite(str(root / "images" / f"{name}.jpg"), picture)
    class_map = np.full(SHAPE, 255, np.uint8)
    class_map[300:] = 1
    class_map[:100] = 0
    cv2.imwrite(str(root / "maps" / "gate_0001.png"), class_map)
    return root


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_example_of_the_readme_is_read(own):
    dataset = open_dataset("campus", "train", own.parent)
    dataset.further = frozenset({"instances", "instance"})
    first, second = dataset
    assert dataset.names == ("gate_0001.jpg", "gate_0002.jpg")
    assert [BOX_CLASSES[i] for i in first.boxes.class_ids] == ["vehicle", "pedestrian"]
    assert first.boxes.boxes_xyxy.tolist() == [[100, 200, 180, 260], [400, 210, 420, 270]]
    assert first.boxes.unjudged[225:240, 505:540].all()  # "cart" is ignored
    assert [BOX_CLASSES[i] for i in first.boxes.boxed_classes] == ["vehicle", "pedestrian"]
    assert MAP_CLASSES[first.class_map[400, 10]] == "road"
    assert MAP_CLASSES[first.class_map[10, 10]] == "sky"
    assert first.class_map[200, 10] == IGNORE
    numbers = first.further["instances"]
    assert first.further["instance"].tolist() == [1, -1]
    assert numbers[230, 140] == 1
    assert numbers[201, 101] == 0  # in the box of the car, outside its outline
    assert (numbers[215:265, 402:418] == -1).all()  # of the person only the box is drawn
    assert len(second.boxes.boxes_xyxy) == 0
    assert second.class_map is None
    assert dataset.stretch == 10


def test_files_marked_as_utf8_are_read(own):
    for name in ("data.toml", "train.json"):
        text = (own / name).read_text()
        (own / name).write_text(text, encoding="utf-8-sig")
    assert len(open_dataset("campus", "train", own.parent)) == 2


def test_pictures_that_a_camera_wants_turned_stay_as_their_labels_have_them(own):
    path = own / "images" / "gate_0001.jpg"
    stored, upright = path.read_bytes(), cv2.imread(str(path))
    # a TIFF header and one entry: orientation (0x112), a short, 6: to be turned by 90 degrees
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x112, 3, 1, 6, 0, 0)
    note = b"Exif\0\0" + tiff
    path.write_bytes(
        stored[:2] + b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note + stored[2:]
    )
    assert cv2.imread(str(path)).shape[:2] == SHAPE[::-1], "OpenCV turns it where it may"
    assert np.array_equal(open_dataset("campus", "train", own.parent)[0].image, upright)


def test_a_folder_without_its_file_is_told(tmp_path):
    (tmp_path / "campus").mkdir()
    with pytest.raises(ConfigError, match=r"campus: no data.toml there"):
        open_dataset("campus", "train", tmp_path)


def test_crowds_are_not_judged(own):
    table = json.loads((own / "train.json").read_text())
    table["annotations"][0]["iscrowd"] = 1
    (own / "train.json").write_text(json.dumps(table))
    sample = open_dataset("campus", "train", own.parent)[0]
    assert [BOX_CLASSES[i] for i in sample.boxes.class_ids] == ["pedestrian"]
    assert sample.boxes.unjudged[200:260, 100:180].all()


def test_boxes_without_area_are_left_out_and_told_of(own, caplog):
    table = json.loads((own / "train.json").read_text())
    table["annotations"][0]["bbox"] = [5, 5, 0, 9]
    table["annotations"][1]["bbox"] = [5, 5, float("nan"), 9]
    (own / "train.json").write_text(json.dumps(table))
    sample = open_dataset("campus", "train", own.parent)[0]
    assert len(sample.boxes.boxes_xyxy) == 0
    assert "train.json: 2 boxes have no area and are left out" in caplog.text


def test_a_class_map_with_a_palette_is_refused_with_the_reason(own):
    cv2.imwrite(str(own / "maps" / "gate_0001.png"), np.zeros((*SHAPE, 3), np.uint8))
    with pytest.raises(InputError, match=r"grey picture, not in colours or a palette"):
        open_dataset("campus", "train", own.parent)[0]


def test_class_maps_alone_are_enough(own):
    change(own / "data.toml", 'annotations = "train.json"\n', "")
    dataset = open_dataset("campus", "train", own.parent)
    assert dataset.names == ("gate_0001.jpg", "gate_0002.jpg")
    assert dataset[0].boxes is None
    assert dataset[0].class_map is not None


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "message"),
    [
        ("data.toml", 'maps = "maps"', 'maps = "mapz"', InputError, r"mapz: no class map of the 2 pictures; expected one named like gate_0001.png"),
        ("data.toml", "[pixels]", "[picsels]", ConfigError, r"picsels"),
        ("data.toml", '1 = "road"', "", InputError, r"gate_0001.png: id 1 is not among \[pixels\]"),
        ("data.toml", "[boxes]", 'stretch = 0\n[boxes]', ConfigError, r"stretch"),
        ("data.toml", 'cart = "ignore"', 'cart = "ignore"\ncyclst = "cyclist"', ConfigError, r"maps 'cyclst', which is no category there"),
        ("train.json", '"width": 640, "height": 480},', '"width": 320, "height": 240},', InputError, r"gate_0001.jpg: the annotations are of a picture of \(320, 240\), got \(640, 480\)"),
        ("train.json", '{"id": 2, "file_name"', '{"id": 1, "file_name"', InputError, r"images: id 1 is there twice"),
        ("train.json", "gate_0002.jpg", "gate_0001.jpg", InputError, r"images: file_name 'gate_0001.jpg' is there twice"),
        ("train.json", "[[110, 200, 170, 200, 180, 260, 100, 260]]", "[[110, 200, 170, 200, 180, 260, 100]]", InputError, r"cannot be read as COCO JSON: ValueError.*in \{'id': 1"),
        ("data.toml", '"vehicle"', '"tank"', ConfigError, r"boxes.car: unknown class 'tank'; known"),
        ("data.toml", 'person = "pedestrian"\n', "", ConfigError, r"category 'person' is not mapped; name it in data.toml"),
        ("data.toml", "[pixels]\n0 ", "[pixels]\nsky ", ConfigError, r"ids from 0 to 255, got 'sky'"),
        ("data.toml", "pictures", "picture", ConfigError, r"'split.train.pictures' is missing"),
        ("data.toml", "[split.train]", "[split.training]", ConfigError, r"no split 'train'; known: \['training'\]"),
        ("data.toml", '"images"', '"photos"', InputError, r"photos/gate_0001.jpg: cannot be read"),
        ("train.json", '"bbox"', '"box"', InputError, r"cannot be read as COCO JSON: KeyError\('bbox'\)"),
        ("train.json", '"image_id": 1', '"image_id": 9', InputError, r"cannot be read as COCO JSON: KeyError\(9\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(own, file, old, new, error, message):
    change(own / file, old, new)
    with pytest.raises(error, match=message):
        list(open_dataset("campus", "train", own.parent))


def test_a_class_map_of_another_size_is_refused(own):
    cv2.imwrite(str(own / "maps" / "gate_0001.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match=r"expected labels uint8\[480, 640\], got uint8\[4, 4\]"):
        open_dataset("campus", "train", own.parent)[0]


def test_boxes_end_with_the_frame_and_those_beyond_it_are_none(own):
    table = json.loads((own / "train.json").read_text())
    table["annotations"][0]["bbox"] = [-20, 400, 60, 200]
    table["annotations"][1]["bbox"] = [700, 10, 20, 20]
    (own / "train.json").write_text(json.dumps(table))
    sample = open_dataset("campus", "train", own.parent)[0]
    assert sample.boxes.boxes_xyxy.tolist() == [[0, 400, 40, 480]]


def test_outlines_of_one_object_that_overlap_leave_no_hole(own):
    table = json.loads((own / "train.json").read_text())
    squares = [[10, 10, 30, 10, 30, 30, 10, 30], [20, 20, 40, 20, 40, 40, 20, 40]]
    table["annotations"][0] |= {"bbox": [10, 10, 30, 30], "segmentation": squares}
    (own / "train.json").write_text(json.dumps(table))
    dataset = open_dataset("campus", "train", own.parent)
    dataset.further = frozenset({"instances"})
    numbers = dataset[0].further["instances"]
    assert numbers[25, 25] == numbers[15, 15] == numbers[35, 35] == 1


def test_class_maps_among_the_pictures_are_no_frames(own):
    change(own / "data.toml", 'annotations = "train.json"\n', "")
    change(own / "data.toml", 'pictures = "images"', 'pictures = "."')
    (own / "images" / "gate_0001.jpg").rename(own / "gate_0001.jpg")
    names = open_dataset("campus", "train", own.parent).names
    assert names == ("gate_0001.jpg", "images/gate_0002.jpg")


def test_a_split_without_pictures_is_refused(own):
    change(own / "data.toml", 'annotations = "train.json"\n', "")
    change(own / "data.toml", '"images"', '"photos"')
    with pytest.raises(InputError, match="no pictures in"):
        open_dataset("campus", "train", own.parent)
