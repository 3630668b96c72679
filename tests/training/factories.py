"""Small synthetic frames with exact labels, as tensors and as a data set on disk."""

import cv2
import numpy as np
import torch

from perception.core.labels import BOX_CLASSES, ROAD, VEHICLE
from perception.training.losses.base import Batch

SIZE_WH = (96, 64)


def make_scene(rng, size_wh=SIZE_WH):
    """A grey road, a blue sky and one red vehicle: picture, class map, one box."""
    width, height = size_wh
    image = np.full((height, width, 3), (200, 120, 60), np.uint8)
    class_map = np.zeros((height, width), np.uint8)
    horizon = height // 2
    image[horizon:], class_map[horizon:] = (90, 90, 90), ROAD
    x1 = int(rng.integers(4, width - 40))
    y1, w, h = horizon - 8, int(rng.integers(20, 32)), 20
    image[y1 : y1 + h, x1 : x1 + w], class_map[y1 : y1 + h, x1 : x1 + w] = (30, 30, 220), VEHICLE
    return image, class_map, np.array([[x1, y1, x1 + w, y1 + h]], np.float32)


def make_batch(frames=2, seed=0, boxed=True):
    """A batch of `make_scene` frames."""
    rng = np.random.default_rng(seed)
    images, maps, boxes = zip(*(make_scene(rng) for _ in range(frames)), strict=True)
    stacked = torch.from_numpy(np.stack(maps))
    return Batch(
        frame=torch.from_numpy(np.stack(images)),
        class_map=stacked,
        unjudged=torch.full_like(stacked, not boxed, dtype=torch.bool),
        boxes_xyxy=tuple(torch.from_numpy(b) if boxed else torch.zeros(0, 4) for b in boxes),
        class_ids=tuple(torch.zeros(int(boxed), dtype=torch.int64) for _ in boxes),
        boxed=torch.full((frames, len(BOX_CLASSES)), boxed),
    )


def write_kitti_road(root, frames=4):
    """A KITTI road folder whose numbers fall into training (from 0) and validation (from 52)."""
    folder = root / "kitti_road" / "data_road" / "training"
    for name in ("image_2", "gt_image_2", "calib"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in (*range(frames), *range(52, 52 + frames)):
        image, class_map, _ = make_scene(rng)
        truth = np.zeros_like(image)
        truth[..., 2] = 255
        truth[class_map == ROAD, 0] = 255
        cv2.imwrite(str(folder / "image_2" / f"um_{number:06d}.png"), image)
        cv2.imwrite(str(folder / "gt_image_2" / f"um_road_{number:06d}.png"), truth)
    return root
