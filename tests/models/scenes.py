"""A few small frames on which every task has labels, made so that what is asked for can be seen in them."""

import numpy as np
import torch

from perception.core.camera import Camera
from perception.core.labels import (
    BOX_CLASSES,
    KEY_POINTS,
    LANE_CLASSES,
    MAP_CLASSES,
    ROAD,
)
from perception.datasets import BoxLabels, Sample
from perception.training.data import collate

SIZE_WH = (128, 96)
# identity, class, blue-green-red, kind, colour
WHO = ((1, "vehicle", (40, 40, 220), 0, 6), (2, "pedestrian", (220, 60, 40), 7, 4))
CAMERA = Camera(width_px=SIZE_WH[0], height_px=SIZE_WH[1], fx_px=100.0, fy_px=100.0, cx_px=64.0, cy_px=48.0)  # fmt: skip


def make_sample(index):
    """Frame `index`: sky above, road below, a lane line, two objects; every other frame is dark."""
    width, height = SIZE_WH
    dark = index % 2
    image = np.full((height, width, 3), 40 if dark else 180, np.uint8)
    class_map = np.zeros((height, width), np.uint8)
    image[48:] //= 2
    class_map[48:] = ROAD
    lanes = np.zeros((height, width), np.uint8)
    lanes[56:, 60:66] = LANE_CLASSES.index("line")
    image[lanes > 0] = 255
    rows = np.arange(height, dtype=np.float32)
    depth = np.repeat(
        np.where(rows > 48, 400 / np.maximum(rows - 46, 1), np.nan)[:, None], width, 1
    )
    instances = np.zeros((height, width), np.int32)
    boxes, points = [], []
    for identity, name, colour, _, _ in WHO:
        x1 = (8 + 6 * index) if name == "vehicle" else 104 - 6 * index
        x2, y1, y2 = x1 + (32 if name == "vehicle" else 14), 36, 76
        inside = (slice(y1, y2), slice(x1, x2))
        image[inside] = np.array(colour) // (2 if dark else 1)
        class_map[inside] = MAP_CLASSES.index(name)
        instances[inside], lanes[inside], depth[inside] = identity, 0, 400 / 30
        boxes.append((x1, y1, x2, y2))
        places = np.full((len(KEY_POINTS), 3), np.nan, np.float32)
        if name == "pedestrian":
            share = np.arange(len(KEY_POINTS)) / len(KEY_POINTS)
            places = np.stack((x1 + 7 + 4 * np.cos(9 * share), y1 + 40 * share, share < 0.8), 1)
        points.append(places.astype(np.float32))
    objects = BoxLabels(
        np.array(boxes, np.float32),
        np.array([BOX_CLASSES.index(name) for _, name, *_ in WHO], np.int64),
        tuple(range(len(BOX_CLASSES))),
        np.zeros((height, width), np.bool_),
    )
    identities = np.array([who[0] for who in WHO], np.int64)
    further = {
        "depth_m": depth.astype(np.float32),
        "lanes": lanes,
        "instances": instances,
        "instance": identities,
        "identity": identities,
        "kind": np.array([who[3] for who in WHO], np.int64),
        "colour": np.array([who[4] for who in WHO], np.int64),
        "key_points": np.stack(points),
        "weather": np.array(-1, np.int64),
        "light": np.array(3 if dark else 0, np.int64),
        "place": np.array(0, np.int64),
    }
    return Sample(f"scene/{index}", image, class_map, objects, CAMERA, further)


def make_batch(samples):
    """The samples as they are, without augmentation."""
    return collate([_item(sample) for sample in samples])


def _item(sample):
    return {
        "frame": torch.from_numpy(sample.image),
        "class_map": torch.from_numpy(sample.class_map),
        "unjudged": torch.from_numpy(sample.boxes.unjudged),
        "boxes_xyxy": torch.from_numpy(sample.boxes.boxes_xyxy),
        "class_ids": torch.from_numpy(sample.boxes.class_ids),
        "boxed": torch.ones(len(BOX_CLASSES), dtype=torch.bool),
        "focal_px": torch.tensor(sample.camera.fx_px),
        "further": {name: torch.tensor(array) for name, array in sample.further.items()},
    }
