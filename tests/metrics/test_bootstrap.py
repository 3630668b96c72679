"""Drawn frames: the figures of each sample are those of its frames, and the intervals are as wide as they should be."""

import io
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.core.errors import ConfigError, InputError
from perception.core.labels import BOX_CLASSES, ROAD
from perception.core.types import Detections
from perception.metrics import detection
from perception.metrics.bootstrap import FrameRecords, Resampling, interval, resample_figures
from perception.metrics.detection import BoxScores
from perception.metrics.matches import SIZES, matched_figures
from perception.metrics.segmentation import IDS

SIZE_WH = (300, 200)


def random_frame(luck):
    """Labels, and boxes near some of them and elsewhere, with scores that are often the same."""
    low = luck.uniform(0, 100, (luck.integers(6), 2))
    truth = np.hstack([low, low + luck.uniform(8, 90, low.shape)])
    near = truth[luck.random(len(truth)) < 0.8]
    wild = luck.uniform(0, 100, (luck.integers(8), 2))
    wild = np.hstack([wild, wild + luck.uniform(8, 90, wild.shape)])
    boxes = np.vstack([near + luck.normal(0, 3, near.shape), wild])
    scores = np.sort(luck.choice(np.arange(1, 40) / 40, len(boxes)))[::-1]
    ids = luck.integers(0, 3, len(truth))
    labels = SimpleNamespace(
        boxes_xyxy=truth.astype(np.float32),
        class_ids=ids,
        boxed_classes=tuple(range(3)),
        unjudged=np.zeros(SIZE_WH[::-1], np.bool_),
        distances_m=luck.uniform(0, 70, len(truth)).astype(np.float32),
    )
    order = luck.permutation(len(boxes))
    return labels, Detections(
        boxes[order].astype(np.float32),
        scores.astype(np.float32),
        luck.integers(0, 3, len(boxes)),
    )


def score_boxes(frames):
    scores = BoxScores(BOX_CLASSES)
    for labels, detections in frames:
        scores.add(labels, detections)
    return scores


def box_records(boxes):
    return FrameRecords({}, boxes)


@given(seed=st.integers(0, 10_000), frames=st.integers(1, 6))
def test_ap_from_matches_equals_pycocotools(seed, frames):
    luck = np.random.default_rng(seed)
    scores = score_boxes([random_frame(luck) for _ in range(frames)])
    expected = scores.figures()
    records = scores.records()
    got = matched_figures(records, np.arange(frames), np.ones((1, frames), np.int64))
    if not expected:
        assert got == {}
        return
    names = {n for n in expected if n == "ap50" or n.startswith("ap50/")}
    # `figures` takes these from pycocotools' own accumulation
    assert {n: float(got[n][0]) for n in names} == pytest.approx(
        {n: expected[n] for n in names}, abs=1e-6
    )


@pytest.mark.parametrize("size", [1, 2, 3], ids=["small", "medium", "large"])
def test_ap_by_size_equals_pycocotools(size, monkeypatch):
    """The evaluator's own accumulation over the same ranges, which `figures` does not run."""
    luck = np.random.default_rng(3)
    scores = score_boxes([random_frame(luck) for _ in range(12)])
    run = detection._evaluation(scores._truth, scores._found, 12)
    name, bounds = list(SIZES.items())[size]
    run.params.areaRng, run.params.areaRngLbl = [list(bounds)], [name]
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", io.StringIO())
        run.evaluate()
        run.accumulate()
    by_class = run.eval["precision"][0, :, :, 0, -1]
    seen = by_class[:, by_class[0] >= 0]
    assert seen.size
    assert scores.figures()[f"ap50{name}"] == pytest.approx(seen.mean(), abs=1e-6)


def test_a_drawn_sample_scores_as_its_frames_would():
    luck = np.random.default_rng(5)
    frames = [random_frame(luck) for _ in range(7)]
    # no two boxes of one score: their order within a sample is nobody's choice
    ranks = iter(luck.permutation(200) + 1)
    frames = [
        (labels, Detections(d.boxes_xyxy, np.sort([next(ranks) / 201 for _ in d.scores])[::-1].astype(np.float32), d.class_ids))
        for labels, d in frames
    ]  # fmt: skip
    blocks = np.array([0, 0, 0, 1, 1, 2, 2])
    draws = np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1], [0, 0, 3]])
    got = matched_figures(score_boxes(frames).records(), blocks, draws)
    for row, draw in enumerate(draws):
        drawn = [f for f, block in zip(frames, blocks, strict=True) for _ in range(draw[block])]
        expected = {k: v for k, v in score_boxes(drawn).figures().items() if "ap50_95" not in k}
        known = {k: float(v[row]) for k, v in got.items() if not np.isnan(v[row])}
        assert known == pytest.approx(expected, abs=1e-6)


def test_a_sample_without_labels_has_no_ap():
    luck = np.random.default_rng(1)
    labels, detections = random_frame(luck)
    scores = score_boxes([(labels, detections)])
    scores.skip()
    got = matched_figures(scores.records(), np.arange(2), np.array([[2, 0], [0, 2]]))
    assert np.isnan(got["ap50"]).tolist() == [False, True]


def test_frames_alike_leave_no_doubt_and_unlike_ones_do():
    luck = np.random.default_rng(2)
    one = random_frame(luck)
    alike = box_records(score_boxes([one] * 40).records())
    unlike = box_records(score_boxes([random_frame(luck) for _ in range(40)]).records())
    widths = {}
    for name, records in (("alike", alike), ("unlike", unlike)):
        low, high = interval(resample_figures(records, Resampling(block=4))["ap50"])
        widths[name] = high - low
    assert widths["alike"] == pytest.approx(0, abs=1e-9)
    assert 0.02 < widths["unlike"] < 0.5


def test_the_interval_is_as_wide_as_the_spread_of_a_mean():
    luck = np.random.default_rng(4)
    hits = luck.integers(0, 101, 200)
    counts = np.zeros((200, IDS, IDS + 1), np.int64)
    counts[:, ROAD, ROAD], counts[:, ROAD, 0] = hits, 100 - hits
    empty = BoxScores(BOX_CLASSES)
    for _ in range(200):
        empty.skip()
    records = FrameRecords({"_unmasked": counts}, empty.records())
    drawn = resample_figures(records, Resampling(resamples=2000, block=1))
    low, high = interval(drawn["road_recall_unmasked"])
    expected = 2 * 1.96 * (hits / 100).std() / np.sqrt(200)
    assert high - low == pytest.approx(expected, rel=0.1)
    assert low < hits.mean() / 100 < high


def test_the_same_frames_are_drawn_each_time():
    resampling = Resampling(resamples=50, block=3)
    np.testing.assert_array_equal(resampling.draws(7), resampling.draws(7))
    assert resampling.draws(7).sum(axis=1).tolist() == [7] * 50
    assert resampling.blocks(7).tolist() == [0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("frames", [0, 1, 10, 40], ids=["none", "one", "one block", "four blocks"])
def test_too_few_blocks_tell_nothing(frames):
    luck = np.random.default_rng(0)
    records = box_records(score_boxes([random_frame(luck) for _ in range(frames)]).records())
    assert resample_figures(records, Resampling(resamples=5, block=10)) == {}


def test_records_come_back_from_their_file(tmp_path):
    luck = np.random.default_rng(6)
    scores = score_boxes([random_frame(luck) for _ in range(20)])
    counts = luck.integers(0, 9, (20, IDS, IDS + 1))
    records = FrameRecords({"": counts, "_unmasked": counts + 1}, scores.records())
    np.savez_compressed(tmp_path / "a.npz", **records.to_arrays())
    with np.load(tmp_path / "a.npz") as file:
        again = FrameRecords.from_arrays({name: file[name] for name in file.files})
    resampling = Resampling(resamples=30, block=4)
    before, after = resample_figures(records, resampling), resample_figures(again, resampling)
    assert list(before) == list(after)
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])
    assert {"road_iou", "road_iou_unmasked", "ap50", "recall/0-15m"} <= set(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda a: a.pop("boxes_scores"), "boxes_scores", id="without boxes"),
        pytest.param(
            lambda a: a.update(counts=a["counts"][:1]), "expected int64", id="other frames"
        ),
    ],
)
def test_a_file_of_another_kind_is_one_clear_error(change, message):
    records = FrameRecords(
        {"": np.zeros((3, IDS, IDS + 1), np.int64)},
        score_boxes([random_frame(np.random.default_rng(0))] * 3).records(),
    )
    arrays = records.to_arrays()
    change(arrays)
    with pytest.raises(InputError, match=message) as caught:
        FrameRecords.from_arrays(arrays)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"block": 0}], ids=["resamples", "block"])
def test_nothing_to_draw_is_refused(wrong):
    with pytest.raises(ConfigError, match="at least 1"):
        Resampling(**{"block": 10} | wrong)


def test_a_thousand_samples_of_a_validation_split_take_seconds():
    luck = np.random.default_rng(7)
    records = box_records(score_boxes([random_frame(luck) for _ in range(171)]).records())
    begin = time.perf_counter()
    resample_figures(records, Resampling(block=10))
    assert time.perf_counter() - begin < 10
