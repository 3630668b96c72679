"""What is drawn of a run: the newest scene of one camera, or those of several side by side."""

from math import ceil, sqrt

import cv2
import numpy as np

from perception.core.types import Scene, UInt8
from perception.sinks.base import SinkContext
from perception.sinks.overlay import BACK_BGR, Caption, build_style, draw_label, draw_scene

WIDTH_PX = 1920  # of a grid; one camera keeps its own size
STALE_S = 2.0  # a picture that is older than the newest of all by this is shown as what it is: no view of now
DIM = 0.35  # share of its brightness that a stale picture keeps
LABEL = 0.5  # size of the text in a cell


class Grid:
    """Cells by camera, row by row, in each its newest scene with its own caption; stale ones are darkened. One camera has the whole picture.

    Args:
        context: names of the classes, number of cameras.
    """

    def __init__(self, context: SinkContext) -> None:
        self._style = build_style(context.box_classes, context.map_classes)
        self._captions = [Caption() for _ in range(context.cameras)]
        self._columns = ceil(sqrt(context.cameras))
        self._rows = ceil(context.cameras / self._columns)
        self._cell_wh = (0, 0)  # of several cameras, as the first frame has it
        self._canvas = np.zeros((0, 0, 3), np.uint8)
        self._captured_ns: dict[int, int] = {}  # camera -> of what its cell shows

    def add(self, scene: Scene, now_ns: int) -> None:
        """Draw a scene in its place, at `now_ns` of `time.monotonic_ns`."""
        camera = scene.frame.camera
        caption = self._captions[camera].text(scene, now_ns)
        if len(self._captions) == 1:
            self._canvas = draw_scene(scene, self._style, caption)
            return
        if not self._canvas.size:
            self._lay_out(scene.frame.size_wh)
        x, y = self._corner(camera)
        width, height = self._cell_wh
        cell = self._canvas[y : y + height, x : x + width]
        cell[:] = fit_picture(draw_scene(scene, self._style), self._cell_wh)
        draw_label(cell, f"camera {camera}  {caption}", (0, 0), BACK_BGR, LABEL)
        self._captured_ns[camera] = scene.frame.captured_ns

    def picture(self) -> UInt8:
        """``uint8[H, W, 3]``, BGR; the next `add` may overwrite it."""
        newest_ns = max(self._captured_ns.values(), default=0)
        silent_s = {n: (newest_ns - ns) / 1e9 for n, ns in self._captured_ns.items()}
        stale = {camera: s for camera, s in silent_s.items() if s > STALE_S}
        if not stale:
            return self._canvas
        picture = self._canvas.copy()
        width, height = self._cell_wh
        for camera, seconds in stale.items():
            x, y = self._corner(camera)
            cell = picture[y : y + height, x : x + width]
            cv2.convertScaleAbs(cell, cell, alpha=DIM)
            text = f"camera {camera}  nothing for {seconds:.1f} s"
            draw_label(cell, text, (0, height // 2), BACK_BGR, LABEL)
        return picture

    def _lay_out(self, frame_wh: tuple[int, int]) -> None:
        width = min(frame_wh[0], WIDTH_PX // self._columns)
        height = max(1, round(frame_wh[1] * width / frame_wh[0]))
        self._cell_wh = width, height
        self._canvas = np.zeros((height * self._rows, width * self._columns, 3), np.uint8)

    def _corner(self, camera: int) -> tuple[int, int]:
        row, column = divmod(camera, self._columns)
        return column * self._cell_wh[0], row * self._cell_wh[1]


def fit_picture(image: UInt8, size_wh: tuple[int, int]) -> UInt8:
    """The whole picture in the middle of another size, with black at its sides."""
    scale = min(size_wh[0] / image.shape[1], size_wh[1] / image.shape[0])
    width, height = (max(1, round(n * scale)) for n in image.shape[1::-1])
    left, top = (size_wh[0] - width) // 2, (size_wh[1] - height) // 2
    # the mean of the pixels that become one: thin lines stay whole
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    fitted[top : top + height, left : left + width] = cv2.resize(
        image, (width, height), interpolation=how
    )
    return fitted
