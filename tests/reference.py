"""Slow and plain NumPy versions of what the graph does in closed form: one box, one pixel, one pair at a time."""

import numpy as np


def box_mask(boxes_xyxy, scores, size_wh, threshold):
    """0 inside each box of enough score and in the region above it, 1 elsewhere: ``bool[H, W]``."""
    width, height = size_wh
    mask = np.ones((height, width), np.bool_)
    for (x1, _, x2, y2), score in zip(boxes_xyxy, scores, strict=True):
        if score < threshold:
            continue
        for x in range(width):
            for y in range(height):
                if x1 <= x <= x2 and y <= y2:
                    mask[y, x] = False
    return mask


def box_evidence(boxes_xyxy, weights, size_hw, cell):
    """The sum over boxes of weight times the share of each cell that a box covers: ``float[H, W]``."""
    rows, columns = size_hw
    evidence = np.zeros((rows, columns))
    for (x1, y1, x2, y2), weight in zip(boxes_xyxy.astype(float), weights, strict=True):
        for row in range(rows):
            for column in range(columns):
                width = min(x2, (column + 1) * cell) - max(x1, column * cell)
                height = min(y2, (row + 1) * cell) - max(y1, row * cell)
                evidence[row, column] += weight * max(width, 0) * max(height, 0) / cell**2
    return evidence


def overlap(a, b):
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / area if area > 0 else 0.0


def fast_nms(boxes_xyxy, class_ids, iou):
    """Which boxes, best first, have no better box of their class that overlaps more than `iou`: ``bool[K]``."""
    keep = []
    for j, box in enumerate(boxes_xyxy):
        better = [i for i in range(j) if class_ids[i] == class_ids[j]]
        keep.append(all(overlap(boxes_xyxy[i], box) <= iou for i in better))
    return np.array(keep, np.bool_)


def class_map(logits, cell_logits, mask, road):
    """The class of each pixel: the best, or where that is road and the mask is false the best other of its cell of 8 px."""
    result = logits.argmax(axis=0).astype(np.uint8)
    for y, x in np.argwhere((result == road) & ~mask):
        ranking = cell_logits[:, y // 8, x // 8].argsort()[::-1]
        result[y, x] = next(c for c in ranking if c != road)
    return result


def decode_cell(raw, column, row, stride):
    """The box ``xyxy`` of one cell of a detection map, from its channels."""
    middle_x = (column + 0.5 + raw[0]) * stride
    middle_y = (row + 0.5 + raw[1]) * stride
    width, height = np.exp(raw[2]) * stride, np.exp(raw[3]) * stride
    return middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2
