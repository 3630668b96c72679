"""Boxes by size and by distance, and what the matches of one frame tell."""

import numpy as np
import pytest

from perception.core.errors import ConfigError
from perception.core.labels import BOX_CLASSES
from perception.metrics.detection import BoxScores
from perception.metrics.matches import RIGHT, WRONG
from tests.metrics.boxes import CYCLIST, PEDESTRIAN, VEHICLE, A, B, C, found, labelled, scored

LOW, MIDDLE, HIGH = (0, 0, 20, 20), (100, 0, 140, 40), (200, 0, 280, 80)  # heights in px


def test_boxes_are_parted_by_their_height():
    frame = (
        labelled((LOW, VEHICLE), (MIDDLE, VEHICLE), (HIGH, VEHICLE)),
        found((HIGH, VEHICLE, 0.9), (MIDDLE, VEHICLE, 0.8)),
    )
    figures = scored(frame)
    got = {name: figures[f"ap50_{name}"] for name in ("small", "medium", "large")}
    assert got == pytest.approx({"small": 0, "medium": 1, "large": 1})


@pytest.mark.parametrize(
    ("height", "sizes"),
    [
        pytest.param(24, {"small"}, id="below the first bound"),
        pytest.param(25, {"small", "medium"}, id="on it"),
        pytest.param(60, {"medium", "large"}, id="on the second"),
        pytest.param(61, {"large"}, id="above it"),
    ],
)
def test_a_box_on_a_bound_is_of_both_sizes(height, sizes):
    # wide: it is the height that parts, not the area
    figures = scored((labelled(((0, 0, 500, height), VEHICLE)), found()))
    assert {name for name in ("small", "medium", "large") if f"ap50_{name}" in figures} == sizes


def test_a_box_of_another_size_is_neither_right_nor_wrong():
    # wrong boxes of every size, better than the right one
    wrong = [((x, 90, x + w, 90 + w), VEHICLE, 0.9) for x, w in ((0, 10), (40, 30), (100, 70))]
    figures = scored((labelled((MIDDLE, VEHICLE)), found(*wrong, (MIDDLE, VEHICLE, 0.5))))
    assert figures["ap50"] == pytest.approx(1 / 4)
    assert figures["ap50_medium"] == pytest.approx(1 / 2)
    assert {"ap50_small", "ap50_large"} & set(figures) == set()


def test_a_box_that_meets_one_of_another_size_does_not_count_where_it_is_of_this_size():
    label, box = (0, 0, 40, 26), (0, 0, 40, 24)  # medium, and found as small
    figures = scored(
        (labelled((label, VEHICLE), ((100, 0, 110, 10), VEHICLE)), found((box, VEHICLE, 0.9), ((100, 0, 110, 10), VEHICLE, 0.8)))
    )  # fmt: skip
    assert figures["ap50_small"] == figures["ap50_medium"] == pytest.approx(1.0)


def test_recall_is_by_distance_at_the_threshold():
    labels = labelled(
        (A, VEHICLE), (B, PEDESTRIAN), (C, VEHICLE), ((0, 20, 10, 30), CYCLIST), ((20, 20, 30, 30), CYCLIST),
        distances_m=[5, 14.9, 15, 80, np.nan],
    )  # fmt: skip
    boxes = found(
        (A, VEHICLE, 0.4),
        (B, PEDESTRIAN, 0.3),
        (C, PEDESTRIAN, 0.9),
        ((0, 20, 10, 30), CYCLIST, 0.8),
    )
    recalls = {
        threshold: {
            name: value
            for name, value in scored((labels, boxes), score_threshold=threshold).items()
            if name.startswith("recall")
        }
        for threshold in (0.4, 0.2)
    }
    assert recalls[0.4] == {"recall/0-15m": 0.5, "recall/15-30m": 0.0, "recall/over_50m": 1.0}
    assert recalls[0.2] == {"recall/0-15m": 1.0, "recall/15-30m": 0.0, "recall/over_50m": 1.0}


def test_without_distances_there_is_no_recall_by_distance():
    assert not any(n.startswith("recall") for n in scored((labelled((A, VEHICLE)), found())))


def test_the_distance_stays_with_its_box_where_others_are_not_asked_for():
    labels = labelled((A, PEDESTRIAN), (B, VEHICLE), boxed=(VEHICLE,), distances_m=[5, 40])
    figures = scored((labels, found((B, VEHICLE, 0.9))))
    assert {n: v for n, v in figures.items() if n.startswith("recall")} == {"recall/30-50m": 1.0}


def test_the_matches_of_a_frame_tell_right_wrong_and_missed():
    scores = BoxScores(BOX_CLASSES)
    matches = scores.add(
        labelled((A, VEHICLE), (B, VEHICLE)),
        found((C, VEHICLE, 0.9), (A, VEHICLE, 0.5), (A, VEHICLE, 0.0), (A, VEHICLE, 0.3)),
    )
    assert matches.rows.tolist() == [0, 1, 2]
    assert matches.verdicts[0].tolist() == [WRONG, RIGHT, WRONG], "the last is a double"
    assert matches.truth_scores.tolist() == [0.5, 0]
    assert matches.missed(0.5).tolist() == [False, True]
    assert matches.missed(0.6).tolist() == [True, True]
    assert matches.missed(0.0).tolist() == [False, True], "a threshold of 0 finds nothing new"


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_that_no_score_can_have_is_refused(threshold):
    with pytest.raises(ConfigError, match=r"expected \[0, 1\]"):
        BoxScores(BOX_CLASSES, threshold)
