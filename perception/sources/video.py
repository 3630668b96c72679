"""Frames of a video file or of a network stream, decoded with PyAV (FFmpeg).

A file is a recording: every frame comes, and damage is an error. An endless stream is live: damaged frames are skipped, as a
camera would lose them. Rotation metadata is ignored: frames come as they are stored.

PyAV rather than OpenCV's reader: it tells damaged pictures from good ones, takes time limits and the transport, has time stamps, and its
pictures are not later (`make soak` prints both ages, for MJPEG and for RTSP).
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from perception.core.errors import ConfigError, InputError
from perception.core.types import UInt8
from perception.sources.base import Picture, Source

logger = logging.getLogger(__name__)

CAMERA_SCHEMES = ("rtsp://", "rtsps://")
FILE_SCHEMES = ("http://", "https://")  # behind which a file may stand, which ends
STREAM_SCHEMES = (*CAMERA_SCHEMES, *FILE_SCHEMES, "udp://", "rtp://")
MJPEG_CAMERA = "mpjpeg"  # FFmpeg's name for JPEGs one after the other over HTTP
# by which a folder of files is searched; a file that is named itself may end as it likes
FILE_SUFFIXES = (
    ".264", ".265", ".avi", ".h264", ".h265", ".hevc", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".m2ts", ".ts", ".webm",
)  # fmt: skip
TRANSPORTS = ("tcp", "udp")
OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0  # a stream that is silent for so long has ended
MAX_BAD_PACKETS = 250  # in a row, about 10 s: then a stream counts as broken


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How a stream, or a file as if it were one, is read.

    Attributes:
        transport: of RTSP, ``"tcp"``, which loses nothing, or ``"udp"``, which never waits for what was lost.
        follow: a file that is still being written: its end is waited for, for `READ_TIMEOUT_S`.
    """

    transport: str = "tcp"
    follow: bool = False

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise ConfigError(f"transport {self.transport!r}: expected one of {list(TRANSPORTS)}")


DEFAULTS = StreamOptions()


class VideoSource(Source):
    """A video file, or a stream given by its address.

    Args:
        spec: path or URL.
        options: how it is read.

    Raises:
        InputError: it is missing, is no video, or nothing in it decodes.
    """

    streaming: ClassVar[bool] = False

    def __init__(self, spec: str, options: StreamOptions = DEFAULTS) -> None:
        super().__init__(spec)
        self._container = self._open(spec, options)
        self._follow = options.follow
        # an address may also lead to a file of known length: then it is a recording
        self.live = options.follow or (self.streaming and self._container.duration is None)
        multipart = self._container.format.name == MJPEG_CAMERA
        self.endless = self.streaming and (multipart or not spec.startswith(FILE_SCHEMES))
        # FFmpeg invents time stamps for JPEGs: 25 pictures a second, however many come
        self._stamped = not (multipart and self.live)
        self._bad_packets = self._damaged = 0  # in a row, in all
        self._reformatter = VideoReformatter()  # kept: a fresh one costs more than the conversion
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{spec}: no video in it; expected a file with a video stream")
        self._stream = self._container.streams.video[0]
        # One thread without frame delay: decoding runs beside the inference, which wants every other core.
        self._stream.thread_type = "SLICE"
        self._stream.codec_context.thread_count = 1
        if self.live:  # otherwise half a JPEG comes as a whole picture, half of it grey
            self._stream.codec_context.options = {"err_detect": "explode"}
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else None
        self.length = None if self.live else self._stream.frames or None
        try:
            # Decoding the first frame tells the size and that the decoder can read it.
            self._ahead = self._decoded()
            self._first = next(self._ahead, None)
        except InputError:
            self._container.close()
            raise
        if self._first is None:
            self._container.close()
            raise InputError(f"{spec}: no frame could be decoded; expected a playable video")
        height, width = self._first.image.shape[:2]
        self.size_wh = (width, height)

    def _open(self, spec: str, wanted: StreamOptions) -> InputContainer:
        if not self.streaming and not Path(spec).is_file():
            raise InputError(f"{spec}: no such file; expected a video file, a folder, or camera:N")
        options = {}
        if spec.startswith(CAMERA_SCHEMES):
            # nobuffer throws away what was read to find out the format: right for a camera, wrong for a file
            options = {"rtsp_transport": wanted.transport, "fflags": "nobuffer"}
        elif wanted.follow:
            spec, options = f"file:{spec}", {"follow": "1"}
        try:
            return av.open(spec, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{spec}: cannot be opened as video: {_reason(error)}; expected a playable, complete file or stream"
            ) from error

    def _pictures(self) -> Iterator[Picture]:
        if self._first is not None:
            first, self._first = self._first, None
            yield (
                first
                if not self.live
                else Picture(first.image, time.monotonic_ns(), first.stream_s)
            )
        yield from self._ahead

    def _decoded(self) -> Iterator[Picture]:
        count = 0
        packets = 0
        for packet, captured_ns in self._packets():
            packets += bool(packet.size)
            for frame in self._frames(packet, count):
                count += 1
                stream_s = frame.time if self._stamped else None
                yield Picture(self._image(frame, count - 1), captured_ns, stream_s)
            if self._stopping.is_set():
                return
        promised = self._stream.frames
        if not self.live and packets < promised:
            raise InputError(
                f"{self.name}: the file ends after {packets} of {promised} frames: it is truncated"
            )

    def _packets(self) -> "Iterator[tuple[Packet[VideoStream], int]]":
        """Packets and when each began to be read (a recording) or had arrived (a stream)."""
        packets = self._container.demux(self._stream)
        while True:
            began_ns = time.monotonic_ns()
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                if self._follow and isinstance(error, av.ExitError):
                    # nobody writes it any more: what the decoder still holds
                    flush: Packet[VideoStream] = Packet()  # type: ignore[assignment]  # it gets its stream below
                    flush.stream = self._stream
                    yield flush, began_ns
                    return
                raise InputError(f"{self.name}: reading stopped: {_reason(error)}") from error
            if packet is None:
                return
            yield packet, time.monotonic_ns() if self.live else began_ns

    def _frames(self, packet: "Packet[VideoStream]", count: int) -> list[VideoFrame]:
        try:
            frames = [f for f in packet.decode() if isinstance(f, VideoFrame)]
        except av.FFmpegError as error:
            if self.live:
                return self._skip(_reason(error))
            raise InputError(
                f"{self.name}: frame {count} cannot be decoded: {_reason(error)}; the file is damaged"
            ) from error
        if any(f.is_corrupt for f in frames):
            if self.live:
                return self._skip("a part of the picture is missing")
            raise InputError(f"{self.name}: frame {count} is damaged in the file")
        self._bad_packets = 0
        return frames

    def _skip(self, reason: str) -> list[VideoFrame]:
        self._bad_packets += 1
        self._damaged += 1
        logger.warning("%s: a damaged picture was skipped: %s", self.name, reason)
        if self._bad_packets > MAX_BAD_PACKETS:
            raise InputError(
                f"{self.name}: {MAX_BAD_PACKETS} packets in a row cannot be decoded: {reason}"
            )
        return []

    def _image(self, frame: VideoFrame, index: int) -> UInt8:
        try:
            bgr = self._reformatter.reformat(frame, format="bgr24")
            return bgr.to_ndarray().astype(np.uint8, copy=False)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{self.name}: frame {index} cannot be turned into BGR from {frame.format.name}: {_reason(error)}"
            ) from error

    @property
    def events(self) -> Mapping[str, int]:
        """How many damaged pictures of a stream were skipped."""
        return {"damaged": self._damaged} if self.live else {}

    def close(self) -> None:
        """Close the file or the connection."""
        super().close()
        self._container.close()


class StreamSource(VideoSource):
    """A live stream: ``rtsp://`` or ``http(s)://``."""

    streaming = True


def _reason(error: BaseException) -> str:
    """One line of an FFmpeg error, without its number and path."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())
