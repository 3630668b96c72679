"""Which frames count as worst, and that every kind of error has its colour in the picture."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from perception.cli.app import evaluate as evaluate_command
from perception.core.errors import ConfigError, OutputError
from perception.core.labels import BOX_CLASSES, IGNORE, MAP_CLASSES, ROAD, VEHICLE, map_id
from perception.core.types import Detections
from perception.datasets.base import BoxLabels, Sample
from perception.metrics.evaluator import Evaluator, GraphResult
from perception.runtime.evaluation.failures import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    FailurePictures,
    Ranking,
    measure_failure,
)

WIDTH, HEIGHT = 120, 80
SKY = MAP_CLASSES.index("sky")
MANIFEST = SimpleNamespace(map_classes=MAP_CLASSES, box_classes=BOX_CLASSES, score_threshold=0.4)
A, B, C = (4, 4, 24, 34), (40, 4, 60, 34), (80, 4, 100, 34)


def full(class_id):
    return np.full((HEIGHT, WIDTH), class_id, np.uint8)


def sample(class_map=None, boxes=None, name="f"):
    labels = None
    if boxes is not None:
        labels = BoxLabels(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.zeros(len(boxes), np.int64),
            (0, 1, 2),
            np.zeros((HEIGHT, WIDTH), np.bool_),
        )
    return Sample(name, np.full((HEIGHT, WIDTH, 3), 90, np.uint8), class_map, labels, None)


def found(*pairs):
    return Detections(
        np.array([box for box, _ in pairs], np.float32).reshape(-1, 4),
        np.array([score for _, score in pairs], np.float32),
        np.zeros(len(pairs), np.int64),
    )


def failure(labels, result):
    return measure_failure(Evaluator(MAP_CLASSES, BOX_CLASSES).update(labels, result), 0.4)


@pytest.mark.parametrize(
    ("labels", "result", "badness"),
    [
        pytest.param(sample(full(ROAD)), GraphResult(None, full(ROAD)), 0, id="all right"),
        pytest.param(sample(full(ROAD)), GraphResult(None, full(SKY)), 1, id="road missed"),
        pytest.param(sample(full(SKY)), GraphResult(None, full(SKY)), 0, id="no road to judge"),
        pytest.param(sample(full(IGNORE)), GraphResult(None, full(ROAD)), 0, id="nothing labelled"),
        pytest.param(sample(boxes=[A, B]), GraphResult(found((A, 0.5)), None), 0.5, id="a box missed"),
        pytest.param(sample(boxes=[A, B]), GraphResult(found((A, 0.3)), None), 1, id="below the threshold"),
        pytest.param(sample(boxes=[]), GraphResult(found((A, 0.9)), None), 0, id="no box to miss"),
        pytest.param(sample(full(ROAD), [A]), GraphResult(found(), full(SKY)), 2, id="both"),
    ],
)  # fmt: skip
def test_badness_is_what_the_road_lacks_and_the_share_of_missed_boxes(labels, result, badness):
    assert failure(labels, result).badness == pytest.approx(badness)


def test_the_line_of_figures_counts_boxes():
    result = GraphResult(found((A, 0.9), (C, 0.8), (B, 0.1)), full(ROAD))
    text = failure(sample(full(ROAD), [A, B]), result).text()
    assert text == ("road IoU 1.000  boxes missed 1 of 2, false alarms 1  badness 0.500")
    assert failure(sample(boxes=[A]), result).text().startswith("road IoU -  ")


def test_the_worst_come_first_and_frames_without_fault_not_at_all():
    ranking = Ranking(3)
    shares = [0.5, 0.0, 1.0, 0.25, 0.5]
    for index, badness in enumerate(shares):
        ranking.add(index, SimpleNamespace(badness=badness))
    assert [index for index, _ in ranking.frames()] == [2, 0, 4]
    none = Ranking(0)
    none.add(0, SimpleNamespace(badness=1.0))
    assert none.frames() == []


def panels(labels, result):
    """The two halves without the bar above."""
    pictures = FailurePictures(MANIFEST, 1, None)
    picture = pictures.draw(labels, result, failure(labels, result))
    bar = picture.shape[0] - HEIGHT
    assert bar > 0
    assert picture.shape[1] == 2 * WIDTH
    return picture[bar:, :WIDTH], picture[bar:, WIDTH:]


def test_every_wrong_pixel_has_the_colour_of_its_error():
    truth, predicted = full(SKY), full(SKY)
    truth[10:, :60], predicted[10:, 20:60] = ROAD, ROAD  # columns 0 to 20 are missed
    predicted[10:, 80:90] = ROAD  # invented
    truth[10:, 100:110], predicted[10:, 100:110] = VEHICLE, ROAD
    truth[10:, 110:], predicted[10:, 110:] = IGNORE, ROAD
    _, right = panels(sample(truth), GraphResult(None, predicted))
    hues = {column: right[40, column].astype(int).tolist() for column in (10, 40, 70, 85, 105, 115)}
    for column, colour in ((10, RED), (85, BLUE), (105, YELLOW)):
        mixed = 0.65 * np.array(colour) + 0.35 * 54  # 54: the grey frame, dimmed
        np.testing.assert_allclose(hues[column], mixed, atol=1.5)
    assert hues[40] == hues[70] == hues[115] == [54, 54, 54], "right, or not judged"


def test_a_road_label_set_has_errors_too():
    truth, predicted = full(map_id("not_road")), full(SKY)
    predicted[:, :60] = ROAD
    _, right = panels(sample(truth), GraphResult(None, predicted))
    assert right[40, 30, 0] > 2 * right[40, 30, 2]
    assert right[40, 90].tolist() == [54, 54, 54]


def test_every_box_has_the_colour_of_its_verdict():
    result = GraphResult(found((A, 0.9), (C, 0.8), ((40, 44, 60, 74), 0.1)), None)
    left, right = panels(sample(boxes=[A, B]), result)
    corners = {name: tuple(right[y, x].tolist()) for name, (x, y) in
               {"right": (4, 20), "missed": (40, 20), "false": (80, 20), "unsure": (40, 60)}.items()}  # fmt: skip
    grey = (54, 54, 54)
    assert corners == {"right": GREEN, "missed": RED, "false": ORANGE, "unsure": grey}
    assert left[20, 4].tolist() != [90, 90, 90], "what was found"
    assert left[60, 40].tolist() == [90, 90, 90], "below the threshold"


def test_the_file_lies_in_the_folder_of_its_set_and_reads_back(tmp_path):
    labels = sample(full(ROAD), name="train/0006 R0")
    result = GraphResult(None, full(SKY))
    pictures = FailurePictures(MANIFEST, 1, tmp_path)
    path = pictures.write("camvid:val/01", labels, result, failure(labels, result))
    assert path == tmp_path / "camvid-val" / "01-train_0006_R0.png"
    expected = pictures.draw(labels, result, failure(labels, result))
    np.testing.assert_array_equal(cv2.imread(str(path)), expected)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    labels, result = sample(full(ROAD)), GraphResult(None, full(SKY))
    pictures = FailurePictures(MANIFEST, 1, tmp_path / "file")
    with pytest.raises(OutputError, match="cannot be written"):
        pictures.write("a:b/01", labels, result, failure(labels, result))


def test_no_frames_to_draw_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1 frame, got 0"):
        FailurePictures(MANIFEST, 0, tmp_path)


@pytest.mark.parametrize(
    "one", [{"worst": 3}, {"pictures": Path("here")}], ids=["no folder", "no number"]
)
def test_number_and_folder_go_together(one):
    with pytest.raises(ConfigError, match="--worst N and --pictures DIR go together"):
        evaluate_command(**one)
