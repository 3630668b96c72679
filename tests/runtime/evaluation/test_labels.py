"""What is drawn and counted of a data set: labels where they are, and nothing lost without a word."""

import cv2
import numpy as np
import pytest

from perception.core.errors import ConfigError, OutputError
from perception.core.labels import (
    BOX_CLASSES,
    IGNORE,
    KEY_POINTS,
    LIGHTS,
    MAP_CLASSES,
    PALETTE_BGR,
    ROAD,
    map_id,
)
from perception.core.types import Detections
from perception.datasets import BoxLabels, Dataset, Sample
from perception.metrics.evaluator import GraphResult
from perception.runtime.evaluation import labels as under_test
from perception.runtime.evaluation.labels import draw_labels, look

SHAPE = (120, 200)
GREY = 100
SKY = MAP_CLASSES.index("sky")


def sample(name="a b", **further):
    class_map = np.full(SHAPE, ROAD, np.uint8)
    class_map[60:90] = map_id("not_road")
    class_map[90:] = IGNORE
    unjudged = np.zeros(SHAPE, np.bool_)
    unjudged[40:60, 150:200] = True
    boxes = BoxLabels(
        boxes_xyxy=np.array([[20, 30, 60, 50]], np.float32),
        class_ids=np.zeros(1, np.int64),
        boxed_classes=(0,),
        unjudged=unjudged,
        distances_m=np.array([12.0], np.float32),
    )
    image = np.full((*SHAPE, 3), GREY, np.uint8)
    return Sample(name, image, class_map, boxes, None, further)


class Two(Dataset):
    stretch = 1

    def __init__(self):
        super().__init__(["first", "second"])

    def load(self, name):
        known = {"light": np.array(LIGHTS.index("dusk"), np.int64)}
        return sample(name, **{k: v for k, v in known.items() if k in self.further})


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(under_test, "open_datasets", lambda splits: {"two:train": Two()})


def test_counts_are_of_what_is_drawn_and_each_frame_has_a_picture(two, tmp_path):
    summary = look([("two", "train")], 5, tmp_path)
    found = summary["sets"]["two:train"]
    assert (found["frames"], found["drawn"]) == (2, 2)
    assert found["boxes"] == {"vehicle": 2}
    assert found["pixel_shares"] == {"road": 0.5, "not_road": 0.25, "ignore": 0.25}
    assert found["further"] == {"light": 2}
    assert sorted(p.name for p in (tmp_path / "two_train").iterdir()) == [
        "000000-first.png",
        "000001-second.png",
    ]
    assert cv2.imread(str(tmp_path / "two_train" / "000000-first.png")).shape == (*SHAPE, 3)


def test_each_kind_of_pixel_has_its_colour():
    drawn = draw_labels(sample())
    road, group, ignored = drawn[55, 100], drawn[75, 100], drawn[100, 100]
    mixed = 0.45 * GREY + 0.55 * PALETTE_BGR[ROAD]
    assert np.abs(road - mixed).max() <= 1
    others = PALETTE_BGR[[i for i in range(len(MAP_CLASSES)) if i != ROAD]].mean(axis=0)
    assert np.abs(group - (0.45 * GREY + 0.55 * others)).max() <= 2
    assert np.abs(ignored - 0.45 * GREY).max() <= 1
    hatched = (drawn[40:60, 150:200] == 255).all(axis=2)
    assert 0.05 < hatched.mean() < 0.3
    assert not (drawn[100:, :] == 255).all(axis=2).any()


def test_every_map_gets_a_panel_and_key_points_are_dots():
    points = np.full((1, len(KEY_POINTS), 3), np.nan, np.float32)
    points[0, 0] = 100.5, 80.5, 1
    numbers = np.zeros(SHAPE, np.int32)
    numbers[:30], numbers[30:60] = 7, -1
    depth = np.full(SHAPE, np.nan, np.float32)
    depth[70, 10] = 5.0  # one point of a scan
    lanes = np.zeros(SHAPE, np.uint8)
    lanes[50:60] = 1
    drawn = draw_labels(
        sample(key_points=points, instances=numbers, lidar_m=depth, lanes=lanes,
               kind=np.array([-1], np.int64))
    )  # fmt: skip
    assert drawn.shape == (SHAPE[0], SHAPE[1] * 4, 3)
    assert (drawn[80, 100] == 255).all()
    panels = drawn.reshape(SHAPE[0], 4, SHAPE[1], 3)[:, 1:].transpose(1, 0, 2, 3)
    instances, lane, scan = panels  # in the order of their names
    assert instances[25, 150].max() > 200
    assert not instances[45, 150].any()
    assert (instances[100, 150] == GREY // 2).all()
    assert (lane[55, 150] == (0, 255, 255)).all()
    assert (lane[80, 150] == GREY // 2).all()
    assert scan[71, 11].max() > 150  # larger than the pixel that was hit
    assert (scan[80, 150] == GREY // 2).all()


def test_fewer_than_one_frame_is_refused(two, tmp_path):
    with pytest.raises(ConfigError, match="expected at least 1 frame, got 0"):
        look([("two", "train")], 0, tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(two, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        look([("two", "train")], 1, tmp_path / "file")


def test_what_a_network_says_is_drawn_below(two, tmp_path):
    class_map = np.full(SHAPE, SKY, np.uint8)
    found = Detections(
        np.array([[20, 30, 60, 50], [100, 30, 140, 50]], np.float32),
        np.array([0.9, 0.1], np.float32),
        np.full(2, BOX_CLASSES.index("pedestrian")),
    )
    ramp = np.repeat(np.linspace(3, 5, SHAPE[1], dtype=np.float32)[None], SHAPE[0], 0)
    points = np.full((2, len(KEY_POINTS), 3), 80.5, np.float32)
    points[..., 2] = 0.9
    points[1] = 150.5, 70.5, 0.9  # of the box that is not shown
    light = np.eye(len(LIGHTS), dtype=np.float32)[1]
    said = GraphResult(
        found, class_map, further={"far": ramp, "light": light, "key_points": points}
    )
    look([("two", "train")], 1, tmp_path, lambda _: said)
    drawn = cv2.imread(str(tmp_path / "two_train" / "000000-first.png"))
    assert drawn.shape == (2 * SHAPE[0], 2 * SHAPE[1], 3)
    assert not drawn[: SHAPE[0], SHAPE[1] :].any()  # the labels have one panel less
    below = drawn[SHAPE[0] :]
    assert np.abs(below[100, 180] - (0.45 * GREY + 0.55 * PALETTE_BGR[SKY])).max() <= 1
    edge = below[49:51, 22:58].reshape(-1, 3)
    assert (edge == under_test.BOXES_BGR[1]).all(axis=1).any()
    assert not (below[25:55, 95:145] == under_test.BOXES_BGR[1]).all(axis=2).any()
    assert (below[80, 80] == 255).all()
    assert not (below[70, 150] == 255).all()
    near, far = below[60, SHAPE[1] + 2], below[60, -2]
    assert near[0] > near[2]
    assert far[2] > far[0]
