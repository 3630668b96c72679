"""What every data set keeps, as checks: for real sets in `test_contract`, for rendered ones in `test_synthetic`."""

from importlib.util import find_spec

import numpy as np
import pytest

from perception.core.labels import BOX_CLASSES, GROUPS, IGNORE, MAP_CLASSES

SAMPLES = 6  # of each split, spread over it
# what of the sets in PERCEPTION_DATA there is; of the others both splits
PARTS = dict.fromkeys(("bdd100k", "cityscapes", "kitti_tracking", "nuscenes"), ("train",))
SPLITS = ("train", "val")


def data_set(name, *values):
    """A parameter that is skipped where the packages of the set are missing, as nuScenes' are beside NumPy 2."""
    there = name != "nuscenes" or find_spec("nuscenes") is not None
    return pytest.param(
        name, *values, marks=[] if there else pytest.mark.skip(reason="no nuscenes-devkit")
    )


def check_splits_are_apart(train, val):
    """No frame trains and validates, and none comes twice."""
    assert set(train.names) & set(val.names) == set()
    assert len(set(train.names)) == len(train)
    assert len(set(val.names)) == len(val)


def check_labels_fit(dataset):
    """Labels are of the size of their pictures and of the label space."""
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
