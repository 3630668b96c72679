"""The contact sheet: scenes of all kinds with their labels, on one picture. Drawing only; nothing is decided here."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from perception.core.errors import OutputError
from perception.core.files import write_atomically
from perception.core.types import Float32, UInt8
from perception.render.config import DriveConfig
from perception.render.pool import RENDERER, load_renderer
from perception.render.presets import sheet_drives
from perception.render.records import CityId, FrameLabels, ObjectLabel, RenderedFrame

Scenes = Sequence[tuple[str, DriveConfig, float]]  # caption, drive, where in it as a share

COLUMNS = 3
PANEL_WIDTH = 416
GAP = 6
MAX_BYTES = 400_000
QUALITIES = range(92, 40, -4)  # of JPEG, until it fits
NEAR_M, FAR_M = 3.0, 150.0  # ends of the colours of the depth
TEXT_BGR, BACK_BGR = (255, 255, 255), (24, 24, 24)
SEEN_BGR, HIDDEN_BGR = (255, 255, 255), (90, 90, 90)
FONT = cv2.FONT_HERSHEY_SIMPLEX

# the usual colours of Cityscapes, BGR
CLASS_BGR = {
    CityId.ROAD: (128, 64, 128), CityId.SIDEWALK: (232, 35, 244), CityId.BUILDING: (70, 70, 70),
    CityId.FENCE: (153, 153, 190), CityId.POLE: (153, 153, 153), CityId.TRAFFIC_LIGHT: (30, 170, 250),
    CityId.TRAFFIC_SIGN: (0, 220, 220), CityId.VEGETATION: (35, 142, 107), CityId.TERRAIN: (152, 251, 152),
    CityId.SKY: (180, 130, 70), CityId.PERSON: (60, 20, 220), CityId.RIDER: (0, 0, 255), CityId.CAR: (142, 0, 0),
    CityId.TRUCK: (70, 0, 0), CityId.BUS: (100, 60, 0), CityId.MOTORCYCLE: (230, 0, 0), CityId.BICYCLE: (32, 11, 119),
}  # fmt: skip
MARKING_BGR = (235, 235, 235)
BONES = (
    (0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (2, 8), (3, 9), (8, 9), (8, 10), (9, 11), (10, 12), (11, 13),
)  # fmt: skip


def write_sheet(
    path: Path,
    scenes: Scenes | None = None,
    *,
    renderer: str = RENDERER,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Render the scenes and write the sheet as a JPEG of less than `MAX_BYTES`.

    Args:
        path: of the JPEG; it is replaced.
        scenes: `perception.render.presets.sheet_drives`, if not others.
        renderer: ``module:class`` of what makes the frames.
        progress: called with scenes done and scenes in all.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: it cannot be written, or does not fit.
    """
    shown = sheet_drives() if scenes is None else scenes
    make = load_renderer(renderer)
    panels = []
    for number, (caption, config, share) in enumerate(shown):
        frame = make(config).render(min(config.frames - 1, int(share * config.frames)))
        panels.append(draw_panel(frame, caption))
        if progress:
            progress(number + 1, len(shown))
    sheet = _arrange(panels)
    for quality in QUALITIES:
        _, coded = cv2.imencode(".jpg", sheet, (cv2.IMWRITE_JPEG_QUALITY, quality))
        if coded.size < MAX_BYTES:
            write_atomically(path, coded.tobytes())
            return int(coded.size)
    raise OutputError(f"{path}: does not fit into {MAX_BYTES} bytes; show fewer scenes")


def draw_panel(frame: RenderedFrame, caption: str) -> UInt8:
    """Picture; classes, boxes and key points; depth: below each other, `PANEL_WIDTH` wide."""
    height, width = frame.image.shape[:2]
    size_wh = (PANEL_WIDTH, round(height * PANEL_WIDTH / width))
    picture = _resized(frame.image, size_wh, cv2.INTER_AREA)
    (text_width, text_height), below = cv2.getTextSize(caption, FONT, 0.42, 1)
    cv2.rectangle(picture, (0, 0), (text_width + 6, text_height + below + 3), BACK_BGR, cv2.FILLED)
    cv2.putText(picture, caption, (3, text_height + 2), FONT, 0.42, TEXT_BGR, 1, cv2.LINE_AA)
    classes = _resized(class_colours(frame.labels), size_wh, cv2.INTER_AREA)
    for label in reversed(frame.labels.objects):  # the nearest last
        _draw_object(classes, label, PANEL_WIDTH / width)
    depth = _resized(depth_colours(frame.labels.depth_m), size_wh, cv2.INTER_AREA)
    return np.concatenate((picture, classes, depth))


def class_colours(labels: FrameLabels) -> UInt8:
    """``uint8[H, W, 3]``, BGR: each class in its colour, road markings white."""
    table = np.zeros((256, 3), np.uint8)
    for city_id, colour in CLASS_BGR.items():
        table[city_id] = colour
    colours: UInt8 = table[labels.class_ids]
    colours[labels.lanes > 0] = MARKING_BGR
    return colours


def depth_colours(depth_m: Float32) -> UInt8:
    """``uint8[H, W, 3]``, BGR: near is red, far is blue, evenly by the logarithm; the sky is black."""
    reach = np.log(np.clip(depth_m, NEAR_M, FAR_M) / np.float32(NEAR_M))
    near = 255 * (1 - reach / np.log(FAR_M / NEAR_M))
    colours = np.asarray(cv2.applyColorMap(near.astype(np.uint8), cv2.COLORMAP_TURBO), np.uint8)
    colours[depth_m <= 0] = 0
    return colours


def _draw_object(canvas: UInt8, label: ObjectLabel, scale: float) -> None:
    x1, y1, x2, y2 = (round(v * scale) for v in label.box_xyxy)
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), TEXT_BGR, 1)
    if label.key_points is None or (y2 - y1) < 12:
        return  # too small for bones to be told apart
    points = np.round(label.key_points[:, :2] * scale).astype(int).tolist()
    seen = label.key_points[:, 2] > 0
    for a, b in BONES:
        colour = SEEN_BGR if seen[a] and seen[b] else HIDDEN_BGR
        cv2.line(canvas, tuple(points[a]), tuple(points[b]), colour, 1, cv2.LINE_AA)


def _resized(image: UInt8, size_wh: tuple[int, int], how: int) -> UInt8:
    return np.asarray(cv2.resize(image, size_wh, interpolation=how), np.uint8)


def _arrange(panels: Sequence[UInt8]) -> UInt8:
    height, width = panels[0].shape[:2]
    rows = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    canvas = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for k, panel in enumerate(panels):
        y, x = k // COLUMNS * (height + GAP), k % COLUMNS * (width + GAP)
        canvas[y : y + height, x : x + width] = panel
    return canvas
