"""The shipped demo: one drive as an H.264 clip, and its labels beside it as JSON lines."""

import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2

from perception.core.config import dump_config
from perception.core.errors import OutputError
from perception.core.files import write_atomically
from perception.core.labels import KEY_POINTS
from perception.core.types import UInt8
from perception.render.config import DriveConfig
from perception.render.disk import frame_table, read_frame, read_picture
from perception.render.pool import RENDERER
from perception.render.store import StoredDrive, cache_folder, config_hash, write_drive

CLIP_FILE, LABELS_FILE = "demo.mp4", "demo_labels.jsonl.gz"
MAX_BYTES = 5_000_000
CRFS = range(24, 41, 2)  # of x264, from nearly the same to poor, until it fits
PRESET = "slow"
KEY_EVERY = 50  # pictures between two that stand alone: where players can jump to
DIGITS = 3  # of px, m and rad in the labels


def write_demo(
    config: DriveConfig,
    folder: Path,
    *,
    processes: int = 0,
    renderer: str = RENDERER,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Render a drive, or find it in the cache, and write `CLIP_FILE` and `LABELS_FILE`.

    The first line of the labels tells the drive: configuration, camera, rate. Each of the others is a frame: the keys of
    ``objects/*.json`` of a drive on disk, and ``frame``.

    Args:
        config: of the drive; its frames have even sides.
        folder: gets both files; they are replaced.
        processes: that render; 0 takes every core.
        renderer: ``module:class`` of what makes the frames.
        progress: called with frames rendered and frames in all.

    Returns:
        Paths, sizes in bytes, and the CRF that was chosen.

    Raises:
        OutputError: a file cannot be written, or the clip does not fit into `MAX_BYTES`.
    """
    drive = write_drive(
        config, cache_folder(config), processes=processes, progress=progress, renderer=renderer
    )
    for crf in CRFS:
        clip = encode(drive, crf)
        if len(clip) < MAX_BYTES:
            break
    else:
        raise OutputError(f"{folder / CLIP_FILE}: does not fit into {MAX_BYTES} bytes")
    labels = gzip.compress("".join(label_lines(drive)).encode(), mtime=0)
    write_atomically(folder / CLIP_FILE, clip)
    write_atomically(folder / LABELS_FILE, labels)
    return {
        "clip": os.fspath(folder / CLIP_FILE),
        "clip_bytes": len(clip),
        "crf": crf,
        "labels": os.fspath(folder / LABELS_FILE),
        "labels_bytes": len(labels),
        "frames": drive.frames,
    }


def encode(drive: StoredDrive, crf: int) -> bytes:
    """The pictures as an MP4 that can be played before all of it is there."""
    # into a file: to move its index to the front, the container reads what it wrote
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / CLIP_FILE
        _encode(drive, crf, path)
        return path.read_bytes()


def _encode(drive: StoredDrive, crf: int, path: Path) -> None:
    rate = Fraction(drive.config.fps).limit_denominator(1001)
    with av.open(os.fspath(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = drive.camera.size_wh
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the same file on every machine with this encoder
        stream.codec_context.gop_size = KEY_EVERY
        # without x264's tree of macroblocks, which reads beyond small pictures: else two calls give two files
        stream.options = {"preset": PRESET, "crf": str(crf), "x264-params": "mbtree=0"}
        for index in range(drive.frames):
            planes = _to_yuv(read_picture(drive.folder, index))
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def label_lines(drive: StoredDrive) -> Iterator[str]:
    """The labels, line by line."""
    about = {
        "config": dump_config(drive.config),
        "config_sha256": config_hash(drive.config),
        "camera": dump_config(drive.camera),
        "fps": drive.config.fps,
        "frames": drive.frames,
        "key_point_names": list(KEY_POINTS),
    }
    yield _line({"drive": about})
    for index in range(drive.frames):
        yield _line({"frame": index, **_short(frame_table(read_frame(drive.folder, index).labels))})


def _line(table: dict[str, Any]) -> str:
    return json.dumps(table, separators=(",", ":")) + "\n"


def _short(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """The same with numbers of `DIGITS` digits."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _short(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_short(held) for held in value]
    return value


def _to_yuv(image: UInt8) -> UInt8:
    # uint8 stays uint8
    return cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)  # type: ignore[return-value]
