"""What a data set's labels say, drawn over its frames and counted: whether it is read as it was meant; and what a network says."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.core.files import safe_name, write_atomically
from perception.core.labels import (
    BOX_CLASSES,
    FURTHER_LABELS,
    GROUPS,
    IGNORE,
    KEY_POINTS,
    LANE_CLASSES,
    MAP_CLASSES,
    PALETTE_BGR,
)
from perception.core.types import Bool, Float32, UInt8
from perception.datasets import BoxLabels, Sample
from perception.runtime.evaluation.frames import DataSplits, open_datasets, spread
from perception.sinks.overlay import BACK_BGR, BOXES_BGR, REFERENCE_HEIGHT_PX, TEXT_BGR, draw_label

if TYPE_CHECKING:  # scoring wants pycocotools, which looking does without
    from perception.metrics.evaluator import GraphResult

Further = Mapping[str, NDArray[Any]]
Network = Callable[[Sample], "GraphResult"]
TINT = 0.55  # share of a class's colour in a pixel
UNLABELLED_BGR = (0, 0, 0)
SHOWN_SCORE = 0.4
FAR_M = 60.0  # depth of the last colour
SPARSE = 0.2  # share of pixels below which points are drawn larger
DOT: UInt8 = np.ones((3, 3), np.uint8)  # a point of a scan
HATCH_PX = 8  # distance of the lines over what is not judged


def look(
    datasets: DataSplits, frames: int, folder: Path, network: Network | None = None
) -> dict[str, Any]:
    """Draw some frames of each set with all of their labels, and count these.

    Args:
        datasets: name and split of each set.
        frames: of each set, spread evenly over it.
        folder: gets a folder for each set, with a PNG for each frame: the labels over the frame, and beside it a panel for each map of
            `FURTHER_LABELS` that the set has.
        network: what it says of a frame is drawn below.

    Returns:
        The closing JSON object: for each ``"SET:SPLIT"`` its number of frames, and of those that were drawn the boxes by class, the
        share of pixels by class, group and ignore, and how many have each further label.

    Raises:
        ConfigError: no set was named, one that does not exist, or fewer than one frame.
        InputError: a file is missing or damaged.
        OutputError: a picture cannot be written.
    """
    found: dict[str, Any] = {}
    for key, dataset in open_datasets(datasets).items():
        dataset.further = frozenset(FURTHER_LABELS)
        samples = Counter[str]()
        boxes, pixels, further = Counter[str](), Counter[str](), Counter[str]()
        for index in spread(len(dataset), frames):
            sample = dataset[index]
            samples["drawn"] += 1
            if sample.boxes is not None:
                boxes.update(BOX_CLASSES[i] for i in sample.boxes.class_ids)
            pixels.update(_pixel_names(sample))
            further.update(sample.further.keys())
            picture = draw_labels(sample)
            if network is not None:
                picture = _stack([picture, draw_result(sample, network(sample))])
            data = cv2.imencode(".png", picture)[1].tobytes()
            # the place in front: names that differ in what a file's name cannot hold stay apart
            path = folder / safe_name(key) / f"{index:06d}-{safe_name(sample.name)}.png"
            write_atomically(path, data)
        labelled = sum(pixels.values())
        found[key] = {
            "frames": len(dataset),
            **samples,
            "boxes": dict(boxes.most_common()),
            "pixel_shares": {name: round(n / labelled, 5) for name, n in pixels.most_common()},
            "further": dict(sorted(further.items())),
        }
    return {"out": str(folder), "sets": found}


def _pixel_names(sample: Sample) -> dict[str, int]:
    if sample.class_map is None:
        return {}
    names = {**dict(enumerate((*MAP_CLASSES, *GROUPS))), IGNORE: "ignore"}
    ids, counts = np.unique(sample.class_map, return_counts=True)
    return {names[i]: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True)}


def draw_labels(sample: Sample) -> UInt8:
    """``uint8[H, W * panels, 3]``, BGR: frame with classes, boxes, key points and words of the frame; then a panel for each further map.

    A group has the mixed colour of its classes, ignored pixels are black, what is not judged for boxes is hatched.
    """
    canvas = sample.image.copy()
    if sample.class_map is not None:
        colours = _colours()[sample.class_map]
        canvas = cv2.addWeighted(canvas, 1 - TINT, colours, TINT, 0.0).astype(np.uint8)
    scale = max(1.0, canvas.shape[0] / REFERENCE_HEIGHT_PX)
    if sample.boxes is not None:
        _hatch(canvas, sample.boxes.unjudged)
        _draw_boxes(canvas, sample.boxes, sample.further, scale)
    words = [
        f"{name} {FURTHER_LABELS[name].names[int(value)]}"
        for name, value in sample.further.items()
        if FURTHER_LABELS[name].of == "frame" and value >= 0
    ]
    draw_label(canvas, "  ".join([sample.name, *words]), (0, 0), BACK_BGR, 0.5 * scale)
    return np.hstack([canvas, *_panels(sample, scale)])


def draw_result(sample: Sample, result: "GraphResult") -> UInt8:
    """The same of what a network says of a frame: boxes of score `SHOWN_SCORE` and more, and a panel for each further output with a place.

    Outputs that are quantities are drawn from their least value, blue, to their largest, red.
    """
    further = dict(result.further)
    kept = np.zeros(0, np.int64)
    boxes = None
    if result.detections is not None:
        kept = np.flatnonzero(result.detections.scores >= SHOWN_SCORE)
        boxes = BoxLabels(
            boxes_xyxy=result.detections.boxes_xyxy[kept],
            class_ids=result.detections.class_ids[kept],
            boxed_classes=tuple(range(len(BOX_CLASSES))),
            unjudged=np.zeros(sample.image.shape[:2], np.bool_),
        )
    answers = {
        name: np.array(further[name].argmax(), np.int64)
        for name in further.keys() & FURTHER_LABELS.keys()
        if FURTHER_LABELS[name].of == "frame"
    }
    if "key_points" in further:
        points = further["key_points"][kept].copy()
        points[..., 2] = points[..., 2] >= SHOWN_SCORE
        if boxes is not None:
            points[boxes.class_ids == BOX_CLASSES.index("vehicle")] = np.nan  # nobody taught them
        answers["key_points"] = points
    said = Sample(sample.name, sample.image, result.class_map, boxes, sample.camera, answers)
    maps = {n: a for n, a in sorted(further.items()) if a.shape == sample.image.shape[:2]}
    scale = max(1.0, sample.image.shape[0] / REFERENCE_HEIGHT_PX)
    panels = []
    for name, array in maps.items():
        kind = "lanes" if name == "lane_map" else name
        if np.issubdtype(array.dtype, np.floating):
            low, high = float(array.min()), float(array.max())
            level = (255 * (array - low) / max(high - low, 1e-9)).astype(np.uint8)
            panel = np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), np.uint8)
        else:
            panel = _draw_map(kind, array, sample.image)
        draw_label(panel, name, (0, 0), BACK_BGR, 0.5 * scale)
        panels.append(panel)
    return np.hstack([draw_labels(said), *panels])


def _stack(rows: Sequence[UInt8]) -> UInt8:
    """One above the other, black to the right of the shorter ones."""
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _colours() -> UInt8:
    """``uint8[256, 3]``: of every id of a class map."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(MAP_CLASSES)] = PALETTE_BGR
    for group, members in enumerate(GROUPS.values(), start=len(MAP_CLASSES)):
        table[group] = PALETTE_BGR[list(members)].mean(axis=0)
    table[IGNORE] = UNLABELLED_BGR
    return table


def _hatch(canvas: UInt8, where: Bool) -> None:
    rows, columns = np.nonzero(where)
    on_line = (rows + columns) % HATCH_PX == 0
    canvas[rows[on_line], columns[on_line]] = TEXT_BGR


def _draw_boxes(canvas: UInt8, boxes: BoxLabels, further: Further, scale: float) -> None:
    line_px = max(1, round(1.5 * scale))
    for (x1, y1, x2, y2), class_id, text in zip(
        boxes.boxes_xyxy.round().astype(int).tolist(),
        boxes.class_ids.tolist(),
        _box_texts(boxes, further),
        strict=True,
    ):
        cv2.rectangle(canvas, (x1, y1), (x2, y2), BOXES_BGR[class_id], line_px)
        draw_label(canvas, text, (x1, y1), BOXES_BGR[class_id], 0.4 * scale)
    for points in further.get("key_points", np.zeros((0, len(KEY_POINTS), 3), np.float32)):
        for x, y, seen in points[np.isfinite(points).all(axis=1)].tolist():
            centre = (round(x - 0.5), round(y - 0.5))
            cv2.circle(canvas, centre, line_px, TEXT_BGR if seen else BACK_BGR, cv2.FILLED)


def _box_texts(boxes: BoxLabels, further: Further) -> list[str]:
    """Class of each box, its distance, and what else is known of it."""
    texts = [BOX_CLASSES[i] for i in boxes.class_ids]
    if boxes.distances_m is not None:
        texts = [
            f"{text} {metres:.0f} m" for text, metres in zip(texts, boxes.distances_m, strict=True)
        ]
    for name, values in further.items():
        label = FURTHER_LABELS[name]
        if label.of == "box" and name != "instance":
            shown = [_word(label.names, int(value)) for value in values]
            texts = [f"{text} {word}" for text, word in zip(texts, shown, strict=True)]
    return texts


def _word(names: tuple[str, ...], value: int) -> str:
    if value < 0:
        return ""
    return names[value] if names else f"#{value}"


def _panels(sample: Sample, scale: float) -> list[UInt8]:
    drawn = {
        name: _draw_map(name, array, sample.image)
        for name, array in sorted(sample.further.items())
        if FURTHER_LABELS[name].of == "pixel"
    }
    for name, panel in drawn.items():
        draw_label(panel, name, (0, 0), BACK_BGR, 0.5 * scale)
    return list(drawn.values())


def _draw_map(name: str, array: NDArray[Any], image: UInt8) -> UInt8:
    if np.issubdtype(array.dtype, np.floating):
        return _draw_depth(array, image)
    if name == "lanes":
        colours: Mapping[int, tuple[int, int, int]] = {
            LANE_CLASSES.index("line"): (0, 255, 255),
            LANE_CLASSES.index("crossing"): (255, 255, 0),
            IGNORE: UNLABELLED_BGR,
        }
        canvas = image // 2
        for value, colour in colours.items():
            canvas[array == value] = colour
        return canvas
    # numbers: neighbours differ, whatever they are
    shuffled = (array.astype(np.int64) * 2654435761 >> 8) & 0xFF
    canvas = np.asarray(cv2.applyColorMap(shuffled.astype(np.uint8), cv2.COLORMAP_HSV), np.uint8)
    canvas[array == 0] = image[array == 0] // 2
    canvas[array < 0] = UNLABELLED_BGR
    return canvas


def _draw_depth(depth_m: Float32, image: UInt8) -> UInt8:
    """Near is red; points of a scan are drawn larger than a pixel."""
    known = np.isfinite(depth_m)
    level = np.where(known, 255 * (1 - np.clip(depth_m, 0, FAR_M) / FAR_M), 0).astype(np.uint8)
    if known.mean() < SPARSE:
        level = np.asarray(cv2.dilate(level, DOT), np.uint8)
        known = np.asarray(cv2.dilate(known.astype(np.uint8), DOT)) > 0
    colours = np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), np.uint8)
    return np.where(known[..., None], colours, image // 2)
