"""Drives on disk: written by several processes at once, gone on with after an interruption, read frame by frame.

Layout of the folder of one drive::

    drive.json            format, configuration and its hash, camera, frames a second, frames, names of all numbers
    rgb/000000.jpg        the picture, quality 95
    class/000000.png      uint8, Cityscapes ids (`perception.render.records.CityId`)
    instance/000000.png   uint16, identity; 0 where there is none
    depth/000000.png      uint16, 1/256 m along the optical axis, as KITTI; 0 for the sky and beyond 256 m
    lane/000000.png       uint8 (`perception.render.records.Marking`)
    flow/000000.png       uint16, as KITTI's flow: red and green are 64 u + 2^15 and 64 v + 2^15, px; blue is 1 where valid
    objects/000000.json   objects (`ObjectLabel`, the same keys), camera_from_world, ego, time_s

Frame after frame, so a reader can follow a drive that is still being written: ``drive.json`` comes first, and the objects of a
frame come last of its files; a frame is there once they are.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.core.camera import Camera
from perception.core.config import build_config, dump_config
from perception.core.errors import ConfigError, InputError
from perception.core.files import write_atomically
from perception.core.labels import KEY_POINTS
from perception.render.config import DriveConfig
from perception.render.disk import depth_to_file, flow_to_file, is_complete
from perception.render.picture.view import build_camera
from perception.render.pool import RENDERER, render_jobs
from perception.render.records import (
    CityId,
    FrameLabels,
    Marking,
    ObjectLabel,
)

# raise it when the files change, or when the same configuration gives other frames: drives of before are then refused
FORMAT = 2
DRIVE_FILE = "drive.json"
CACHE_DIR = Path("runs") / "cache"  # of drives that are rendered once and read often
CLEAR_PIXELS = 30  # an object of fewer, at any frame size, is a speck to an annotator too
CLEAR_OCCLUDED = 0.85  # share hidden, above which nobody could box it from the picture


@dataclass(frozen=True, slots=True)
class StoredDrive:
    """A drive on disk.

    Attributes:
        folder: where it lies.
        config: it was made from.
        camera: at rest, at the size of the frames.
    """

    folder: Path
    config: DriveConfig
    camera: Camera

    @property
    def frames(self) -> int:
        """How many it has once it is complete."""
        return self.config.frames

    @property
    def missing(self) -> list[int]:
        """Frames that are not there yet."""
        return [i for i in range(self.frames) if not is_complete(self.folder, i)]


def config_hash(config: DriveConfig) -> str:
    """64 hex digits: of everything that decides what the frames look like, but for the contents of a camera file."""
    table = {"format": FORMAT, "config": _plain(config)}
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def cache_folder(config: DriveConfig) -> Path:
    """Where the drive of a configuration is kept for the next time."""
    return CACHE_DIR / f"synthetic-{config_hash(config)[:16]}"


def _plain(config: DriveConfig) -> dict[str, Any]:
    # there and back: 10 and 10.0 frames a second are one configuration
    return dump_config(build_config(DriveConfig, dump_config(config), "drive"))


def write_drive(
    config: DriveConfig,
    folder: Path,
    *,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
    renderer: str = RENDERER,
) -> StoredDrive:
    """As `write_drives`, for one drive."""
    (drive,) = write_drives(
        [(config, folder)], processes=processes, progress=progress, renderer=renderer
    )
    return drive


def write_drives(
    drives: Sequence[tuple[DriveConfig, Path]],
    *,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
    renderer: str = RENDERER,
) -> list[StoredDrive]:
    """Render drives into folders; frames that are there already are left as they are.

    Every process renders a run of consecutive frames. However it ends, frames that are marked as complete are whole, and the
    same call goes on where this one stopped.

    Args:
        drives: configuration and folder of each.
        processes: 0 takes every core. More than 1 start as the main module does, so a script needs its
            ``if __name__ == "__main__":``.
        progress: called with frames done and frames in all, at the start and after each.
        renderer: ``module:class`` of what makes the frames, see `Renderer`.

    Raises:
        ConfigError: a folder holds another drive.
        OutputError: the disk is full, or a folder cannot be written.
        RunError: a process ended before its work was done.
    """
    stored = [_claim(config, folder) for config, folder in drives]
    jobs = [(drive.config, drive.folder, i) for drive in stored for i in drive.missing]
    total = sum(drive.frames for drive in stored)
    done = total - len(jobs)
    tell = progress or (lambda _done, _total: None)
    tell(done, total)
    with closing(render_jobs(jobs, renderer, processes)) as finished:
        for _ in finished:
            done += 1
            tell(done, total)
    return stored


def _claim(config: DriveConfig, folder: Path) -> StoredDrive:
    """Write what is known of the whole drive, or find there that it is the same."""
    camera = build_camera(config.camera)
    mine = _drive_table(config, camera)
    if not (folder / DRIVE_FILE).is_file():
        text = json.dumps(mine, indent=2)
        write_atomically(folder / DRIVE_FILE, f"{text}\n".encode())
        return StoredDrive(folder, config, camera)
    found = _read_table(folder)
    if found != mine:
        parts = ("format", "config", "camera")
        keys = [
            f"{part}.{key}" if part != "format" else part
            for part in parts
            for key in (_differences(mine[part], found.get(part)))
        ]
        raise ConfigError(
            f"{folder}: holds another drive (differs in {keys or 'names'}); choose another folder or delete it"
        )
    return StoredDrive(folder, config, camera)


def _differences(mine: Any, found: Any) -> list[str]:  # noqa: ANN401 (JSON)
    if not isinstance(mine, dict) or not isinstance(found, dict):
        return [] if mine == found else ["all"]
    return sorted(key for key in mine if mine[key] != found.get(key))


def _drive_table(config: DriveConfig, camera: Camera) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "config": _plain(config),
        "config_sha256": config_hash(config),
        "camera": dump_config(camera),
        "fps": float(config.fps),
        "frames": config.frames,
        "size_wh": list(camera.size_wh),
        "class_names": {str(int(one)): one.name.lower() for one in CityId},
        "marking_names": {str(int(one)): one.name.lower() for one in Marking},
        "key_point_names": list(KEY_POINTS),
    }


def read_drive(folder: Path) -> StoredDrive:
    """Open a drive; its frames may still be in the making.

    Raises:
        InputError: no drive there, of another format, or damaged.
    """
    table = _read_table(folder)
    if table.get("format") != FORMAT:
        raise InputError(
            f"{folder}: a drive of format {table.get('format')}; this software reads {FORMAT}: render it again"
        )
    try:
        config = build_config(DriveConfig, table["config"], "config")
        camera = build_config(Camera, table["camera"], "camera")
    except (KeyError, TypeError, ConfigError) as error:
        raise InputError(f"{folder / DRIVE_FILE}: damaged: {error}; render it again") from error
    return StoredDrive(folder, config, camera)


def _read_table(folder: Path) -> dict[str, Any]:
    path = folder / DRIVE_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}; expected the folder of a synthetic drive"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}; delete the folder") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: damaged: expected a table; delete the folder")
    return table


def list_drives(folder: Path) -> list[StoredDrive]:
    """The drives in the folders of `folder`, by name; a folder that is a drive itself counts as one.

    Raises:
        InputError: there is none, or one is damaged.
    """
    if (folder / DRIVE_FILE).is_file():
        return [read_drive(folder)]
    found = [read_drive(path.parent) for path in sorted(folder.glob(f"*/{DRIVE_FILE}"))]
    if not found:
        raise InputError(
            f"{folder}: no synthetic drives there; make some with: perception render --out {folder}"
        )
    return found


def is_clear(label: ObjectLabel) -> bool:
    """Whether enough of an object is seen that a detector can be asked for it; others are neither right nor wrong."""
    return label.pixels >= CLEAR_PIXELS and label.occluded <= CLEAR_OCCLUDED


def labels_hash(labels: FrameLabels) -> str:
    """64 hex digits: equal for labels that are equal to the steps in which they are kept."""
    digest = hashlib.sha256()
    for pixels in (
        labels.class_ids, labels.instances, depth_to_file(labels.depth_m), labels.lanes,
    ):  # fmt: skip
        digest.update(str(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).astype("<u2").tobytes())
    digest.update(flow_to_file(labels.flow_px).astype("<u2").tobytes())
    ego, pose = labels.ego, labels.camera_from_world
    moment = (*pose.ravel().tolist(), ego.x_m, ego.y_m, ego.yaw_rad, ego.speed_mps, labels.time_s)
    digest.update(repr([round(float(value) * 1e6) for value in moment]).encode())
    for label in labels.objects:
        digest.update(repr(_rounded(label)).encode())
    return digest.hexdigest()


def _rounded(label: ObjectLabel) -> tuple[Any, ...]:
    """Boxes and key points to 1/16 px, places and speeds to 1/256 m, shares and angles to 1/1024."""

    def steps(values: Iterable[float], step: int) -> tuple[int, ...]:
        return tuple(round(float(value) * step) for value in values)

    points = () if label.key_points is None else label.key_points.ravel().tolist()
    return (
        label.identity,
        label.kind,
        steps(label.box_xyxy, 1),
        steps(label.amodal_xyxy or (), 16),
        label.pixels,
        steps((label.occluded, label.truncated, label.yaw_rad), 1024),
        steps((*label.size_lwh_m, *label.centre_m, label.speed_mps), 256),
        steps(points, 16),
        sorted(label.attributes.items()),
    )
