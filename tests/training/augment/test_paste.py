"""Objects of one frame in another: picture, class map and boxes tell the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from perception.core.errors import ConfigError
from perception.core.labels import ROAD, VEHICLE, map_id
from perception.datasets import BoxLabels, Sample
from perception.training.augment.paste import LEAST_PX, paste_objects
from perception.training.mixture import DataConfig

PEDESTRIAN = map_id("pedestrian")
COLOURS = {ROAD: 10, VEHICLE: 20, PEDESTRIAN: 30}


def street(name, *objects, size_wh=(64, 48), unjudged=False):
    """A road with objects: (class, class id, box); every pixel's value tells its class and the frame it is of."""
    class_map = np.full(size_wh[::-1], ROAD, np.uint8)
    for map_class, _, (left, top, right, bottom) in objects:
        class_map[top:bottom, left:right] = map_class
    image = np.zeros((*size_wh[::-1], 3), np.uint8)
    for map_class, value in COLOURS.items():
        image[class_map == map_class] = (value, ord(name), 0)
    boxes = np.array([box for *_, box in objects], np.float32).reshape(-1, 4)
    ids = np.array([class_id for _, class_id, _ in objects], np.int64)
    labels = BoxLabels(boxes, ids, (0, 1, 2), np.full(class_map.shape, unjudged))
    return Sample(name, image, class_map, labels, None)


def paste(sample, other, *, mirrored):
    """The first seed that takes all objects of the other frame, mirrored or not."""
    for seed in range(1000):
        torch.manual_seed(seed)
        pasted = paste_objects(sample, [other])
        if len(pasted.boxes.boxes_xyxy) < len(other.boxes.boxes_xyxy):
            continue
        torch.manual_seed(seed)
        torch.randint(1, (1,))
        taken, flipped = torch.rand(len(other.boxes.boxes_xyxy)) < 0.5, torch.rand(1) < 0.5
        if taken.all() and bool(flipped) == mirrored:
            return pasted
    raise AssertionError("no seed draws that")


def assert_agrees(sample):
    """Each pixel has the value of its class, each box is the hull of pixels of its class in it."""
    for map_class, value in COLOURS.items():
        assert (sample.image[sample.class_map == map_class, 0] == value).all()
    for box, class_id in zip(sample.boxes.boxes_xyxy, sample.boxes.class_ids, strict=True):
        left, top, right, bottom = box.astype(int)
        rows, columns = np.nonzero(sample.class_map == (VEHICLE, PEDESTRIAN)[class_id])
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        rows, columns = rows[inside], columns[inside]
        assert (left, top, right, bottom) == (
            columns.min(), rows.min(), columns.max() + 1, rows.max() + 1,
        )  # fmt: skip


@pytest.mark.parametrize(("mirrored", "left"), [(False, 8), (True, 64 - 14)])
def test_an_object_stands_where_it_stood_or_mirrored(mirrored, left):
    other = street("b", (PEDESTRIAN, 1, (8, 20, 14, 40)))
    pasted = paste(street("a", unjudged=True), other, mirrored=mirrored)
    assert pasted.boxes.boxes_xyxy.tolist() == [[left, 20, left + 6, 40]]
    assert pasted.boxes.class_ids.tolist() == [1]
    assert_agrees(pasted)
    of_other = pasted.image[..., 1] == ord("b")
    np.testing.assert_array_equal(of_other, pasted.class_map == PEDESTRIAN)
    np.testing.assert_array_equal(pasted.boxes.unjudged, ~of_other)


def test_what_is_hidden_in_part_has_a_smaller_box():
    sample = street("a", (VEHICLE, 0, (10, 20, 40, 40)))
    pasted = paste(sample, street("b", (PEDESTRIAN, 1, (4, 15, 20, 45))), mirrored=False)
    assert pasted.boxes.boxes_xyxy.tolist() == [[4, 15, 20, 45], [20, 20, 40, 40]]
    assert_agrees(pasted)
    assert sample.boxes.boxes_xyxy.tolist() == [[10, 20, 40, 40]], "the frame itself is as it was"


@pytest.mark.parametrize(("rows_left", "boxes"), [(2, 1), (3, 2)])
def test_what_is_hidden_has_no_box(rows_left, boxes):
    assert 2 * 5 < LEAST_PX <= 3 * 5
    sample = street("a", (PEDESTRIAN, 1, (10, 20, 15, 40)))
    other = street("b", (VEHICLE, 0, (5, 20 + rows_left, 40, 45)))
    assert len(paste(sample, other, mirrored=False).boxes.boxes_xyxy) == boxes


def test_a_box_without_pixels_of_its_class_stays():
    sample = street("a", (ROAD, 0, (10, 20, 40, 40)))
    pasted = paste(sample, street("b", (PEDESTRIAN, 1, (4, 15, 20, 45))), mirrored=False)
    assert pasted.boxes.boxes_xyxy.tolist()[1] == [10, 20, 40, 40]


def test_each_object_is_taken_at_even_chance():
    objects = [(PEDESTRIAN, 1, (4 * k, 10, 4 * k + 3, 20)) for k in range(12)]
    torch.manual_seed(0)
    taken = [len(paste_objects(street("a"), [street("b", *objects)]).boxes.boxes_xyxy) for _ in range(100)]  # fmt: skip
    assert 5 < np.mean(taken) < 7
    assert len(set(taken)) > 3


def test_frames_that_lack_a_label_have_more_or_are_of_another_size_stay_as_they_are():
    sample, other = street("a"), street("b", (PEDESTRIAN, 1, (8, 20, 14, 40)))
    mapless = Sample("m", sample.image, None, sample.boxes, None)
    boxless = Sample("n", sample.image, sample.class_map, None, None)
    outlined = replace(sample, further={"outlines": np.zeros(sample.class_map.shape, np.uint8)})
    wide = street("b", (PEDESTRIAN, 1, (8, 20, 14, 40)), size_wh=(80, 48))
    for base in (mapless, boxless, outlined):
        assert all(paste_objects(base, [other]) is base for _ in range(8))
    for drawn in (mapless, boxless, wide):
        assert all(paste_objects(sample, [drawn]) is sample for _ in range(8))


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_beyond_0_to_1_is_one_line(share):
    with pytest.raises(ConfigError, match=r"^data.pasted: expected 0 to 1, got"):
        DataConfig(pasted=share)
