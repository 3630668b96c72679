"""Our figures against those of torchmetrics, on the same random maps."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import BinaryPrecision, BinaryRecall, MulticlassJaccardIndex

from perception.core.labels import IGNORE, MAP_CLASSES, ROAD
from perception.metrics.segmentation import Confusion

CLASSES = len(MAP_CLASSES)


@pytest.fixture
def frames():
    """Labels with ignored pixels, and predictions that are right half of the time; frames of different sizes."""
    rng = np.random.default_rng(7)
    made = []
    for shape in ((20, 30), (31, 17), (5, 64)):
        label_map = rng.integers(0, CLASSES, shape).astype(np.uint8)
        guess = rng.integers(0, CLASSES, shape).astype(np.uint8)
        predicted = np.where(rng.random(shape) < 0.5, label_map, guess).astype(np.uint8)
        label_map[rng.random(shape) < 0.1] = IGNORE
        made.append((label_map, predicted))
    return made


@pytest.fixture
def confusion(frames):
    summed = Confusion()
    for label_map, predicted in frames:
        summed.add(label_map, predicted)
    return summed


def tensors(frame):
    label_map, predicted = frame
    return torch.from_numpy(predicted).long().ravel(), torch.from_numpy(label_map).long().ravel()


def test_class_iou_over_all_frames_is_that_of_torchmetrics(frames, confusion):
    jaccard = MulticlassJaccardIndex(CLASSES, average=None, ignore_index=IGNORE)
    for frame in frames:
        jaccard.update(*tensors(frame))
    ours = confusion.class_iou(range(CLASSES))
    np.testing.assert_allclose([ours[i] for i in range(CLASSES)], jaccard.compute(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "metric"), [("precision", BinaryPrecision), ("recall", BinaryRecall)]
)
def test_road_precision_and_recall_are_those_of_torchmetrics(frames, confusion, name, metric):
    theirs = metric()
    for frame in frames:
        predicted, label = tensors(frame)
        judged = label != IGNORE
        theirs.update((predicted == ROAD)[judged].int(), (label == ROAD)[judged].int())
    ours = confusion.road_counts().figures()[name]
    assert ours == pytest.approx(float(theirs.compute()), abs=1e-6)
