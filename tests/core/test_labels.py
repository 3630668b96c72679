"""The label space and the mappings into it hold together."""

import numpy as np
import pytest

from perception.core.labels import (
    BOX_CLASSES,
    GROUPS,
    IGNORE,
    MAP_CLASSES,
    MAPPINGS,
    PALETTE_BGR,
    ROAD,
    VEHICLE,
    LabelMapping,
    map_id,
)

EVERY_MAPPING = pytest.mark.parametrize(
    "mapping", [pytest.param(mapping, id=name) for name, mapping in MAPPINGS.items()]
)


def test_every_box_class_is_a_map_class_too():
    assert set(BOX_CLASSES) <= set(MAP_CLASSES)


def test_class_names_are_given_once():
    assert len(set(MAP_CLASSES)) == len(MAP_CLASSES)
    assert len(set(BOX_CLASSES)) == len(BOX_CLASSES)
    assert not set(GROUPS) & set(MAP_CLASSES)


def test_named_indices_are_those_of_their_classes():
    assert MAP_CLASSES[ROAD] == "road"
    assert MAP_CLASSES[VEHICLE] == "vehicle"


def test_road_and_not_road_are_all_classes_without_overlap():
    assert sorted((ROAD, *GROUPS["not_road"])) == list(range(len(MAP_CLASSES)))


def test_classes_groups_and_ignore_have_distinct_pixel_ids():
    ids = [map_id(name) for name in (*MAP_CLASSES, *GROUPS, "ignore")]
    assert len(set(ids)) == len(ids)
    assert ids[: len(MAP_CLASSES)] == list(range(len(MAP_CLASSES)))
    assert max(ids[:-1]) < IGNORE == ids[-1]


def test_every_map_class_has_a_colour_of_its_own():
    assert PALETTE_BGR.shape == (len(MAP_CLASSES), 3)
    assert len(np.unique(PALETTE_BGR, axis=0)) == len(MAP_CLASSES)


@EVERY_MAPPING
def test_a_mapping_leads_only_to_known_names(mapping):
    assert set(mapping.pixels.values()) <= {*MAP_CLASSES, *GROUPS, "ignore"}
    assert set(mapping.boxes.values()) <= {*BOX_CLASSES, "ignore"}


@EVERY_MAPPING
def test_a_data_set_labels_pixels_or_boxes(mapping):
    assert mapping.pixels or mapping.boxes


@pytest.mark.parametrize(
    ("name", "boxed"),
    [
        pytest.param("camvid", (0, 1, 2), id="camvid boxes all"),
        pytest.param("kitti_object", (0, 1, 2), id="kitti_object boxes all"),
        pytest.param("kitti_road", (), id="kitti_road boxes nothing"),
    ],
)
def test_a_mapping_tells_which_classes_its_set_boxes(name, boxed):
    assert MAPPINGS[name].boxed_classes == boxed


def test_an_ignored_object_type_is_not_a_boxed_class():
    mapping = LabelMapping(pixels={}, boxes={"Car": "vehicle", "DontCare": "ignore"})
    assert mapping.boxed_classes == (BOX_CLASSES.index("vehicle"),)


def test_the_table_of_camvid_keeps_its_classes_and_ignores_the_rest():
    table = MAPPINGS["camvid"].pixel_table()
    assert table.dtype == np.uint8
    assert table[: len(MAP_CLASSES)].tolist() == list(range(len(MAP_CLASSES)))
    assert (table[len(MAP_CLASSES) :] == IGNORE).all()


def test_a_table_can_lead_many_ids_to_one_class_and_to_a_group():
    table = LabelMapping({0: "not_road", 7: "road", 8: "road"}, {}).pixel_table()
    assert table[[0, 7, 8, 9]].tolist() == [len(MAP_CLASSES), ROAD, ROAD, IGNORE]
