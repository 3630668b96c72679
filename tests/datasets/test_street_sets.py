"""Cityscapes, IDD Lite and BDD100K, on tiny made-up copies of their layouts."""

import json

import cv2
import numpy as np
import pytest

from perception.core.errors import InputError
from perception.core.labels import (
    BOX_CLASSES,
    GROUPS,
    IGNORE,
    LIGHTS,
    MAP_CLASSES,
    PLACES,
    ROAD,
    WEATHERS,
    map_id,
)
from perception.datasets import open_dataset
from perception.datasets.cityscapes import StreetObject, join_riders

SHAPE = (20, 40)
VEHICLE, PEDESTRIAN, CYCLIST = (BOX_CLASSES.index(n) for n in ("vehicle", "pedestrian", "cyclist"))


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def frame(path):
    write(path, np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8))


@pytest.fixture
def city(tmp_path):
    """One frame with instances, one without."""
    root = tmp_path / "cityscapes"
    ids = np.full(SHAPE, 7, np.uint16)
    ids[:5] = 23
    ids[2:8, 0:6] = 26_000  # a car
    ids[13:18, 9:14] = 33_002  # a bicycle
    ids[10:14, 10:12] = 25_000  # and who rides it
    ids[10:16, 20:24] = 33_001  # nobody on this one
    ids[4:10, 30:40] = 24  # a crowd
    labels = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
    labels[19] = 3  # out of the region of interest
    for stem in ("aachen_000000_000019", "aachen_000001_000019"):
        frame(root / "leftImg8bit" / "train" / "aachen" / f"{stem}_leftImg8bit.png")
        write(root / "gtFine" / "train" / "aachen" / f"{stem}_gtFine_labelIds.png", labels)
    write(root / "gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png", ids)
    return root


def test_cityscapes_classes_boxes_and_instances(city):
    dataset = open_dataset("cityscapes", "train", city.parent)
    dataset.further = frozenset({"instances", "instance"})
    sample = dataset[0]
    assert dataset.names == ("aachen/aachen_000000_000019", "aachen/aachen_000001_000019")
    class_map = sample.class_map
    assert class_map[9, 1] == ROAD
    assert (class_map[19] == IGNORE).all()
    assert MAP_CLASSES[class_map[17, 10]] == "cyclist"  # the bicycle
    assert sample.boxes.boxes_xyxy.tolist() == [[0, 2, 6, 8], [9, 10, 14, 18]]
    assert sample.boxes.class_ids.tolist() == [VEHICLE, CYCLIST]
    assert sample.boxes.unjudged[10:16, 20:24].all()
    assert sample.boxes.unjudged[4:10, 30:40].all()
    assert sample.boxes.unjudged.sum() == 6 * 4 + 6 * 10
    car, cyclist = sample.further["instance"]
    numbers = sample.further["instances"]
    assert numbers[5, 3] == car
    assert numbers[11, 11] == numbers[17, 10] == cyclist  # rider and bicycle are one
    assert numbers[12, 21] == numbers[5, 35] == -1
    assert numbers[9, 1] == 0


def test_what_lies_beside_the_pictures_of_cityscapes_is_no_frame(city):
    (city / "leftImg8bit/train/aachen/aachen_000002_000019_leftImg8bit.json").write_text("{}")
    assert len(open_dataset("cityscapes", "train", city.parent)) == 2


def test_a_frame_of_cityscapes_without_instances_has_no_boxes(city):
    assert open_dataset("cityscapes", "train", city.parent)[1].boxes is None


def test_a_frame_of_cityscapes_without_objects_has_empty_boxes(city):
    path = city / "gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png"
    write(path, np.full(SHAPE, 7, np.uint16))
    assert open_dataset("cityscapes", "train", city.parent)[0].boxes.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("file", "pixels", "message"),
    [
        ("labelIds", np.zeros((4, 4), np.uint8), r"labelIds.png: expected labels uint8\[20, 40\]"),
        ("instanceIds", np.zeros(SHAPE, np.uint8), r"expected labels uint16\[20, 40\], got uint8"),
    ],
)
def test_damaged_labels_of_cityscapes_are_one_clear_error(city, file, pixels, message):
    write(city / f"gtFine/train/aachen/aachen_000000_000019_gtFine_{file}.png", pixels)
    dataset = open_dataset("cityscapes", "train", city.parent)
    with pytest.raises(InputError, match=message):
        dataset[0]


def test_each_rider_takes_the_two_wheeler_under_it_and_no_other():
    left, right = (0, 0, 10, 20), (8, 0, 18, 20)
    rider = StreetObject("rider", (9, -10, 14, 10), (1,))
    other = StreetObject("rider", (0, -10, 9, 8), (2,))
    objects = [
        rider,
        StreetObject("motorcycle", left, (3,)),
        StreetObject("bicycle", right, (4,)),
        other,
        StreetObject("rider", (90, 0, 99, 9), (5,)),
        StreetObject("bicycle", (50, 0, 60, 9), (6,)),
    ]
    found = {item.numbers: item for item in join_riders(objects)}
    assert {n: item.kind for n, item in found.items()} == {
        (5,): "rider", (6,): "bicycle", (1, 4): "cyclist", (2, 3): "motorcyclist"
    }  # fmt: skip
    assert found[1, 4].box_xyxy == (8, -10, 18, 20)


def test_idd_lite_says_groups_of_classes(tmp_path):
    root = tmp_path / "idd_lite" / "idd20k_lite"
    labels = np.repeat(np.array([0, 1, 2, 3, 4, 5, 6, 255], np.uint8), 5)[None].repeat(20, 0)
    frame(root / "leftImg8bit" / "val" / "119" / "903127_image.jpg")
    write(root / "gtFine" / "val" / "119" / "903127_label.png", labels)
    sample = open_dataset("idd_lite", "val", tmp_path)[0]
    assert sample.name == "119/903127"
    assert sample.boxes is None
    assert sample.class_map[0, ::5].tolist() == [
        map_id(name) for name in (
            "road", "pavement_or_tree", "pedestrian_or_cyclist", "vehicle_or_cyclist",
            "building_or_pole_or_pavement_or_sign_or_fence", "building_or_tree", "sky", "ignore",
        )
    ]  # fmt: skip
    assert all(ROAD not in members for members in GROUPS.values())  # so that each decides the road


DETECTED = {
    "name": "abc.jpg",
    "attributes": {"weather": "overcast", "timeofday": "dawn/dusk", "scene": "highway"},
    "labels": [
        {"category": "car", "box2d": {"x1": 1.5, "y1": 2, "x2": 9, "y2": 8}},
        {"category": "traffic sign", "box2d": {"x1": 0, "y1": 0, "x2": 2, "y2": 2}},
        {"category": "other vehicle", "box2d": {"x1": 30, "y1": 10, "x2": 40, "y2": 20}},
        {"category": "lane"},
    ],
}


@pytest.fixture
def bdd(tmp_path):
    """A frame with boxes in each form of the labels, one without labels, and one with a class map."""
    root = tmp_path / "bdd100k"
    for stem in ("abc", "old", "unlabelled"):
        frame(root / "images" / "100k" / "train" / f"{stem}.jpg")
    frame(root / "images" / "10k" / "train" / "map.jpg")
    (root / "labels" / "det_20").mkdir(parents=True)
    none = {"name": "absent.jpg", "labels": None}
    (root / "labels/det_20/det_train.json").write_text(json.dumps([DETECTED, none]))
    (root / "labels" / "100k" / "train").mkdir(parents=True)
    objects = [{"category": "person", "box2d": {"x1": 1, "y1": 2, "x2": 3, "y2": 8}}]
    single = {"name": "old", "attributes": {"weather": "snowy"}, "frames": [{"objects": objects}]}
    (root / "labels/100k/train/old.json").write_text(json.dumps(single))
    colours = np.zeros((*SHAPE, 3), np.uint8)
    colours[:10] = (128, 64, 128)  # BGR; the same backwards: road
    colours[10:15] = (142, 0, 0)  # a car
    write(root / "labels/sem_seg/colormaps/train/map.png", colours)
    return root


def test_bdd100k_boxes_and_what_is_told_of_the_frame(bdd):
    dataset = open_dataset("bdd100k", "train", bdd.parent)
    dataset.further = frozenset({"weather", "light", "place"})
    assert dataset.names == ("100k/train/abc", "100k/train/old", "10k/train/map")
    sample = dataset[0]
    assert sample.class_map is None
    assert sample.boxes.boxes_xyxy.tolist() == [[1.5, 2, 9, 8]]
    assert sample.boxes.class_ids.tolist() == [VEHICLE]
    assert np.argwhere(sample.boxes.unjudged).min(axis=0).tolist() == [10, 30]
    told = {name: int(value) for name, value in sample.further.items()}
    assert told == {"weather": WEATHERS.index("dry"), "light": LIGHTS.index("dusk"), "place": -1}
    old = dataset[1]
    assert old.boxes.class_ids.tolist() == [PEDESTRIAN]
    assert {name: int(value) for name, value in old.further.items()} == dict.fromkeys(told, -1)


def test_bdd100k_maps_in_colours_and_in_ids_are_read_alike(bdd):
    coloured = open_dataset("bdd100k", "train", bdd.parent).load("10k/train/map").class_map
    assert np.unique(coloured[:10]).tolist() == [ROAD]
    assert MAP_CLASSES[coloured[12, 0]] == "vehicle"
    assert (coloured[15:] == IGNORE).all()
    ids = np.full(SHAPE, 255, np.uint8)
    ids[:10], ids[10:15] = 0, 13
    write(bdd / "labels" / "sem_seg" / "masks" / "train" / "map.png", ids)
    (bdd / "labels/sem_seg/colormaps/train/map.png").unlink()
    masked = open_dataset("bdd100k", "train", bdd.parent).load("10k/train/map").class_map
    np.testing.assert_array_equal(masked, coloured)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("det_20/det_train.json", "[", r"det_train.json: cannot be read as Scalabel JSON"),
        ("det_20/det_train.json", '[{"name": "abc.jpg", "labels": ["car"]}]', "AttributeError"),
        ("100k/train/old.json", "{}", r"old.json: cannot be read as BDD100K JSON: KeyError"),
        (
            "det_20/det_train.json",
            '[{"name": "abc.jpg", "labels": [{"category": "car", "box2d": {"x1": 1}}]}]',
            r"det_train.json: cannot be read as Scalabel JSON: KeyError\('y1'\)",
        ),
    ],
)
def test_damaged_labels_of_bdd100k_are_one_clear_error(bdd, file, text, message):
    (bdd / "labels" / file).write_text(text)
    with pytest.raises(InputError, match=message):
        list(open_dataset("bdd100k", "train", bdd.parent))


def test_a_map_of_fewer_bits_is_refused_because_its_ids_would_be_stretched(city):
    path = city / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    ids = np.full(SHAPE, 255, np.uint8)
    cv2.imwrite(str(path), ids, [cv2.IMWRITE_PNG_BILEVEL, 1])
    with pytest.raises(InputError, match="expected 8 bits a pixel, got 1"):
        open_dataset("cityscapes", "train", city.parent)[0]


def test_bdd100k_without_labels_of_its_pictures_is_told(bdd):
    (bdd / "labels").rename(bdd / "label")
    with pytest.raises(InputError, match=r"no labels of the 4 pictures of split 'train'"):
        open_dataset("bdd100k", "train", bdd.parent)


def test_boxes_of_bdd100k_without_area_are_left_out_and_told_of(bdd, caplog):
    turned = {"category": "car", "box2d": {"x1": 9, "y1": 2, "x2": 1, "y2": 8}}
    lost = {"category": "car", "box2d": {"x1": float("nan"), "y1": 2, "x2": 1, "y2": 8}}
    frames = [{"name": "abc.jpg", "labels": [turned, lost], "attributes": {"scene": "residential"}}]
    (bdd / "labels/det_20/det_train.json").write_text(json.dumps(frames))
    dataset = open_dataset("bdd100k", "train", bdd.parent)
    dataset.further = frozenset({"place"})
    assert "det_train.json: 2 boxes have no area and are left out" in caplog.text
    assert len(dataset[0].boxes.boxes_xyxy) == 0
    assert int(dataset[0].further["place"]) == PLACES.index("town")


@pytest.mark.parametrize("name", ["cityscapes", "idd_lite", "bdd100k"])
def test_an_empty_folder_is_one_clear_error(tmp_path, name):
    with pytest.raises(InputError, match="is the data set complete"):
        open_dataset(name, "train", tmp_path)
