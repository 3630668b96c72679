"""Average precision: cases by hand, a slow reference, and which boxes are judged at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.errors import ConfigError
from perception.metrics.detection import BoxScores, judged_boxes
from tests.metrics.boxes import (
    CYCLIST,
    HEIGHT,
    PEDESTRIAN,
    VEHICLE,
    WIDTH,
    A,
    B,
    C,
    found,
    labelled,
    scored,
)


def test_the_labels_themselves_score_one():
    figures = scored(
        (labelled((A, VEHICLE), (B, PEDESTRIAN)), found((A, VEHICLE, 0.5), (B, PEDESTRIAN, 0.4)))
    )
    assert figures == pytest.approx(
        dict.fromkeys(
            ["ap50", "ap50/vehicle", "ap50/pedestrian", "ap50_95", "ap50_95/vehicle", "ap50_95/pedestrian", "ap50_small"],
            1.0,
        )
    )  # fmt: skip


def test_nothing_found_scores_zero():
    assert scored((labelled((A, VEHICLE)), found()))["ap50"] == 0.0


def test_a_wrong_box_before_the_right_one_halves_the_precision():
    frame = (labelled((A, VEHICLE)), found((C, VEHICLE, 0.9), (A, VEHICLE, 0.8)))
    assert scored(frame)["ap50"] == pytest.approx(0.5)


def test_a_wrong_box_after_the_right_one_costs_nothing():
    frame = (labelled((A, VEHICLE)), found((A, VEHICLE, 0.9), (C, VEHICLE, 0.8)))
    assert scored(frame)["ap50"] == pytest.approx(1.0)


def test_one_of_two_found_reaches_half_of_the_recalls():
    frame = (labelled((A, VEHICLE), (B, VEHICLE)), found((A, VEHICLE, 0.9)))
    assert scored(frame)["ap50"] == pytest.approx(51 / 101)  # recalls 0, 0.01 .. 0.5 of 101


def test_a_double_of_a_found_box_is_wrong():
    doubled = found((A, VEHICLE, 0.9), (A, VEHICLE, 0.8), (B, VEHICLE, 0.7))
    figures = scored((labelled((A, VEHICLE), (B, VEHICLE)), doubled))
    assert figures["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_of_iou_062_is_right_at_three_of_ten_thresholds():
    wide, narrow = (0, 0, 50, 20), (0, 0, 31, 20)
    figures = scored((labelled((wide, VEHICLE)), found((narrow, VEHICLE, 0.9))))
    assert figures["ap50"] == pytest.approx(1.0)
    assert figures["ap50_95"] == pytest.approx(0.3)


def test_scores_order_the_boxes_of_all_frames_together():
    right = (labelled((A, VEHICLE)), found((A, VEHICLE, 0.3)))
    wrong = (labelled((A, VEHICLE)), found((C, VEHICLE, 0.9)))
    # wrong first, then right: precision 1/2 up to recall 1/2
    assert scored(right, wrong)["ap50"] == pytest.approx(0.5 * 51 / 101)


def test_the_mean_is_over_classes_that_have_labels():
    frame = (
        labelled((A, VEHICLE), (B, PEDESTRIAN)),
        found((A, VEHICLE, 0.9), (C, CYCLIST, 0.9)),
    )
    figures = scored(frame)
    assert figures["ap50"] == pytest.approx(0.5)
    assert "ap50/cyclist" not in figures


def test_a_class_that_the_set_does_not_box_is_neither_found_nor_missed():
    frame = (
        labelled((A, VEHICLE), (C, PEDESTRIAN), boxed=(VEHICLE,)),
        found((A, VEHICLE, 0.5), (B, PEDESTRIAN, 0.9)),
    )
    figures = scored(frame)
    assert figures["ap50"] == pytest.approx(1.0)
    assert "ap50/pedestrian" not in figures


def test_an_engine_with_other_class_numbers_is_read_by_names():
    frame = (labelled((A, CYCLIST), (B, PEDESTRIAN)), found((A, 0, 0.9)))
    figures = scored(frame, box_classes=("cyclist", "vehicle"))
    assert figures["ap50/cyclist"] == pytest.approx(1.0)
    assert "ap50/pedestrian" not in figures  # the engine does not claim to know it


def test_spare_rows_of_score_zero_are_no_boxes():
    frame = (labelled((A, VEHICLE), (B, VEHICLE)), found((A, VEHICLE, 0.9), (B, VEHICLE, 0.0)))
    assert scored(frame)["ap50"] == pytest.approx(51 / 101)


def test_more_boxes_than_the_evaluators_own_limit_all_count():
    wrong = [((x % 60, 20, x % 60 + 9, 30), VEHICLE, 0.9) for x in range(150)]
    figures = scored((labelled((A, VEHICLE)), found(*wrong, (A, VEHICLE, 0.1))))
    assert figures["ap50"] == pytest.approx(1 / 151)


def test_nothing_labelled_gives_no_figures():
    assert scored((labelled(), found((A, VEHICLE, 0.9)))) == {}
    assert scored() == {}


def test_nothing_is_printed(capsys):
    scored((labelled((A, VEHICLE)), found((A, VEHICLE, 0.9))))
    assert capsys.readouterr() == ("", "")


def test_an_unknown_class_of_an_engine_is_refused():
    with pytest.raises(ConfigError, match="'boat'"):
        BoxScores(["boat"])


def left_of(x):
    region = np.zeros((HEIGHT, WIDTH), np.bool_)
    region[:, :x] = True
    return region


@pytest.mark.parametrize(
    ("unjudged_columns", "class_id", "truth", "is_judged"),
    [
        pytest.param(0, VEHICLE, [], True, id="all on judged pixels"),
        pytest.param(5, VEHICLE, [], True, id="just half on unjudged pixels"),
        pytest.param(6, VEHICLE, [], False, id="more than half on unjudged pixels"),
        pytest.param(10, VEHICLE, [(A, VEHICLE)], True, id="meets a labelled box"),
        pytest.param(10, VEHICLE, [(A, PEDESTRIAN)], False, id="meets one of another class"),
        pytest.param(10, VEHICLE, [((0, 0, 5, 10), VEHICLE)], True, id="meets at iou a half"),
        pytest.param(10, VEHICLE, [((0, 0, 4, 10), VEHICLE)], False, id="hardly meets"),
    ],
)
def test_which_boxes_are_judged(unjudged_columns, class_id, truth, is_judged):
    labels = labelled(*truth)
    keep = judged_boxes(
        np.array([A], np.float32),
        np.array([class_id], np.int64),
        (labels.boxes_xyxy, labels.class_ids),
        unjudged=left_of(unjudged_columns),
    )
    assert keep.tolist() == [is_judged]


def test_a_box_where_nobody_judged_does_not_cost_precision():
    detections = found((A, VEHICLE, 0.9), (B, VEHICLE, 0.8))
    strict = (labelled((B, VEHICLE)), detections)
    lenient = (labelled((B, VEHICLE), unjudged=left_of(15)), detections)
    assert scored(strict)["ap50"] == pytest.approx(0.5)
    assert scored(lenient)["ap50"] == pytest.approx(1.0)


def test_boxes_outside_the_frame_or_without_area_are_judged_without_a_crash():
    boxes = np.array([[-5, -5, 3, 3], [70, 30, 200, 90], [7, 7, 7, 7]], np.float32)
    none = labelled()
    keep = judged_boxes(
        boxes, np.zeros(3, np.int64), (none.boxes_xyxy, none.class_ids), unjudged=left_of(40)
    )
    assert keep.tolist() == [False, True, True]


CORNERS = st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(4, 12), st.integers(4, 12))
BOXES = CORNERS.map(lambda c: (c[0], c[1], c[0] + c[2], c[1] + c[3]))
FRAMES = st.lists(
    st.tuples(st.lists(BOXES, max_size=4), st.lists(BOXES, max_size=5)), min_size=1, max_size=3
)


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def slow_ap(frames, threshold):
    """COCO's words for one class: match greedily by score, then the precision envelope at 101 recalls."""
    marks = []
    for truth, boxes in frames:
        free = list(truth)
        for box, score in sorted(boxes, key=lambda pair: -pair[1]):
            # of two that overlap as much, the later
            best = max(reversed(free), key=lambda other: slow_iou(box, other), default=None)
            hit = best is not None and slow_iou(box, best) >= threshold
            if hit:
                free.remove(best)
            marks.append((score, hit))
    total = sum(len(truth) for truth, _ in frames)
    marks.sort(key=lambda mark: -mark[0])
    points, hits = [], 0
    for n, (_, hit) in enumerate(marks, start=1):
        hits += hit
        points.append((hits / total, hits / n))
    reached = [[p for r, p in points if r >= recall] for recall in np.linspace(0, 1, 101)]
    return sum(max(values, default=0.0) for values in reached) / 101


@given(frames=FRAMES, seed=st.integers(0, 1000))
def test_ap_equals_the_slow_reference(frames, seed):
    n = sum(len(boxes) for _, boxes in frames)
    ranks = iter(np.random.default_rng(seed).permutation(n))
    ranked = [
        (truth, [(box, (int(next(ranks)) + 1) / (n + 1)) for box in b]) for truth, b in frames
    ]
    figures = scored(
        *(
            (
                labelled(*((box, VEHICLE) for box in truth)),
                found(*((b, VEHICLE, s) for b, s in boxes)),
            )
            for truth, boxes in ranked
        )
    )
    if not any(truth for truth, _ in frames):
        assert figures == {}
        return
    assert figures["ap50"] == pytest.approx(slow_ap(ranked, 0.5), abs=1e-6)
    want = np.mean([slow_ap(ranked, t) for t in np.linspace(0.5, 0.95, 10)])
    assert figures["ap50_95"] == pytest.approx(want, abs=1e-6)
