"""The evaluator: which figures which labels allow, with and without the mask, under stable names."""

from types import SimpleNamespace

import numpy as np
import pytest

from perception.core.camera import Camera
from perception.core.labels import BOX_CLASSES, IGNORE, MAP_CLASSES, ROAD, VEHICLE, map_id
from perception.core.types import Detections
from perception.datasets import DATASETS, open_dataset
from perception.metrics.bootstrap import Resampling
from perception.metrics.evaluator import Evaluator, GraphResult
from tests.datasets.contract import PARTS, SPLITS, data_set

NOT_ROAD = map_id("not_road")
SKY = MAP_CLASSES.index("sky")
SHAPE = (6, 8)
CAMERA = Camera(
    width_px=8, height_px=6, fx_px=6.0, fy_px=6.0, cx_px=3.5, cy_px=0.5, height_m=5.0
)  # fmt: skip
BOX = np.array([[1, 1, 4, 4]], np.float32)
CURVE = {"maxf", "ap", "precision", "recall", "fpr", "fnr", "threshold"}
VIEWS = {f"road_{name}_{view}" for name in CURVE for view in ("image", "bev")}
IMAGE = {name for name in VIEWS if name.endswith("_image")}
ROAD_FIGURES = {"road_iou", "road_precision", "road_recall", "road_f1"}
COUNTS = {"frames", "frames_map", "frames_bev", "frames_boxes"}


def sample(class_map=None, boxes=None, camera=None):
    return SimpleNamespace(class_map=class_map, boxes=boxes, camera=camera)


def box_labels():
    return SimpleNamespace(
        boxes_xyxy=BOX,
        class_ids=np.zeros(1, np.int64),
        boxed_classes=(0, 1, 2),
        unjudged=np.zeros(SHAPE, np.bool_),
        distances_m=None,
    )


def detections():
    return Detections(BOX, np.ones(1, np.float32), np.zeros(1, np.int64))


def columns(left, right):
    """A map of two halves."""
    class_map = np.full(SHAPE, right, np.uint8)
    class_map[:, : SHAPE[1] // 2] = left
    return class_map


def figures(*pairs):
    evaluator = Evaluator(MAP_CLASSES, BOX_CLASSES)
    for labels, outputs in pairs:
        evaluator.update(labels, outputs)
    return evaluator.compute()


def result(**maps):
    return GraphResult(**{"detections": None, "class_map": None, **maps})


CLASSES = columns(ROAD, VEHICLE)
GROUPS = columns(ROAD, NOT_ROAD)
SCORE = np.where(CLASSES == ROAD, 255, 0).astype(np.uint8)


def test_all_classes_give_every_figure_of_maps():
    got = figures(
        (
            sample(CLASSES, box_labels(), CAMERA),
            result(class_map=CLASSES, detections=detections(), road_score=SCORE),
        )
    )
    want = {"miou", "iou/road", "iou/vehicle", "vehicle_called_road", *ROAD_FIGURES}
    masked = {name for name in got if not name.startswith(("ap50", "frames"))} - {
        f"{name}_unmasked" for name in VIEWS
    }
    assert masked == want
    assert {name for name in got if name.endswith("_unmasked")} == {f"{n}_unmasked" for n in VIEWS}
    assert {"ap50", "ap50/vehicle", "ap50_95", "ap50_95/vehicle"} <= set(got)
    assert {name: got[name] for name in COUNTS} == dict.fromkeys(COUNTS, 1)


def test_road_labels_alone_give_the_road_figures_alone():
    got = figures(
        (sample(GROUPS), result(class_map=CLASSES, class_map_unmasked=CLASSES, road_score=SCORE))
    )
    names = ROAD_FIGURES | IMAGE
    assert set(got) == names | {f"{name}_unmasked" for name in names} | COUNTS
    assert got["road_iou"] == got["road_maxf_image"] == got["road_ap_image"] == 1.0


def test_boxes_alone_give_the_figures_of_boxes_alone():
    got = figures((sample(boxes=box_labels()), result(class_map=CLASSES, detections=detections())))
    assert set(got) - COUNTS == {
        "ap50",
        "ap50/vehicle",
        "ap50_95",
        "ap50_95/vehicle",
        "ap50_small",
    }
    assert got["ap50_95"] == pytest.approx(1.0)
    assert (got["frames_map"], got["frames_boxes"]) == (0, 1)


def test_a_network_without_a_head_leaves_its_figures_out():
    labels = sample(CLASSES, box_labels())
    assert "ap50" not in figures((labels, result(class_map=CLASSES)))
    assert "miou" not in figures((labels, result(detections=detections())))


def test_every_value_is_a_plain_number():
    got = figures((sample(CLASSES, box_labels()), result(class_map=CLASSES, road_score=SCORE)))
    assert {type(value) for value in got.values()} == {float}


def test_with_and_without_the_mask_are_counted_apart():
    without = np.full(SHAPE, ROAD, np.uint8)
    got = figures(
        (sample(CLASSES), result(class_map=CLASSES, class_map_unmasked=without))
    )  # fmt: skip
    assert got["miou"] == got["road_iou"] == 1.0
    assert got["road_iou_unmasked"] == 0.5
    assert got["miou_unmasked"] == 0.25
    assert (got["iou_unmasked/road"], got["iou_unmasked/vehicle"]) == (0.5, 0.0)
    assert (got["vehicle_called_road"], got["vehicle_called_road_unmasked"]) == (0.0, 1.0)


def test_the_score_is_masked_where_the_mask_took_the_road_away():
    score = np.full(SHAPE, 200, np.uint8)
    got = figures(
        (
            sample(GROUPS, camera=CAMERA),
            result(
                class_map=columns(ROAD, SKY),
                class_map_unmasked=np.full(SHAPE, ROAD, np.uint8),
                road_score=score,
            ),
        )
    )
    assert got["road_maxf_image"] == got["road_maxf_bev"] == 1.0
    assert got["road_maxf_image_unmasked"] == pytest.approx(2 / 3)


def test_a_given_masked_score_counts_as_it_is():
    score = np.full(SHAPE, 60, np.uint8)  # below a half: the class map says sky with and without
    sky = np.full(SHAPE, SKY, np.uint8)
    maps = {"class_map": sky, "class_map_unmasked": sky, "road_score": score}
    masked = columns(60, 0)
    assert figures((sample(GROUPS), result(**maps)))["road_maxf_image"] == pytest.approx(2 / 3)
    assert (
        figures((sample(GROUPS), result(**maps, road_score_masked=masked)))["road_maxf_image"]
        == 1.0
    )


def test_a_score_without_mask_or_unmasked_map_has_no_masked_figures():
    got = figures((sample(GROUPS), result(class_map=CLASSES, road_score=SCORE)))
    assert "road_maxf_image" not in got
    assert got["road_maxf_image_unmasked"] == 1.0


def test_ignored_pixels_change_no_figure():
    labels, predicted = CLASSES.copy(), CLASSES.copy()
    labels[:2] = IGNORE
    predicted[:2] = SKY
    got = figures((sample(labels), result(class_map=predicted)))
    assert got["miou"] == 1.0


def test_frames_of_different_sizes_and_labels_mix():
    small = np.full((2, 2), ROAD, np.uint8)
    got = figures(
        (sample(CLASSES), result(class_map=CLASSES)),
        (sample(small), result(class_map=small)),
        (sample(), result(class_map=small)),
    )
    assert (got["frames"], got["frames_map"]) == (3, 2)
    assert got["miou"] == 1.0


def test_classes_that_the_engine_does_not_know_are_not_held_against_it():
    evaluator = Evaluator(("road", "not_road"), BOX_CLASSES)
    evaluator.update(
        sample(CLASSES), result(class_map=np.where(CLASSES == ROAD, 0, 1).astype("u1"))
    )
    got = evaluator.compute()
    assert got["road_iou"] == got["miou"] == 1.0
    assert "iou/vehicle" not in got


def test_no_frame_gives_no_figure_but_the_count():
    assert Evaluator(MAP_CLASSES, BOX_CLASSES).compute() == dict.fromkeys(COUNTS, 0)


def evaluator_of(*pairs):
    evaluator = Evaluator(MAP_CLASSES, BOX_CLASSES)
    for labels, outputs in pairs:
        evaluator.update(labels, outputs)
    return evaluator


def test_the_records_hold_each_frame_and_sum_to_the_figures():
    without = np.full(SHAPE, ROAD, np.uint8)
    both = result(class_map=CLASSES, class_map_unmasked=without, detections=detections())
    evaluator = evaluator_of(
        (sample(CLASSES), both), (sample(boxes=box_labels()), both), (sample(GROUPS, box_labels()), both)
    )  # fmt: skip
    records = evaluator.records()
    assert records.frames == 3
    pixels = {suffix: counts.sum(axis=(1, 2)).tolist() for suffix, counts in records.counts.items()}
    assert pixels == {"": [48, 0, 48], "_unmasked": [48, 0, 48]}
    assert records.counts["_unmasked"][0, VEHICLE, ROAD] == 24
    assert records.boxes.labelled[:, 0].tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert records.boxes.frame_ids.tolist() == [1, 2]


def test_what_was_counted_of_a_frame_comes_back_at_once():
    evaluator = Evaluator(MAP_CLASSES, BOX_CLASSES)
    score = evaluator.update(sample(CLASSES), result(class_map=CLASSES))
    assert score.counts[""][ROAD, ROAD] == 24
    assert score.counts["_unmasked"].sum() == 0
    assert score.boxes is None
    score = evaluator.update(sample(boxes=box_labels()), result(detections=detections()))
    assert score.boxes.missed(0.4).tolist() == [False]


def test_intervals_hold_the_figures_and_what_the_mask_changes():
    luck = np.random.default_rng(0)
    pairs = []
    for _ in range(60):
        class_map, unmasked = CLASSES.copy(), CLASSES.copy()
        class_map[0, : luck.integers(5)] = SKY  # road lost
        unmasked[0, 4 : 4 + luck.integers(5)] = ROAD  # vehicle called road
        outputs = result(class_map=class_map, class_map_unmasked=unmasked, detections=detections())
        pairs.append((sample(CLASSES, box_labels()), outputs))
    evaluator = evaluator_of(*pairs)
    figures, found = evaluator.compute(), evaluator.intervals(Resampling(resamples=300, block=3))
    missing = {n for n in figures if n not in found and not n.startswith(("frames", "ap50_95"))}
    assert missing == set()
    for name, (low, high) in found.items():
        if name in figures:
            assert low - 1e-12 <= figures[name] <= high + 1e-12, name
    for name in ("road_iou", "vehicle_called_road"):
        low, high = found[f"{name}_minus_unmasked"]
        assert low < figures[name] - figures[f"{name}_unmasked"] < high
    assert found["vehicle_called_road_minus_unmasked"][1] < 0


def test_the_effect_of_the_mask_is_judged_on_the_same_frames():
    luck = np.random.default_rng(1)
    pairs = []
    for _ in range(40):
        # frames differ much, the mask costs each the same column of road
        lost = luck.integers(3)
        unmasked, class_map = CLASSES.copy(), CLASSES.copy()
        unmasked[:, :lost] = SKY
        class_map[:, : lost + 1] = SKY
        pairs.append((sample(CLASSES), result(class_map=class_map, class_map_unmasked=unmasked)))
    found = evaluator_of(*pairs).intervals(Resampling(resamples=200, block=2))
    assert found["road_iou"][1] - found["road_iou"][0] > 0.05
    assert found["road_iou_minus_unmasked"] == pytest.approx((-0.25, -0.25))


def test_without_unmasked_maps_there_is_no_effect_of_the_mask():
    evaluator = evaluator_of(*[(sample(CLASSES), result(class_map=CLASSES))] * 50)
    found = evaluator.intervals(Resampling(resamples=20, block=10))
    assert found["road_iou"] == (1, 1)
    assert not any("unmasked" in name for name in found)


def test_no_frame_gives_no_interval():
    assert Evaluator(MAP_CLASSES, BOX_CLASSES).intervals(Resampling(block=10)) == {}


@pytest.mark.parametrize(
    "maps",
    [
        pytest.param({"class_map": np.zeros(SHAPE, np.int64)}, id="type"),
        pytest.param({"class_map": CLASSES, "road_score": CLASSES[:2]}, id="other size"),
        pytest.param({"road_score_masked": np.zeros(SHAPE, np.bool_)}, id="a mask is no score"),
        pytest.param({"class_map": np.zeros(5, np.uint8)}, id="no map"),
    ],
)
def test_outputs_that_are_no_maps_of_one_frame_are_refused(maps):
    with pytest.raises(ValueError, match="GraphResult"):
        result(**maps)


def truth_as_result(labels):
    """What a network would give that knows the labels."""
    maps = {}
    if labels.class_map is not None:
        class_map = np.where(labels.class_map == IGNORE, SKY, labels.class_map).astype(np.uint8)
        class_map[class_map == NOT_ROAD] = SKY
        score = np.where(class_map == ROAD, 255, 0).astype(np.uint8)
        maps = {"class_map": class_map, "class_map_unmasked": class_map, "road_score": score}
    boxes = None
    if labels.boxes is not None:
        ones = np.ones(len(labels.boxes.boxes_xyxy), np.float32)
        boxes = Detections(labels.boxes.boxes_xyxy, ones, labels.boxes.class_ids)
    return result(detections=boxes, **maps)


@pytest.mark.data
@pytest.mark.parametrize("name", [data_set(name) for name in DATASETS if name != "synthetic"])
def test_the_labels_of_real_frames_as_results_score_one(name):
    dataset = open_dataset(name, PARTS.get(name, SPLITS)[-1])
    samples = [dataset[i] for i in range(0, len(dataset), max(1, len(dataset) // 4))]
    got = figures(*((labels, truth_as_result(labels)) for labels in samples))
    assert got["frames"] == len(samples)
    wrong = ("fpr", "fnr", "called_road", "threshold", "frames")
    judged = {k: v for k, v in got.items() if not any(word in k for word in wrong)}
    assert judged == pytest.approx(dict.fromkeys(judged, 1.0))
    expected = {
        "camvid": {"miou", "road_iou", "ap50", "iou/road", "road_maxf_image"},
        "kitti_road": {"road_iou", "road_maxf_image", "road_maxf_bev", "road_ap_bev_unmasked"},
        "kitti_object": {"ap50", "ap50_95/vehicle"},
    }
    assert expected.get(name, set()) <= set(judged)
