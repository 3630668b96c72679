"""The frames where an engine fails worst, as pictures: what it saw, and beside it what is wrong with that."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from perception.core.errors import ConfigError, OutputError
from perception.core.files import safe_name
from perception.core.labels import ROAD, VEHICLE
from perception.core.manifest import EngineManifest
from perception.core.types import Bool, Detections, Float32, Frame, Scene, UInt8
from perception.datasets import Sample
from perception.metrics.evaluator import FrameScore, GraphResult
from perception.metrics.matches import RIGHT, WRONG
from perception.metrics.segmentation import Confusion, label_space_table, road_truth
from perception.sinks.overlay import (
    BACK_BGR,
    FONT,
    REFERENCE_HEIGHT_PX,
    TEXT_BGR,
    build_style,
    draw_scene,
)
from perception.stages.drivable import road_outline

RED, BLUE, YELLOW = (40, 40, 230), (230, 110, 30), (0, 230, 255)  # BGR
ORANGE, GREEN = (0, 140, 255), (60, 200, 60)
LEGEND = (
    ("road missed", RED),
    ("road invented", BLUE),
    ("vehicle called road", YELLOW),
    ("| boxes: missed", RED),
    ("false alarm", ORANGE),
    ("right", GREEN),
)
NO_CLASS = 255  # of a class map: nothing is tinted
DIM = 0.6  # brightness of the frame under the errors
TINT = 0.65  # share of the error's colour in a wrong pixel


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """How badly one frame went.

    Attributes:
        score: what was counted of it.
        road_iou: with the box mask, in [0, 1]; ``None`` where the frame has no pixel to judge it by.
        labelled: boxes that should be found; 0 also where boxes are not labelled.
        missed: of them, those that no box of at least the score threshold met.
        false_alarms: boxes of at least the score threshold that met none.
    """

    score: FrameScore
    road_iou: float | None
    labelled: int
    missed: int
    false_alarms: int

    @property
    def badness(self) -> float:
        """1 - road IoU, plus the share of missed boxes, in [0, 2]; what is not labelled adds nothing."""
        road = 0.0 if self.road_iou is None else 1 - self.road_iou
        return road + (self.missed / self.labelled if self.labelled else 0.0)

    def text(self) -> str:
        """The figures as one line."""
        road = "-" if self.road_iou is None else f"{self.road_iou:.3f}"
        return (
            f"road IoU {road}  boxes missed {self.missed} of {self.labelled}, "
            f"false alarms {self.false_alarms}  badness {self.badness:.3f}"
        )


def measure_failure(score: FrameScore, score_threshold: float) -> Failure:
    """Judge one frame by its counts with the box mask, and its boxes of at least the threshold's score."""
    road = Confusion(decided=score.counts[""]).road_counts().figures().get("iou")
    if score.boxes is None:
        return Failure(score, road, 0, 0, 0)
    missed = score.boxes.missed(score_threshold)
    wrong = (score.boxes.verdicts[0] == WRONG) & (score.boxes.scores >= score_threshold)
    return Failure(score, road, len(missed), int(missed.sum()), int(wrong.sum()))


class Ranking:
    """Keeps the worst frames of a set; those without fault never count among them.

    Args:
        worst: how many.
    """

    def __init__(self, worst: int) -> None:
        self._worst = worst
        self._frames: list[tuple[int, Failure]] = []

    def add(self, index: int, failure: Failure) -> None:
        """Take in one frame, by its number in the set."""
        if failure.badness > 0:
            ranked = sorted([*self._frames, (index, failure)], key=lambda frame: -frame[1].badness)
            self._frames = ranked[: self._worst]

    def frames(self) -> list[tuple[int, Failure]]:
        """Worst first; of equally bad ones, in the order they came."""
        return self._frames


class FailurePictures:
    """Draws failures into PNG files.

    Args:
        manifest: of the engine that failed.
        worst: how many frames of each set, at least 1.
        folder: gets a folder for each set.

    Raises:
        ConfigError: fewer than one frame.
    """

    def __init__(self, manifest: EngineManifest, worst: int, folder: Path) -> None:
        if worst < 1:
            raise ConfigError(f"worst: expected at least 1 frame, got {worst}")
        self.worst = worst
        self._folder = folder
        self._threshold = manifest.score_threshold
        self._style = build_style(manifest.box_classes, manifest.map_classes)
        self._table = label_space_table(manifest.map_classes)
        names = manifest.map_classes
        self._road = names.index("road") if "road" in names else None

    def write(self, place: str, sample: Sample, result: GraphResult, failure: Failure) -> Path:
        """Draw one frame.

        Args:
            place: ``"SET:SPLIT/RANK"``, which names the folder and begins the file's name.
            sample: the frame with its labels.
            result: of the engine, in the pixels of the frame.
            failure: of this frame.

        Returns:
            The file, ``FOLDER/SET-SPLIT/RANK-NAME.png``.

        Raises:
            OutputError: it cannot be written.
        """
        folder, _, rank = place.replace(":", "-").rpartition("/")
        path = self._folder / folder / f"{rank}-{safe_name(sample.name)}.png"
        data = cv2.imencode(".png", self.draw(sample, result, failure))[1].tobytes()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        return path

    def draw(self, sample: Sample, result: GraphResult, failure: Failure) -> UInt8:
        """``uint8[H + bar, 2 W, 3]``, BGR: the result as the overlay shows it, the errors, and above both what they are."""
        panels = np.hstack([self._result(sample, result), self._errors(sample, result, failure)])
        scale = max(1.0, sample.image.shape[0] / REFERENCE_HEIGHT_PX)
        return np.vstack([_bar(f"{sample.name}  {failure.text()}", panels.shape[1], scale), panels])

    def _result(self, sample: Sample, result: GraphResult) -> UInt8:
        class_map = result.class_map
        outline: tuple[Float32, ...] = ()
        if class_map is None:
            class_map = np.full(sample.image.shape[:2], NO_CLASS, np.uint8)
        elif self._road is not None:
            outline = road_outline(class_map, self._road)
        none = np.zeros(0, np.int64)
        shown = Detections(np.zeros((0, 4), np.float32), none.astype(np.float32), none)
        found = result.detections
        if found is not None:
            keep = (found.scores >= self._threshold) & (found.scores > 0)
            shown = Detections(found.boxes_xyxy[keep], found.scores[keep], found.class_ids[keep])
        frame = Frame(np.ascontiguousarray(sample.image), 0, 0)
        return draw_scene(Scene(frame, shown, class_map, outline, 0), self._style)

    def _errors(self, sample: Sample, result: GraphResult, failure: Failure) -> UInt8:
        grey = cv2.cvtColor(sample.image, cv2.COLOR_BGR2GRAY)
        canvas = np.repeat((grey * DIM).astype(np.uint8)[..., None], 3, axis=2)
        if sample.class_map is not None and result.class_map is not None:
            called_road = self._table[result.class_map] == ROAD
            is_road, is_judged = road_truth(sample.class_map)
            _tint(canvas, is_road & ~called_road, RED)
            vehicle = sample.class_map == VEHICLE
            _tint(canvas, is_judged & ~is_road & ~vehicle & called_road, BLUE)
            _tint(canvas, vehicle & called_road, YELLOW)
        matches = failure.score.boxes
        if matches is not None and result.detections is not None:
            line_px = max(1, round(2 * sample.image.shape[0] / REFERENCE_HEIGHT_PX))
            shown = matches.scores >= self._threshold
            found = result.detections.boxes_xyxy[matches.rows]
            for verdict, colour in ((RIGHT, GREEN), (WRONG, ORANGE)):
                _outline(canvas, found[shown & (matches.verdicts[0] == verdict)], colour, line_px)
            _outline(canvas, matches.truth_xyxy[matches.missed(self._threshold)], RED, line_px)
        return canvas


def _tint(canvas: UInt8, where: Bool, colour: tuple[int, int, int]) -> None:
    grey = canvas[where][:, :1]
    canvas[where] = (grey * (1 - TINT) + np.array(colour) * TINT).astype(np.uint8)


def _outline(
    canvas: UInt8, boxes_xyxy: Float32, colour: tuple[int, int, int], line_px: int
) -> None:
    for x1, y1, x2, y2 in boxes_xyxy.round().astype(int).tolist():
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line_px)


def _bar(text: str, width: int, scale: float) -> UInt8:
    """The caption and the legend, as wide as the picture; letters shrink where they would not fit."""
    lines = ([(text, TEXT_BGR)], [*LEGEND])
    longest = max(
        sum(cv2.getTextSize(f"{part}  ", FONT, 1.0, 1)[0][0] for part, _ in line) for line in lines
    )
    size = min(0.55 * scale, width / longest)
    height = cv2.getTextSize(text, FONT, size, 1)[0][1]
    step = 2 * height + 2
    bar = np.full((2 * step, width, 3), BACK_BGR, np.uint8)
    for row, line in enumerate(lines):
        x = height // 2
        for part, colour in line:
            place = (x, row * step + step - height // 2 - 1)
            cv2.putText(bar, part, place, FONT, size, colour, 1, cv2.LINE_AA)
            x += cv2.getTextSize(f"{part}  ", FONT, size, 1)[0][0]
    return bar
