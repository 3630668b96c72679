"""A rendered drive as a source, with ground truth for the overlay. Played live it loops for ever, as a camera never ends."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from perception.core.errors import InputError
from perception.core.labels import BOX_CLASSES, MAPPINGS
from perception.core.types import Truth
from perception.render.config import DriveConfig
from perception.render.disk import read_labels, read_picture
from perception.render.pool import RENDERER
from perception.render.presets import SOURCE_DRIVE
from perception.render.records import ObjectLabel
from perception.render.store import StoredDrive, cache_folder, is_clear, read_drive, write_drive
from perception.sources.base import Picture, Source

logger = logging.getLogger(__name__)

NAME = "synthetic"
SCHEME = "synthetic:"
TOLD_EVERY = 0.1  # share of the frames


class SyntheticSource(Source):
    """A drive on disk, or the default one, which is rendered once and kept.

    Args:
        spec: ``synthetic``, or ``synthetic:FOLDER`` of a drive.
        loops: begin again at the end, for ever.
        config: what ``synthetic`` plays.
        renderer: see `perception.render.store.write_drives`.

    Raises:
        InputError: no complete drive there.
        OutputError: the default drive cannot be kept.
    """

    def __init__(
        self,
        spec: str,
        *,
        loops: bool = False,
        config: DriveConfig = SOURCE_DRIVE,
        renderer: str = RENDERER,
    ) -> None:
        super().__init__(spec)
        folder = spec.removeprefix(SCHEME)
        self._drive = cached_drive(config, renderer) if spec == NAME else read_drive(Path(folder))
        if missing := self._drive.missing:
            raise InputError(
                f"{spec}: {len(missing)} of {self._drive.frames} frames are missing; render it to its end first"
            )
        self._loops = loops
        self.live = False
        self.fps = float(self._drive.config.fps)
        self.size_wh = self._drive.camera.size_wh
        self.length = None if loops else self._drive.frames

    def _pictures(self) -> Iterator[Picture]:
        count = 0
        while not self._stopping.is_set() and (self._loops or count < self._drive.frames):
            began_ns = time.monotonic_ns()
            index = count % self._drive.frames
            image = read_picture(self._drive.folder, index)
            truth = build_truth(read_labels(self._drive.folder, index))
            yield Picture(image, began_ns, count / self._drive.config.fps, truth)
            count += 1


def build_truth(labels: tuple[ObjectLabel, ...]) -> Truth:
    """The objects that are seen clearly, as a detector should find them."""
    mapping = MAPPINGS["synthetic"].boxes
    clear = [label for label in labels if is_clear(label)]
    return Truth(
        boxes_xyxy=np.array([label.box_xyxy for label in clear], np.float32).reshape(-1, 4),
        class_ids=np.array([BOX_CLASSES.index(mapping[o.kind]) for o in clear], np.int64),
    )


def cached_drive(config: DriveConfig, renderer: str = RENDERER) -> StoredDrive:
    """The drive of a configuration, rendered on every core where it is not kept yet; the log tells how far it is."""
    folder = cache_folder(config)
    return write_drive(config, folder, progress=_teller(folder), renderer=renderer)


def _teller(folder: Path) -> Callable[[int, int], None]:
    told = -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        if told < 0 and done < total:
            logger.info("rendering a drive of %d frames once, into %s", total, folder)
        step = int(done / total / TOLD_EVERY)
        if 0 <= told < step:
            logger.info("%d of %d frames", done, total)
        told = step

    return tell
