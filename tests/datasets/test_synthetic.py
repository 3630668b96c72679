"""Rendered drives as a data set keep the contract of all sets; what is hardly seen is not judged."""

import cv2
import numpy as np
import pytest

from perception.core.errors import InputError
from perception.core.labels import (
    BOX_CLASSES,
    COLOURS,
    FURTHER_LABELS,
    KINDS,
    LANE_CLASSES,
    LIGHTS,
    MAP_CLASSES,
    MAPPINGS,
    PLACES,
    WEATHERS,
    map_id,
)
from perception.datasets import open_dataset
from perception.datasets.drives import rendered_drives
from perception.datasets.synthetic import PAINT
from perception.render.disk import path_of, read_frame
from perception.render.meshes.cast import build_cast
from perception.render.presets import light_of, varied_drive, weather_of
from perception.render.records import CityId, Marking
from perception.render.store import is_clear, write_drives
from tests.datasets.contract import check_labels_fit, check_splits_are_apart
from tests.render.factories import RENDERER, drive_config


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two drives to train on, and one of the same name to validate on."""
    root = tmp_path_factory.mktemp("data")
    names = ("train/000000", "train/000001", "val/000000")
    jobs = [(drive_config(3, seed=k), root / "synthetic" / name) for k, name in enumerate(names)]
    write_drives(jobs, processes=1, renderer=RENDERER)
    return root


def test_it_keeps_the_contract_of_a_data_set(root):
    train, val = (open_dataset("synthetic", split, root) for split in ("train", "val"))
    assert (len(train), len(val)) == (6, 3)
    assert val.names[0] == "val/000000/000000"
    check_splits_are_apart(train, val)
    check_labels_fit(train)
    check_labels_fit(val)


def test_a_drive_in_the_order_of_time_has_the_frames_of_the_data_set(root):
    (drive,) = rendered_drives(root / "synthetic")
    val = open_dataset("synthetic", "val", root)
    assert drive.moments_s.tolist() == pytest.approx([k / drive_config(3).fps for k in range(3)])
    for index, name in enumerate(val.names):
        assert drive.load(index).name == name
        np.testing.assert_array_equal(drive.load(index).image, val[index].image)


def test_class_map_and_boxes_are_those_of_the_drive(root):
    table = MAPPINGS["synthetic"].pixels
    for sample in open_dataset("synthetic", "train", root):
        folder, index = root / "synthetic" / sample.name[:-7], int(sample.name[-6:])
        labels = read_frame(folder, index).labels
        for raw in np.unique(labels.class_ids).tolist():
            assert set(sample.class_map[labels.class_ids == raw]) == {map_id(table[raw])}
        clear = [label for label in labels.objects if is_clear(label)]
        assert sample.boxes.boxes_xyxy.tolist() == [list(map(float, o.box_xyxy)) for o in clear]
        unclear = np.zeros(labels.class_ids.shape, bool)
        for label in labels.objects:
            if not is_clear(label):
                x1, y1, x2, y2 = label.box_xyxy
                unclear[y1:y2, x1:x2] = True
        np.testing.assert_array_equal(sample.boxes.unjudged, unclear)
        assert sample.boxes.boxed_classes == (0, 1, 2)
        assert sample.camera.height_m > 1


def test_every_class_that_is_rendered_has_a_place_in_the_label_space():
    pixels = MAPPINGS["synthetic"].pixels
    assert {int(one) for one in CityId} <= set(pixels)
    assert set(pixels.values()) == {*MAP_CLASSES, "ignore"}
    assert set(MAPPINGS["synthetic"].boxes.values()) == set(BOX_CLASSES)


def test_frames_that_are_still_missing_are_left_out(root, tmp_path):
    folder = tmp_path / "synthetic" / "train" / "one"
    write_drives([(drive_config(3), folder)], processes=1, renderer=RENDERER)
    path_of(folder, "objects", 1).unlink()
    dataset = open_dataset("synthetic", "train", tmp_path)
    assert dataset.names == ("train/one/000000", "train/one/000002")


def test_a_split_without_drives_tells_how_to_make_some(tmp_path):
    with pytest.raises(InputError, match=r"no synthetic drives there; .*render --out .*train"):
        open_dataset("synthetic", "train", tmp_path)


def test_a_damaged_label_is_one_line(tmp_path):
    folder = tmp_path / "synthetic" / "val" / "one"
    write_drives([(drive_config(1), folder)], processes=1, renderer=RENDERER)
    cv2.imwrite(str(path_of(folder, "class", 0)), np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match="expected uint8 of shape"):
        open_dataset("synthetic", "val", tmp_path)[0]


def test_further_labels_are_those_of_the_drive_and_only_what_is_asked_for(root):
    dataset = open_dataset("synthetic", "train", root)
    assert dataset[0].further == {}
    dataset.further = frozenset(FURTHER_LABELS)
    for sample in dataset:
        folder, index = root / "synthetic" / sample.name[:-7], int(sample.name[-6:])
        labels, further = read_frame(folder, index).labels, sample.further
        known = np.isfinite(further["depth_m"])
        np.testing.assert_array_equal(known, labels.depth_m > 0)
        np.testing.assert_array_equal(further["depth_m"][known], labels.depth_m[known])
        scanned = np.isfinite(further["lidar_m"])
        assert not (scanned & ~known).any()
        for marking in Marking:
            names = {LANE_CLASSES[i] for i in further["lanes"][labels.lanes == marking]}
            assert names <= {PAINT[marking]}
        clear = [label for label in labels.objects if is_clear(label)]
        boxed = [0, *(label.identity for label in clear)]
        expected = np.where(np.isin(labels.instances, boxed), labels.instances.astype(int), -1)
        np.testing.assert_array_equal(further["instances"], expected)
        assert further["instance"].tolist() == further["identity"].tolist() == boxed[1:]
        for label, points in zip(clear, further["key_points"], strict=True):
            if label.key_points is None:
                assert np.isnan(points).all()
            else:
                behind = (label.key_points == 0).all(axis=1)  # the camera: no place in the picture
                assert behind.sum() == 1
                assert np.isnan(points[behind]).all()
                np.testing.assert_array_equal(points[~behind], label.key_points[~behind])
    dataset.further = frozenset({"lanes", "outlines"})
    assert set(dataset[0].further) == {"lanes"}


def test_every_word_of_the_renderer_has_a_place_among_the_labels():
    assert set(Marking) == set(PAINT)
    cast = build_cast(0)
    for member in (*cast.vehicles, *cast.people, *cast.cyclists):
        told = member.attributes
        colour, _, garment = told.get("upper", "").partition(" ")
        assert (told.get("kind") or garment) in KINDS
        assert (told.get("colour") or colour) in COLOURS
    drives = [varied_drive(seed) for seed in range(60)]
    assert {light_of(drive) for drive in drives} == set(LIGHTS)
    assert {weather_of(drive) for drive in drives} == set(WEATHERS)
    assert {drive.place for drive in drives} == {*PLACES, "mixed"}
