"""Every real data set keeps the contract: it opens, its splits are apart, its labels fit its pictures."""

import numpy as np
import pytest

from perception.core.camera import Camera
from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES, GROUPS, IGNORE, MAP_CLASSES, MAPPINGS
from perception.datasets import DATASETS, open_dataset
from perception.datasets.base import DATA_VARIABLE, data_root

# the fixed validation of the label space's contract: frames to train on, frames to validate on
COUNTS = {"camvid": (297, 171), "kitti_object": (62, 15), "kitti_road": (165, 48)}
SAMPLES = 6  # of each split, spread over it


def test_every_data_set_has_a_mapping_into_the_label_space():
    assert set(DATASETS) <= set(MAPPINGS)


def test_without_the_variable_the_way_out_is_told(monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=f"{DATA_VARIABLE} is not set; set it"):
        data_root()


def test_an_unknown_data_set_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'camvid'"):
        open_dataset("camvit", "train", tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_an_unknown_split_is_refused_with_the_known_ones(name, tmp_path):
    with pytest.raises(ConfigError, match=r"no split 'holdout'.*'train'"):
        open_dataset(name, "holdout", tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("name", DATASETS)
def test_training_and_validation_are_apart_and_as_many_as_agreed(name):
    train, val = (open_dataset(name, split) for split in ("train", "val"))
    assert set(train.names) & set(val.names) == set()
    assert len(set(train.names)) == len(train)
    assert len(set(val.names)) == len(val)
    if name in COUNTS:
        assert (len(train), len(val)) == COUNTS[name]


@pytest.mark.data
def test_the_test_frames_of_camvid_are_neither_trained_nor_validated_on():
    names = {
        s: {n.split("/")[1] for n in open_dataset("camvid", s).names}
        for s in ("train", "val", "test")
    }
    assert len(names["test"]) == 233
    assert names["test"] & (names["train"] | names["val"]) == set()


@pytest.mark.data
def test_the_validation_frames_of_kitti_road_are_the_agreed_blocks():
    want = {
        f"{category}_{number:06d}"
        for category, first, last in (("um", 52, 69), ("umm", 9, 30), ("uu", 65, 72))
        for number in range(first, last + 1)
    }
    assert set(open_dataset("kitti_road", "val").names) == want


@pytest.mark.data
def test_every_validation_frame_of_kitti_road_can_be_scored_from_above():
    dataset = open_dataset("kitti_road", "val")
    cameras = [dataset[i].camera for i in range(0, len(dataset), 5)]
    assert all(isinstance(camera, Camera) and 1.3 < camera.height_m < 2 for camera in cameras)


@pytest.mark.data
@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", DATASETS)
def test_labels_fit_their_pictures(name, split):
    dataset = open_dataset(name, split)
    for index in range(0, len(dataset), max(1, len(dataset) // SAMPLES)):
        sample = dataset[index]
        height, width = sample.image.shape[:2]
        assert sample.name == dataset.names[index]
        assert sample.image.std() > 10  # a picture
        if sample.class_map is not None:
            known = {*range(len(MAP_CLASSES) + len(GROUPS)), IGNORE}
            assert set(np.unique(sample.class_map).tolist()) <= known
        if sample.boxes is not None:
            x1, y1, x2, y2 = sample.boxes.boxes_xyxy.T
            assert ((x1 >= 0) & (x1 < x2) & (x2 <= width)).all()
            assert ((y1 >= 0) & (y1 < y2) & (y2 <= height)).all()
            assert set(sample.boxes.class_ids.tolist()) <= set(range(len(BOX_CLASSES)))
        if sample.camera is not None:
            assert sample.camera.size_wh == (width, height)
