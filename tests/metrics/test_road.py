"""MaxF and AP of the KITTI road benchmark against a slow reference and cases by hand."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perception.core.camera import Camera
from perception.core.labels import IGNORE, ROAD, map_id
from perception.metrics.road import KITTI_GRID, BirdsEye, RoadCurve
from perception.metrics.segmentation import road_truth

SHAPE = (3, 7)
SCORES = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 60, 127, 128, 200, 254, 255]))
TRUTH = arrays(np.bool_, SHAPE)


def curve(*frames):
    summed = RoadCurve()
    for frame in frames:
        summed.add(*frame)
    return summed


def slow_figures(frames):
    """The benchmark's words, threshold by threshold and pixel by pixel."""
    pixels = [
        (int(s), bool(r))
        for score, road, judged in frames
        for s, r, j in zip(score.flat, road.flat, judged.flat, strict=True)
        if j
    ]
    roads = sum(r for _, r in pixels)
    others = len(pixels) - roads
    points = []
    for threshold in range(256):
        tp = sum(r for s, r in pixels if s >= threshold)
        fp = sum(not r for s, r in pixels if s >= threshold)
        precision = tp / (tp + fp) if tp + fp else 0.0
        recall = tp / roads
        f1 = Fraction(2 * tp, tp + fp + roads)  # exact, so that ties are ties
        points.append((f1, precision, recall, fp / others, 1 - recall))
    ap = 0.0
    for step in range(11):
        reached = [p for _, p, r, _, _ in points if r >= step / 10]
        ap += max(reached, default=0.0) / 11
    return max(points, key=lambda point: point[0]), ap


@given(frames=st.lists(st.tuples(SCORES, TRUTH, TRUTH), min_size=1, max_size=2))
def test_the_figures_equal_the_slow_reference(frames):
    figures = curve(*frames).figures()
    judged_road = sum(int((road & judged).sum()) for _, road, judged in frames)
    judged_other = sum(int((~road & judged).sum()) for _, road, judged in frames)
    if not judged_road or not judged_other:
        assert figures is None
        return
    (maxf, precision, recall, fpr, fnr), ap = slow_figures(frames)
    assert figures.maxf == pytest.approx(float(maxf))
    assert figures.ap == pytest.approx(ap)
    got = (figures.precision, figures.recall, figures.fpr, figures.fnr)
    assert got == pytest.approx((precision, recall, fpr, fnr))


def row(*values, dtype=np.uint8):
    return np.array([values], dtype)


def judge_all(score, road):
    return score, road, np.ones(score.shape, np.bool_)


def test_a_perfect_score_gives_one_and_no_errors():
    figures = curve(judge_all(row(255, 255, 0), row(1, 1, 0, dtype=np.bool_))).figures()
    assert (figures.maxf, figures.ap, figures.precision, figures.recall) == (1, 1, 1, 1)
    assert (figures.fpr, figures.fnr) == (0, 0)


def test_one_score_for_all_is_the_share_of_road():
    # everything or nothing can be called road: precision 1/4 at recall 1, F1 = 2 * 0.25 / 1.25
    figures = curve(judge_all(row(9, 9, 9, 9), row(1, 0, 0, 0, dtype=np.bool_))).figures()
    assert figures.maxf == pytest.approx(0.4)
    assert figures.ap == pytest.approx(0.25)
    assert (figures.fpr, figures.fnr) == (1, 0)


def test_by_hand_two_of_four_roads_before_the_first_mistake():
    # by falling score: road road other road other road
    score = row(250, 200, 150, 100, 50, 25)
    road = row(1, 1, 0, 1, 0, 1, dtype=np.bool_)
    figures = curve(judge_all(score, road)).figures()
    # recalls 1/4 2/4 2/4 3/4 3/4 1 at precisions 1 1 2/3 3/4 3/5 4/6
    assert figures.maxf == pytest.approx(2 * (4 / 6) / (4 / 6 + 1))
    assert figures.ap == pytest.approx((6 * 1 + 2 * 0.75 + 3 * (4 / 6)) / 11)
    # at score >= 25; the lowest threshold of that F1 is just above nothing
    assert (figures.precision, figures.recall) == pytest.approx((4 / 6, 1.0))
    assert figures.fpr == 1.0


def test_the_threshold_is_the_lowest_that_reaches_maxf():
    figures = curve(judge_all(row(200, 100), row(1, 0, dtype=np.bool_))).figures()
    assert figures.threshold == pytest.approx(101 / 255)


def test_counts_are_summed_over_frames_before_any_ratio():
    good = judge_all(row(255, 0), row(1, 0, dtype=np.bool_))
    bad = judge_all(row(0, *[255] * 9), row(1, *[0] * 9, dtype=np.bool_))
    together = curve(good, bad).figures()
    mean = (curve(good).figures().maxf + curve(bad).figures().maxf) / 2
    assert together.maxf == pytest.approx(2 * 2 / (12 + 2))
    assert together.maxf != pytest.approx(mean)


def test_a_score_of_another_size_is_refused():
    with pytest.raises(ValueError, match="score"):
        RoadCurve().add(row(1, 2), *[row(1, dtype=np.bool_)] * 2)


CAMERA = Camera(
    width_px=1242, height_px=375, fx_px=720.0, fy_px=720.0, cx_px=620.5, cy_px=172.0, height_m=1.65
)


def test_the_view_from_above_is_the_benchmarks():
    assert KITTI_GRID.size_wh == (400, 800)
    label_map = np.full((375, 1242), ROAD, np.uint8)
    assert BirdsEye(CAMERA).labels(label_map).shape == (800, 400)


def test_a_strip_of_road_is_as_wide_from_above_as_it_is():
    # the world: road for |x| < 3 m; its picture is made by asking each pixel where on the ground it lies
    columns, rows = np.meshgrid(np.arange(1242) + 0.5, np.arange(375) + 0.5)
    ground = CAMERA.ground_points(np.stack([columns.ravel(), rows.ravel()], axis=1))
    strip = (np.abs(ground[:, 0]) < 3).reshape(375, 1242)
    label_map = np.where(strip, ROAD, map_id("not_road")).astype(np.uint8)
    above = BirdsEye(CAMERA).labels(label_map)
    x_m = KITTI_GRID.centres()[..., 0]
    judged = above != IGNORE
    certain = judged & (np.abs(np.abs(x_m) - 3) > 0.1)  # a pixel at 46 m is 0.06 m wide
    np.testing.assert_array_equal(above[certain] == ROAD, np.abs(x_m)[certain] < 3)
    # near and to the side the frame does not reach: at 6 m it is 1242 / 720 * 6 m wide
    assert not judged[-1, 0]
    assert judged[-1, 200]
    assert judged[0].all()


def test_score_and_label_of_a_cell_come_from_the_same_pixel():
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 2, (375, 1242)).astype(np.uint8)
    view = BirdsEye(CAMERA)
    labels, scores = (
        view.labels(np.where(noise, ROAD, 0).astype(np.uint8)),
        view.scores(noise * 255),
    )
    is_road, is_judged = road_truth(labels)
    assert curve((scores, is_road, is_judged)).figures().maxf == 1.0
