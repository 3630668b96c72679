"""Confusion summed over a data set, with groups and ignored pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES, IGNORE, MAP_CLASSES, ROAD, VEHICLE, map_id
from perception.metrics.segmentation import (
    OTHER,
    Confusion,
    RoadCounts,
    label_space_table,
    road_truth,
)

NOT_ROAD = map_id("not_road")
SKY, TREE = MAP_CLASSES.index("sky"), MAP_CLASSES.index("tree")
ALL = range(len(MAP_CLASSES))
SHAPE = (4, 5)
CLASS_LABELS = arrays(np.uint8, SHAPE, elements=st.sampled_from([*ALL, IGNORE]))
ROAD_LABELS = arrays(np.uint8, SHAPE, elements=st.sampled_from([ROAD, NOT_ROAD, IGNORE]))
PREDICTIONS = arrays(np.uint8, SHAPE, elements=st.sampled_from(list(ALL)))


def row(*ids):
    return np.array([ids], np.uint8)


def counted(*frames):
    confusion = Confusion()
    for label_map, predicted_map in frames:
        confusion.add(label_map, predicted_map)
    return confusion


def test_a_perfect_map_scores_one_everywhere():
    label_map = np.arange(len(MAP_CLASSES), dtype=np.uint8).reshape(1, -1)
    confusion = counted((label_map, label_map))
    assert confusion.class_iou(ALL) == dict.fromkeys(ALL, 1.0)
    assert set(confusion.road_counts().figures().values()) == {1.0}
    assert confusion.vehicle_called_road() == 0.0


def test_iou_is_of_the_sums_and_not_the_mean_of_the_frames():
    # frame 1: road 1 of 1 right; frame 2: road 1 of 9 right. sums: 2 / 10; mean of frames: (1 + 1/9) / 2
    first = (row(ROAD, SKY), row(ROAD, SKY))
    second = (row(*[ROAD] * 9), row(ROAD, *[SKY] * 8))
    iou = counted(first, second).class_iou([ROAD])
    assert iou == {ROAD: pytest.approx(2 / 10)}


def test_a_class_that_is_neither_labelled_nor_predicted_is_left_out():
    assert set(counted((row(ROAD, SKY), row(ROAD, ROAD))).class_iou(ALL)) == {ROAD, SKY}


def test_a_class_that_is_only_predicted_scores_zero():
    assert counted((row(ROAD, SKY), row(ROAD, TREE))).class_iou(ALL)[TREE] == 0.0


def test_ignored_pixels_count_nowhere():
    ignored = counted((row(ROAD, IGNORE, IGNORE), row(ROAD, ROAD, VEHICLE)))
    assert ignored.decided.sum() == 1
    assert ignored.class_iou(ALL) == {ROAD: 1.0}


def test_frames_with_groups_count_for_the_road_but_for_no_class():
    group = (row(ROAD, ROAD, NOT_ROAD, NOT_ROAD), row(ROAD, SKY, ROAD, TREE))
    confusion = counted(group)
    assert confusion.class_iou(ALL) == {}
    assert confusion.road_counts() == RoadCounts(1, 1, 1, 1)
    assert confusion.vehicle_called_road() is None


def test_frames_with_groups_do_not_change_the_classes_of_others():
    classes = (row(ROAD, SKY), row(ROAD, ROAD))
    group = (row(ROAD, NOT_ROAD), row(SKY, ROAD))
    assert counted(classes, group).class_iou(ALL) == counted(classes).class_iou(ALL)
    assert counted(classes, group).road_counts() == RoadCounts(1, 2, 1, 0)


@pytest.mark.parametrize(
    ("counts", "figures"),
    [
        pytest.param(
            (6, 2, 4, 8), {"iou": 6 / 12, "precision": 6 / 8, "recall": 6 / 10, "f1": 12 / 18}, id="mixed"
        ),
        pytest.param((0, 0, 4, 8), {"iou": 0.0, "recall": 0.0, "f1": 0.0}, id="nothing called road"),
        pytest.param((0, 3, 0, 8), {"iou": 0.0, "precision": 0.0, "f1": 0.0}, id="no road there"),
        pytest.param((0, 0, 0, 8), {}, id="neither"),
    ],
)  # fmt: skip
def test_road_figures_by_hand(counts, figures):
    assert RoadCounts(*counts).figures() == figures


def test_the_share_of_vehicle_pixels_called_road():
    label_map = row(VEHICLE, VEHICLE, VEHICLE, VEHICLE, ROAD, IGNORE)
    predicted = row(ROAD, VEHICLE, TREE, VEHICLE, ROAD, ROAD)
    assert counted((label_map, predicted)).vehicle_called_road() == 0.25


@given(frames=st.lists(st.tuples(CLASS_LABELS, PREDICTIONS), min_size=1, max_size=3))
def test_class_iou_equals_pixel_by_pixel_sets(frames):
    iou = counted(*frames).class_iou(ALL)
    for class_id in ALL:
        both = either = 0
        for label_map, predicted in frames:
            for label, got in zip(label_map.flat, predicted.flat, strict=True):
                if label != IGNORE:
                    both += label == class_id == got
                    either += class_id in {label, got}
        assert iou.get(class_id) == (pytest.approx(both / either) if either else None)


@given(frames=st.lists(st.tuples(ROAD_LABELS | CLASS_LABELS, PREDICTIONS), min_size=1, max_size=3))
def test_road_counts_equal_a_count_pixel_by_pixel(frames):
    want = {True: {True: 0, False: 0}, False: {True: 0, False: 0}}
    for label_map, predicted in frames:
        for label, got in zip(label_map.flat, predicted.flat, strict=True):
            if label != IGNORE:
                want[bool(label == ROAD)][bool(got == ROAD)] += 1
    counts = counted(*frames).road_counts()
    assert counts.true_positive == want[True][True]
    assert counts.false_negative == want[True][False]
    assert counts.false_positive == want[False][True]
    assert counts.true_negative == want[False][False]


@given(label_map=ROAD_LABELS | CLASS_LABELS)
def test_the_truth_about_the_road_is_known_wherever_a_label_is(label_map):
    is_road, is_judged = road_truth(label_map)
    np.testing.assert_array_equal(is_road, label_map == ROAD)
    np.testing.assert_array_equal(is_judged, label_map != IGNORE)


def test_nothing_counted_gives_no_figures():
    confusion = Confusion()
    assert confusion.class_iou(ALL) == {}
    assert confusion.road_counts().figures() == {}
    assert confusion.vehicle_called_road() is None


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="predicted_map"):
        Confusion().add(row(ROAD, SKY), row(ROAD))


def test_an_engine_with_other_class_numbers_is_read_by_names():
    table = label_space_table(["road", "not_road", "vehicle"])
    assert table[:4].tolist() == [ROAD, NOT_ROAD, VEHICLE, OTHER]
    road_only = counted((row(ROAD, SKY, VEHICLE), table[row(0, 1, 0)]))
    assert road_only.road_counts() == RoadCounts(1, 1, 0, 1)


def test_predictions_outside_the_label_space_are_wrong_but_crash_nothing():
    assert counted((row(ROAD, SKY), row(200, SKY))).road_counts() == RoadCounts(0, 0, 1, 1)


def test_an_unknown_class_of_an_engine_is_refused():
    with pytest.raises(ConfigError, match="'lake'"):
        label_space_table([*BOX_CLASSES, "lake"])
