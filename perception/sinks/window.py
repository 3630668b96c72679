"""The overlay in a window on this screen."""

import os
import sys
import time
from pathlib import Path

import cv2

from perception.core.errors import ConfigError, RunError
from perception.core.types import Scene
from perception.sinks.base import Sink, SinkContext
from perception.sinks.grid import Grid

TITLE = "perception"


class WindowSink(Sink):
    """Shows each scene as it comes; several cameras as a grid.

    Args:
        path: not used: a window has no file.
        context: names of the classes, number of cameras.

    Raises:
        ConfigError: there is no screen, or this OpenCV was built without windows.
    """

    def __init__(self, path: Path | None, context: SinkContext) -> None:
        if path is not None:
            raise ConfigError(f"sink 'window': expected no path, got {str(path)!r}")
        # Qt ends the whole process where it finds no screen, so ask before it does
        if sys.platform == "linux" and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            raise ConfigError(
                "sink 'window': no screen here (DISPLAY is not set); use overlay=FILE.mp4 instead"
            )
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ConfigError(
                "sink 'window': this OpenCV has no windows; install opencv-python instead of its headless form"
            ) from error
        self._grid = Grid(context)
        self._open = True

    def write(self, scene: Scene) -> None:
        """Show one scene."""
        self._grid.add(scene, time.monotonic_ns())
        try:
            cv2.imshow(TITLE, self._grid.picture())
            cv2.waitKey(1)
        except cv2.error as error:
            raise RunError(f"sink 'window': cannot show the frame: {error.err}") from error

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            cv2.destroyWindow(TITLE)
