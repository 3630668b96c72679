"""Where frames come from. `open_source` finds the right one for what the user wrote."""

from pathlib import Path

from perception.core.errors import ConfigError, InputError
from perception.core.registry import Registry
from perception.sources.base import Source
from perception.sources.camera import SCHEME as CAMERA_SCHEME
from perception.sources.paced import PacedSource
from perception.sources.video import STREAM_SCHEMES

SOURCES = Registry(
    "source",
    {
        "camera": "perception.sources.camera:CameraSource",
        "images": "perception.sources.images:ImageFolderSource",
        "stream": "perception.sources.video:StreamSource",
        "synthetic": "perception.sources.synthetic:SyntheticSource",
        "video": "perception.sources.video:VideoSource",
    },
)
SYNTHETIC = (
    "synthetic"  # as a source: the default drive; with a colon behind it, the folder of a drive
)
DEMO = "demo"  # as a source: the clip that the project ships
DEMO_CLIP = Path(__file__).parents[1] / "assets" / "demo.mp4"


def source_kind(spec: str) -> str:
    """The name in `SOURCES` for what the user wrote: ``camera:N``, ``synthetic``, an address, a folder, or a file."""
    if spec.startswith(CAMERA_SCHEME):
        return "camera"
    if spec.startswith(STREAM_SCHEMES):
        return "stream"
    if spec == SYNTHETIC or spec.startswith(f"{SYNTHETIC}:"):
        return "synthetic"
    if Path(spec).is_dir():
        return "images"
    return "video"


def open_source(spec: str, *, live: bool | None = None, fps: float | None = None) -> Source:
    """Open a camera, a stream, a synthetic drive, a folder of pictures, or a video file.

    A synthetic drive is a live source that loops for ever; with ``live=False`` it is a recording that ends.

    Args:
        spec: ``camera:N``, ``rtsp://...``, ``http(s)://...``, ``synthetic``, ``synthetic:FOLDER``, a folder, a file, or ``demo``.
        live: play a recording as if it were a camera; ``False`` asks for every frame, which a camera cannot give; ``None``
            leaves each as it is.
        fps: with `live`, the rate at which a recording is played instead of its own.

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
        source = SOURCES[kind](spec)
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
