"""Pictures into an H.264 MP4, and the sink that writes the overlay there."""

import time
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
from av.packet import Packet
from av.video.stream import VideoStream

from perception.core.errors import OutputError
from perception.core.types import Frame, Scene, UInt8
from perception.sinks.base import Sink, SinkContext
from perception.sinks.grid import Grid, fit_picture

CODEC: Final = "libx264"
# Measured at 1248x384, CPU ms a frame on one core: ultrafast 5.4, superfast 11.2, veryfast 18.3. The encoder shares the cores
# with the inference, so the fastest; the file is 1.7 times that of veryfast.
PRESET = "ultrafast"
CRF = "23"  # x264's own default: constant quality
KEY_EVERY = 50  # pictures between two that stand alone: where players can jump to, and where a fragment ends
FALLBACK_RATE = Fraction(1000)  # ticks a second where the source has no rate: milliseconds


class VideoWriter:
    """Encodes pictures at one size; those of another, from a camera that changed its own, are fitted into it.

    Odd sizes are padded by one column or row, which yuv420p needs.

    What was encoded survives a kill: the file is written in fragments, and made plain when it is closed.

    Args:
        path: of the MP4; it is replaced.
        size_wh: of the pictures, px.
        fps: pictures a second; fractions as 30000/1001 are kept. ``None``: each picture brings its time.

    Raises:
        OutputError: the file cannot be made, or this PyAV has no H.264 encoder.
    """

    def __init__(self, path: Path, size_wh: tuple[int, int], fps: float | None) -> None:
        self._path = path
        self._size_wh = size_wh
        # the rates of film and television are whole numbers over 1 or 1001
        self._rate = Fraction(fps).limit_denominator(1001) if fps else FALLBACK_RATE
        self._last_pts = -1
        self._first_s: float | None = None
        if CODEC not in av.codec.codecs_available:
            raise OutputError(
                f"{path}: this PyAV has no encoder {CODEC!r}; install PyAV from PyPI, whose wheels have it"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(
                str(path), "w", format="mp4", options={"movflags": "+hybrid_fragmented"}
            )
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        self._stream = self._add_stream()
        self._open = True

    def _add_stream(self) -> VideoStream:
        stream = self._container.add_stream(CODEC, rate=self._rate)
        stream.width, stream.height = (n + n % 2 for n in self._size_wh)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = KEY_EVERY
        stream.options = {"preset": PRESET, "crf": CRF}
        return stream

    def write(self, image: UInt8, stream_s: float | None = None) -> None:
        """Encode ``uint8[H, W, 3]``, BGR; shown at `stream_s`, or one picture after the one before."""
        if image.shape[1::-1] != self._size_wh:
            image = fit_picture(image, self._size_wh)
        frame = av.VideoFrame.from_ndarray(_to_yuv(image), format="yuv420p")
        frame.pts = self._next_pts(stream_s)
        frame.time_base = 1 / self._rate
        try:
            self._mux(self._stream.encode(frame))
        except (OSError, ValueError) as error:
            self._abandon()
            raise self._failed(error) from error

    def close(self) -> None:
        """Encode what is left and finish the file."""
        if not self._open:
            return
        self._open = False
        try:
            if self._last_pts >= 0:
                self._mux(self._stream.encode())
            self._container.close()
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def _next_pts(self, stream_s: float | None) -> int:
        pts = self._last_pts + 1
        if stream_s is not None:
            if self._first_s is None:
                self._first_s = stream_s
            pts = max(pts, round((stream_s - self._first_s) * self._rate))
        self._last_pts = pts
        return pts

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        for packet in packets:
            self._container.mux(packet)

    def _abandon(self) -> None:
        """Close after a failure; what is in the file stays."""
        self._open = False
        try:
            self._container.close()
        except (OSError, ValueError):
            return  # the failure that led here is the one to tell

    def _failed(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(
            f"{self._path}: encoding stopped: {reason}; what was written before is kept"
        )


class OverlaySink(Sink):
    """Draws each scene and writes it to an MP4, at the time stamps of the source.

    Several cameras are a grid, written once all have brought something new, or one has for the second time.

    Args:
        path: of the MP4; it is replaced.
        context: names of the classes, rate of the source, number of cameras.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(self, path: Path, context: SinkContext) -> None:
        self._path = path
        self._fps = context.fps
        self._grid = Grid(context)
        self._cameras = context.cameras
        self._new: dict[int, Frame] = {}  # by camera, in the grid and not yet written
        self._writer: VideoWriter | None = None
        self._first_ns = 0
        _probe(path)

    def write(self, scene: Scene) -> None:
        """Draw one scene, and encode the picture if it is time."""
        if scene.frame.camera in self._new:
            self._encode()
        self._grid.add(scene, time.monotonic_ns())
        self._new[scene.frame.camera] = scene.frame
        if len(self._new) == self._cameras:
            self._encode()

    def _encode(self) -> None:
        picture = self._grid.picture()
        frame = next(iter(self._new.values()))
        self._new = {}
        if self._writer is None:
            self._writer = VideoWriter(self._path, (picture.shape[1], picture.shape[0]), self._fps)
            self._first_ns = frame.captured_ns
        stream_s = frame.stream_s
        if self._fps is None and (stream_s is None or self._cameras > 1):
            stream_s = (frame.captured_ns - self._first_ns) / 1e9
        self._writer.write(picture, stream_s)

    def close(self) -> None:
        """Finish the file."""
        if self._new:
            self._encode()
        if self._writer is not None:
            self._writer.close()


def _probe(path: Path) -> None:
    """Find out before the first frame whether the file can be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _to_yuv(image: UInt8) -> UInt8:
    """BGR ``uint8[H, W, 3]`` -> planar 4:2:0, odd sizes padded by repeating the last column or row."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    # uint8 stays uint8; 0.2 ms, where FFmpeg's own conversion takes 1.3
    return cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)  # type: ignore[return-value]
