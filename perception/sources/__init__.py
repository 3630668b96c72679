"""Where frames come from. `open_source` finds the right one for what the user wrote."""

from dataclasses import dataclass, field
from pathlib import Path

from perception.core.errors import ConfigError, InputError
from perception.core.registry import Registry
from perception.sources.base import Source
from perception.sources.camera import SCHEME as CAMERA_SCHEME
from perception.sources.gstreamer import SCHEME as GSTREAMER_SCHEME
from perception.sources.paced import PacedSource
from perception.sources.reconnect import PATIENCE_S, ReconnectingSource
from perception.sources.video import CAMERA_SCHEMES, STREAM_SCHEMES, StreamOptions

SOURCES = Registry(
    "source",
    {
        "camera": "perception.sources.camera:CameraSource",
        "gstreamer": "perception.sources.gstreamer:GStreamerSource",
        "images": "perception.sources.images:ImageFolderSource",
        "stream": "perception.sources.video:StreamSource",
        "synthetic": "perception.sources.synthetic:SyntheticSource",
        "video": "perception.sources.video:VideoSource",
    },
)
RECONNECTING = ("camera", "gstreamer", "stream")
SYNTHETIC = (
    "synthetic"  # as a source: the default drive; with a colon behind it, the folder of a drive
)
DEMO = "demo"  # as a source: the clip that the project ships
DEMO_CLIP = Path(__file__).parents[1] / "assets" / "demo.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How live sources are treated.

    Attributes:
        stream: how a stream is read.
        patience_s: how long to try to open a lost camera or stream again, s; 0: a loss is the end.
    """

    stream: StreamOptions = field(default_factory=StreamOptions)
    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        if self.patience_s < 0:
            raise ConfigError(f"patience: expected 0 s or more, got {self.patience_s:g}")


DEFAULT_OPTIONS = LiveOptions()


def source_kind(spec: str) -> str:
    """The name in `SOURCES` for what the user wrote: ``camera:N``, ``gst:PIPELINE``, ``synthetic``, an address, a folder, or a file."""
    if spec.startswith(CAMERA_SCHEME):
        return "camera"
    if spec.startswith(GSTREAMER_SCHEME):
        return "gstreamer"
    if spec.startswith(STREAM_SCHEMES):
        return "stream"
    if spec == SYNTHETIC or spec.startswith(f"{SYNTHETIC}:"):
        return "synthetic"
    if Path(spec).is_dir():
        return "images"
    return "video"


def open_source(
    spec: str,
    *,
    live: bool | None = None,
    fps: float | None = None,
    options: LiveOptions = DEFAULT_OPTIONS,
) -> Source:
    """Open a camera, a stream, a synthetic drive, a folder of pictures, or a video file.

    A synthetic drive is a live source that loops for ever; with ``live=False`` it is a recording that ends. Cameras and streams are opened
    again when they are lost.

    Args:
        spec: ``camera:N``, ``gst:PIPELINE``, ``rtsp://...``, ``http(s)://...``, ``udp://...``, ``synthetic``, ``synthetic:FOLDER``, a folder, a file,
            or ``demo``.
        live: play a recording as if it were a camera; ``False`` asks for every frame, which a camera cannot give; ``None``
            leaves each as it is.
        fps: with `live`, the rate at which a recording is played instead of its own.
        options: how a stream is read, and how long a lost source is waited for.

    Raises:
        InputError: it cannot be opened.
        ConfigError: it cannot be played as asked.
    """
    if not spec:
        raise InputError("source: expected a path, camera:N or an address, got an empty word")
    if fps is not None and fps <= 0:
        raise ConfigError(f"fps: expected more than 0, got {fps}")
    if spec == DEMO:
        spec = str(DEMO_CLIP)
    kind = source_kind(spec)
    if kind == "synthetic":
        live = live is not False
        source: Source = SOURCES[kind](spec, loops=live)
    else:
        source = _open_kind(kind, spec, options)
    if live is False and source.live:
        source.close()
        raise ConfigError(
            f"{spec}: expected a recording, got a live source, which drops what nobody reads; for run, leave out --lossless"
        )
    if not live or source.live:
        return source
    try:
        return PacedSource(source, fps)
    except ConfigError:
        source.close()
        raise


def _open_kind(kind: str, spec: str, options: LiveOptions) -> Source:
    if options.stream.follow and kind != "video":
        raise ConfigError(f"--follow is for files that are still being written, got {spec!r}")
    if options.stream.transport != StreamOptions().transport and not spec.startswith(
        CAMERA_SCHEMES
    ):
        raise ConfigError(f"--transport is for {' and '.join(CAMERA_SCHEMES)}, got {spec!r}")

    def open_once() -> Source:
        chosen = (options.stream,) if kind in {"stream", "video"} else ()
        source: Source = SOURCES[kind](spec, *chosen)
        return source

    if kind not in RECONNECTING:
        return open_once()
    first = open_once()
    if not first.live:  # a file behind an address
        return first
    return ReconnectingSource(first, open_once, options.patience_s)
