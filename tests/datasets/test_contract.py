"""Every real data set keeps the contract: it opens, its splits are apart, its labels fit its pictures."""

import pytest

from perception.core.camera import Camera
from perception.core.errors import ConfigError, InputError
from perception.core.labels import MAPPINGS
from perception.datasets import DATASETS, open_dataset
from perception.datasets.base import DATA_VARIABLE, data_root
from tests.datasets.contract import (
    PARTS,
    SPLITS,
    check_labels_fit,
    check_splits_are_apart,
    data_set,
)

# the fixed validation of the label space's contract: frames to train on, frames to validate on
COUNTS = {"camvid": (297, 171), "kitti_object": (62, 15), "kitti_road": (165, 48)}
REAL = [name for name in DATASETS if name != "synthetic"]  # which is rendered: see `test_synthetic`
THERE = [data_set(name, split) for name in REAL for split in PARTS.get(name, SPLITS)]


def test_every_data_set_has_a_mapping_into_the_label_space():
    assert set(DATASETS) <= set(MAPPINGS)


def test_without_the_variable_the_way_out_is_told(monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=f"{DATA_VARIABLE} is not set; set it"):
        data_root()


def test_an_unknown_data_set_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'camvid'"):
        open_dataset("camvit", "train", tmp_path)


@pytest.mark.parametrize("name", [data_set(name) for name in DATASETS])
def test_an_unknown_split_is_refused_with_the_known_ones(name, tmp_path):
    with pytest.raises(ConfigError, match=r"no split 'holdout'.*'train'"):
        open_dataset(name, "holdout", tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in REAL if name not in PARTS])
def test_training_and_validation_are_apart_and_as_many_as_agreed(name):
    train, val = (open_dataset(name, split) for split in ("train", "val"))
    check_splits_are_apart(train, val)
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
@pytest.mark.parametrize("name", [data_set(name) for name in PARTS])
def test_a_split_that_is_not_there_is_one_clear_error(name):
    with pytest.raises(InputError, match="is the data set complete"):
        open_dataset(name, "val")


@pytest.mark.data
@pytest.mark.parametrize(("name", "split"), THERE)
def test_labels_fit_their_pictures(name, split):
    check_labels_fit(open_dataset(name, split))
