"""Frames of labelled and found boxes, and their figures."""

from types import SimpleNamespace

import numpy as np

from perception.core.labels import BOX_CLASSES
from perception.core.types import Detections
from perception.metrics.detection import BoxScores

VEHICLE, PEDESTRIAN, CYCLIST = range(3)
A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)  # apart from one another
WIDTH, HEIGHT = 80, 40


def labelled(*pairs, boxed=(VEHICLE, PEDESTRIAN, CYCLIST), unjudged=None, distances_m=None):
    region = np.zeros((HEIGHT, WIDTH), np.bool_) if unjudged is None else unjudged
    return SimpleNamespace(
        boxes_xyxy=np.array([box for box, _ in pairs], np.float32).reshape(-1, 4),
        class_ids=np.array([class_id for _, class_id in pairs], np.int64),
        boxed_classes=boxed,
        unjudged=region,
        distances_m=None if distances_m is None else np.array(distances_m, np.float32),
    )


def found(*triples):
    best_first = sorted(triples, key=lambda triple: -triple[2])
    return Detections(
        np.array([box for box, _, _ in best_first], np.float32).reshape(-1, 4),
        np.array([score for _, _, score in best_first], np.float32),
        np.array([class_id for _, class_id, _ in best_first], np.int64),
    )


def scored(*frames, box_classes=BOX_CLASSES, score_threshold=0.4):
    scores = BoxScores(box_classes, score_threshold)
    for labels, detections in frames:
        scores.add(labels, detections)
    return scores.figures()
