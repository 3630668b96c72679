"""The label space of the shipped model, and each data set's mapping into it. The only place that knows class numbers.

A pixel label is a *set* of classes: one class, a group ("not road" is ten classes), or nothing (ignore). In a uint8 map a class
is its index, a group is ``len(MAP_CLASSES) + index in GROUPS``, and ignore is 255. Groups train the summed probability.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perception.core.types import UInt8

MAP_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "vehicle", "pedestrian", "cyclist",
)  # fmt: skip
BOX_CLASSES = ("vehicle", "pedestrian", "cyclist")
ROAD = MAP_CLASSES.index("road")
VEHICLE = MAP_CLASSES.index("vehicle")
IGNORE = 255

# name -> members; the target id of a group follows the classes, in this order
GROUPS: Mapping[str, tuple[int, ...]] = {
    "not_road": tuple(i for i in range(len(MAP_CLASSES)) if i != ROAD),
    **{
        "_or_".join(names): tuple(map(MAP_CLASSES.index, names))
        for names in (
            ("pavement", "tree"),
            ("pedestrian", "cyclist"),
            ("vehicle", "cyclist"),
            ("building", "pole", "pavement", "sign", "fence"),
            ("building", "tree"),
        )
    },
}

# the palette of overlays and of exported colour maps: BGR, one row a map class
PALETTE_BGR: UInt8 = np.array(
    [
        (180, 130, 70), (70, 70, 70), (153, 153, 153), (128, 64, 128), (232, 35, 244), (35, 142, 107),
        (0, 220, 220), (153, 153, 190), (142, 0, 0), (60, 20, 220), (32, 11, 119),
    ],
    np.uint8,
)  # fmt: skip


def map_id(name: str) -> int:
    """The pixel id of a class, of a group, or of ``"ignore"``."""
    if name == "ignore":
        return IGNORE
    if name in GROUPS:
        return len(MAP_CLASSES) + tuple(GROUPS).index(name)
    return MAP_CLASSES.index(name)


def has_groups(class_map: UInt8) -> bool:
    """Whether any pixel of a map is labelled with a group."""
    first = len(MAP_CLASSES)
    return bool(((class_map >= first) & (class_map < first + len(GROUPS))).any())


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """How one data set's labels read in this label space.

    Attributes:
        pixels: the set's pixel id or name -> class, group or ``"ignore"``; empty where it labels no pixels.
        boxes: the set's object type -> box class or ``"ignore"``; empty where it boxes nothing.
    """

    pixels: Mapping[int | str, str]
    boxes: Mapping[int | str, str]

    @property
    def boxed_classes(self) -> tuple[int, ...]:
        """Ids of the box classes that this set boxes: only these train and score detection."""
        names = set(self.boxes.values())
        return tuple(i for i, name in enumerate(BOX_CLASSES) if name in names)

    def pixel_table(self) -> UInt8:
        """``uint8[256]`` from the set's integer pixel ids to ids of this label space; unknown ids are ignored."""
        table = np.full(256, IGNORE, np.uint8)
        for raw, name in self.pixels.items():
            table[int(raw)] = map_id(name)
        return table


KITTI_BOXES: Mapping[int | str, str] = {
    **dict.fromkeys(("Car", "Van", "Truck", "Tram"), "vehicle"),
    **dict.fromkeys(("Pedestrian", "Person_sitting", "Person"), "pedestrian"),
    "Cyclist": "cyclist",
    **dict.fromkeys(("Misc", "DontCare"), "ignore"),
}
# labelIds of Cityscapes; those that are not here, 255 for one, are ignored too
CITYSCAPES_PIXELS: Mapping[int | str, str] = {
    7: "road", 8: "pavement", 11: "building", 12: "building", 13: "fence", 14: "fence", 15: "building", 16: "building",
    17: "pole", 18: "pole", 19: "sign", 20: "sign", 21: "tree", 22: "tree", 23: "sky", 24: "pedestrian", 25: "cyclist",
    26: "vehicle", 27: "vehicle", 28: "vehicle", 29: "vehicle", 30: "vehicle", 31: "vehicle", 33: "cyclist",
    **dict.fromkeys((*range(7), 9, 10, 32), "ignore"),
}  # fmt: skip
STREET_BOXES: Mapping[int | str, str] = {
    **dict.fromkeys(("car", "truck", "bus", "train", "caravan", "trailer"), "vehicle"),
    **dict.fromkeys(("person", "pedestrian"), "pedestrian"),
    **dict.fromkeys(("rider", "cyclist"), "cyclist"),
    **dict.fromkeys(("bicycle", "bike", "motorcycle", "motor", "motorcyclist"), "ignore"),
    **dict.fromkeys(("other vehicle", "other person"), "ignore"),
}

MAPPINGS: Mapping[str, LabelMapping] = {
    "camvid": LabelMapping(
        pixels={**dict(enumerate(MAP_CLASSES)), 11: "ignore"},
        boxes={1: "vehicle", 2: "pedestrian", 3: "cyclist"},
    ),
    "kitti_road": LabelMapping(
        pixels={"road": "road", "not_road": "not_road", "not_scored": "ignore"},
        boxes={},
    ),
    "kitti_object": LabelMapping(pixels={}, boxes=KITTI_BOXES),
    "kitti_tracking": LabelMapping(pixels={}, boxes=KITTI_BOXES),
    # As in CamVid's 11 classes, a wall counts as building, grass as tree and a traffic light as sign, and a cyclist includes the bicycle.
    # Two-wheelers are boxed together with who rides them (`perception.datasets.cityscapes.join_riders`); without a rider they are not judged.
    "cityscapes": LabelMapping(pixels=CITYSCAPES_PIXELS, boxes=STREET_BOXES),
    # Frames with boxes have the det_20 names or the older ones, frames with class maps Cityscapes' classes.
    "bdd100k": LabelMapping(pixels=CITYSCAPES_PIXELS, boxes=STREET_BOXES),
    # Seven classes, each made of several of the full set's: what is drivable includes parking, 4 includes kerbs, 6 what is behind all.
    "idd_lite": LabelMapping(
        pixels={
            0: "road", 1: "pavement_or_tree", 2: "pedestrian_or_cyclist", 3: "vehicle_or_cyclist",
            4: "building_or_pole_or_pavement_or_sign_or_fence", 5: "building_or_tree", 6: "sky", 255: "ignore",
        },
        boxes={},
    ),
    # by the beginning of the category; the longest one counts
    "nuscenes": LabelMapping(
        pixels={},
        boxes={
            "vehicle": "vehicle", "vehicle.motorcycle": "ignore", "vehicle.bicycle": "cyclist",
            "human.pedestrian": "pedestrian", "human.pedestrian.personal_mobility": "ignore",
            "human.pedestrian.stroller": "ignore", "human.pedestrian.wheelchair": "ignore",
            "static_object.bicycle_rack": "ignore",
        },
    ),
    "synthetic": LabelMapping(
        pixels=CITYSCAPES_PIXELS,
        boxes={
            "car": "vehicle", "truck": "vehicle", "bus": "vehicle", "person": "pedestrian", "cyclist": "cyclist",
        },
    ),
}  # fmt: skip

# what is painted on the road; a crossing is also a stop line
LANE_CLASSES = ("none", "line", "crossing")
KEY_POINTS = (
    "head", "neck", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
KINDS = ("sedan", "hatchback", "suv", "van", "truck", "bus", "jacket", "shirt", "coat")
COLOURS = (
    "white", "silver", "grey", "black", "blue", "navy", "red", "brown", "beige", "green", "yellow", "pink",
)  # fmt: skip
WEATHERS = ("dry", "rain", "fog")
LIGHTS = ("day", "low sun", "dusk", "night")
PLACES = ("town", "country")


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherLabel:
    """What the boxes and the class map do not tell of a frame.

    Attributes:
        of: what has one: each ``pixel`` (an array ``[H, W]``), each ``box`` (``[K]``, in the order of the boxes), each ``box`` as
            ``points`` (``[K, P, 3]``: x and y in px, and 1 where seen, else 0), or the whole ``frame`` (``[]``).
        dtype: of the array.
        unknown: stands where a part of a labelled frame is not labelled.
        names: of the values from 0 on, or of the points; empty for quantities and identities.
    """

    of: Literal["pixel", "box", "points", "frame"]
    dtype: type[np.generic]
    unknown: float
    names: tuple[str, ...] = ()

    def shape(self, frame_hw: tuple[int, ...], boxes: int) -> tuple[int, ...]:
        """Of the array, for a frame of height and width and so many boxes."""
        shapes: dict[str, tuple[int, ...]] = {
            "pixel": frame_hw,
            "box": (boxes,),
            "points": (boxes, len(self.names), 3),
            "frame": (),
        }
        return shapes[self.of]


# What heads beyond the cascade's learn from. A data set gives what it has and what is asked for (`Dataset.further`).
FURTHER_LABELS: Mapping[str, FurtherLabel] = {
    "depth_m": FurtherLabel(of="pixel", dtype=np.float32, unknown=np.nan),  # along the optical axis
    "lidar_m": FurtherLabel(
        of="pixel", dtype=np.float32, unknown=np.nan
    ),  # the same, where a scanner measured it
    "lanes": FurtherLabel(of="pixel", dtype=np.uint8, unknown=IGNORE, names=LANE_CLASSES),
    # of a set of which a part is shown (`perception.training.extend.shown`): a class map whose borders alone are to be learnt,
    # and 1 where a pixel holds none of the classes that are shown
    "outlines": FurtherLabel(of="pixel", dtype=np.uint8, unknown=IGNORE),
    "absent": FurtherLabel(of="pixel", dtype=np.uint8, unknown=IGNORE),
    # number of the object that the pixel belongs to; 0 for none that has a box
    "instances": FurtherLabel(of="pixel", dtype=np.int32, unknown=-1),
    "instance": FurtherLabel(of="box", dtype=np.int64, unknown=-1),  # its number in `instances`
    "identity": FurtherLabel(
        of="box", dtype=np.int64, unknown=-1
    ),  # the same in all frames of a set
    "kind": FurtherLabel(of="box", dtype=np.int64, unknown=-1, names=KINDS),
    "colour": FurtherLabel(of="box", dtype=np.int64, unknown=-1, names=COLOURS),
    "key_points": FurtherLabel(of="points", dtype=np.float32, unknown=np.nan, names=KEY_POINTS),
    "weather": FurtherLabel(of="frame", dtype=np.int64, unknown=-1, names=WEATHERS),
    "light": FurtherLabel(of="frame", dtype=np.int64, unknown=-1, names=LIGHTS),
    "place": FurtherLabel(of="frame", dtype=np.int64, unknown=-1, names=PLACES),
}


def name_index(names: tuple[str, ...], word: str) -> int:
    """Place of a word in `names`; -1, unknown, for one that is not there."""
    return names.index(word) if word in names else -1
