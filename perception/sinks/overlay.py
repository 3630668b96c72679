"""What was seen, drawn onto the frame. Pure drawing: knows nothing of files or windows."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from perception.core.labels import MAP_CLASSES, PALETTE_BGR
from perception.core.types import Scene, Truth, UInt8
from perception.sinks.birdseye import draw_birdseye

TINTED = ("road", "vehicle", "pedestrian", "cyclist")  # the rest stays as the camera saw it
TINT = 0.45  # share of the class colour in a tinted pixel
BOXES_BGR = ((255, 176, 0), (60, 76, 255), (0, 215, 255), (120, 220, 60))  # by box class, in turn
TEXT_BGR = (255, 255, 255)
BACK_BGR = (24, 24, 24)
CORNER = 0.22  # share of a true box's side that is drawn, from each corner
FONT = cv2.FONT_HERSHEY_SIMPLEX
REFERENCE_HEIGHT_PX = (
    480.0  # text and lines keep their size up to here, and grow with the frame above
)


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """Tables that turn class numbers into colours; made once a run.

    Attributes:
        box_classes: names of the box classes.
        colours: ``uint8[256, 1, 3]``, BGR of each map class.
        tinted: ``uint8[256]``, 255 where a map class is tinted.
    """

    box_classes: tuple[str, ...]
    colours: UInt8 = field(repr=False)
    tinted: UInt8 = field(repr=False)


def build_style(box_classes: tuple[str, ...], map_classes: tuple[str, ...]) -> Style:
    """The colours for an engine's classes; those that this project's palette does not know are not tinted."""
    colours = np.zeros((256, 1, 3), np.uint8)
    tinted = np.zeros(256, np.uint8)
    for index, name in enumerate(map_classes):
        if name in MAP_CLASSES:
            colours[index, 0] = PALETTE_BGR[MAP_CLASSES.index(name)]
            tinted[index] = 255 * (name in TINTED)
    return Style(box_classes, colours, tinted)


def draw_scene(scene: Scene, style: Style, caption: str = "") -> UInt8:
    """A copy of the frame with road and objects tinted, boxes with track, class and score, the outline, and a caption.

    Where the truth is known, its boxes are white corners.

    Args:
        scene: what to draw.
        style: of the engine's classes.
        caption: one line, top left.

    Returns:
        ``uint8[H, W, 3]``, BGR.
    """
    canvas = _tint(scene, style)
    scale = max(1.0, scene.frame.image.shape[0] / REFERENCE_HEIGHT_PX)
    line_px = max(1, round(1.5 * scale))
    polygons = [np.round(p - 0.5).astype(np.int32) for p in scene.road_outline]
    cv2.polylines(canvas, polygons, isClosed=True, color=TEXT_BGR, thickness=line_px)
    if scene.frame.truth is not None:
        _draw_corners(canvas, scene.frame.truth, max(1, round(scale)))
    found = scene.detections
    metres = distance_texts(scene)
    ids = [-1] * len(found) if scene.tracks is None else scene.tracks.ids.tolist()
    # the best last, so that it is on top
    for (x1, y1, x2, y2), score, class_id, track_id, metre in zip(
        found.boxes_xyxy[::-1].round().astype(int).tolist(),
        found.scores[::-1].tolist(),
        found.class_ids[::-1].tolist(),
        ids[::-1],
        metres[::-1],
        strict=True,
    ):
        colour = BOXES_BGR[class_id % len(BOXES_BGR)]
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line_px)
        number = f"#{track_id} " if track_id >= 0 else ""
        text = f"{number}{style.box_classes[class_id]} {score:.2f}{metre}"
        draw_label(canvas, text, (x1, y1), colour, 0.45 * scale)
    draw_birdseye(canvas, scene, BOXES_BGR)
    if caption:
        draw_label(canvas, caption, (0, 0), BACK_BGR, 0.5 * scale)
    return canvas


def distance_texts(scene: Scene) -> list[str]:
    """What the label of each box says of its distance: ``" 23 m"``, or nothing where none is known."""
    if scene.ground is None:
        return [""] * len(scene.detections)
    far_m = scene.ground.feet_xz_m[:, 1].tolist()
    return [
        "" if why else f" {z_m:.0f} m" for z_m, why in zip(far_m, scene.ground.unknown, strict=True)
    ]


def _tint(scene: Scene, style: Style) -> UInt8:
    image = scene.frame.image
    colours = cv2.applyColorMap(scene.class_map, style.colours)
    mixed = cv2.addWeighted(image, 1.0 - TINT, colours, TINT, 0.0)
    where = cv2.LUT(scene.class_map, style.tinted)
    return cv2.copyTo(mixed, where, image.copy())  # type: ignore[return-value]  # uint8 stays uint8


def _draw_corners(canvas: UInt8, truth: Truth, line_px: int) -> None:
    """The four corners of each true box, thin, so that a box that was found over it stays readable."""
    for x1, y1, x2, y2 in truth.boxes_xyxy.round().astype(int).tolist():
        arm_x, arm_y = (max(2, round(CORNER * size)) for size in (x2 - x1, y2 - y1))
        for x, to_x in ((x1, x1 + arm_x), (x2, x2 - arm_x)):
            for y, to_y in ((y1, y1 + arm_y), (y2, y2 - arm_y)):
                cv2.line(canvas, (x, y), (to_x, y), TEXT_BGR, line_px)
                cv2.line(canvas, (x, y), (x, to_y), TEXT_BGR, line_px)


def draw_label(
    canvas: UInt8, text: str, corner: tuple[int, int], back: tuple[int, int, int], size: float
) -> None:
    """Text on a bar above the corner, or below it where there is no room above."""
    thickness = max(1, round(size))
    (width, height), below = cv2.getTextSize(text, FONT, size, thickness)
    bar = height + below + 2
    x = max(0, min(corner[0], canvas.shape[1] - width))
    top = corner[1] - bar if corner[1] >= bar else corner[1]
    cv2.rectangle(canvas, (x, top), (x + width, top + bar), back, cv2.FILLED)
    cv2.putText(canvas, text, (x, top + height + 1), FONT, size, TEXT_BGR, thickness, cv2.LINE_AA)


class Caption:
    """The running line of an overlay: frame, age of the result, results a second."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._interval_ns: float = 0.0

    def text(self, scene: Scene, now_ns: int) -> str:
        """The line for this scene, at `now_ns` of `time.monotonic_ns`."""
        if self._last_ns is not None:
            interval_ns = now_ns - self._last_ns
            # a running mean over about ten results
            self._interval_ns += (interval_ns - self._interval_ns) * (
                0.1 if self._interval_ns else 1.0
            )
        self._last_ns = now_ns
        fps = f"{1e9 / self._interval_ns:.1f} fps" if self._interval_ns else "- fps"
        age_ms = (now_ns - scene.frame.captured_ns) / 1e6
        line = f"frame {scene.frame.frame_id}  age {age_ms:.0f} ms  {fps}"
        if scene.ground is not None and (free := scene.ground.free) is not None:
            line += f"  free {free.free_m:.0f} m"
        if scene.map_seen is None:
            return line
        return f"{line}  map {(now_ns - scene.map_seen.captured_ns) / 1e6:.0f} ms"
