"""Views from what the user named: pictures, a recording, or a camera that runs."""

import glob
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception.calibration.boards.board import Board
from perception.calibration.boards.find import Skipped, View, find_view
from perception.core.errors import InputError
from perception.core.types import UInt8
from perception.sources import open_source, source_kind
from perception.sources.base import Source
from perception.sources.images import SUFFIXES, read_picture

SIZE_TOLERANCE_PX = (
    2  # pictures that miss the others' size by this much are left out, by more: all are refused
)
LOOKS_HZ = 4.0  # how often a recording is searched
STILL = 0.005  # of the picture's width: how far corners may have moved since the frame before
NEW = 0.04  # of the picture's diagonal: how far, on average, a view's corners are from those of each other one
BLUR = 2.0  # times the median width of edges: wider ones are blurred
BLUR_PX = 3.0  # and wider than this

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What a camera's pictures gave.

    Attributes:
        views: those with a board.
        skipped: those without, each with its reason.
        size_wh: of the pictures, px.
        picture: the picture of the view whose corners spread widest, ``uint8[H, W, 3]``.
        looked: pictures that were searched.
    """

    views: tuple[View, ...]
    skipped: tuple[Skipped, ...]
    size_wh: tuple[int, int]
    picture: UInt8
    looked: int


def is_pictures(specs: Sequence[str]) -> bool:
    """Whether these are folders, patterns or names of pictures, not one recording or camera."""
    return (
        len(specs) != 1
        or Path(specs[0]).is_dir()
        or Path(specs[0]).suffix.lower() in SUFFIXES
        or (source_kind(specs[0]) == "video" and not Path(specs[0]).exists() and _magic(specs[0]))
    )


def picture_paths(specs: Sequence[str]) -> list[Path]:
    """The pictures of folders, patterns and names, each once, in the order of their names within each.

    Raises:
        InputError: one of them leads to no picture.
    """
    paths: dict[Path, None] = {}
    for spec in specs:
        if Path(spec).is_dir():
            found = sorted(p for p in Path(spec).iterdir() if p.suffix.lower() in SUFFIXES)
        elif _magic(spec) and not Path(spec).exists():
            found = sorted(Path(p) for p in glob.glob(spec) if Path(p).suffix.lower() in SUFFIXES)  # noqa: PTH207 (the pattern may start at the root)
        else:
            found = [Path(spec)]
        if not found:
            raise InputError(f"{spec}: no pictures there; expected files named *.png or *.jpg")
        paths.update(dict.fromkeys(found))
    return list(paths)


def from_pictures(paths: Sequence[Path], board: Board) -> Gathered:
    """Search pictures for boards.

    Raises:
        InputError: only one picture, none that can be read, or of sizes that no one camera gives.
    """
    if len(paths) < 2:
        raise InputError(
            f"{paths[0]}: one picture only: a single view of a flat board cannot tell the focal length from the distance; expected at least "
            "3, better 15, with the board tilted in different directions and in every part of the picture"
        )
    skipped: list[Skipped] = []
    sizes: dict[Path, tuple[int, int]] = {}
    for path in paths:
        try:
            height, width = read_picture(path).shape[:2]
        except InputError as error:
            skipped.append(Skipped(path.name, str(error).removeprefix(f"{path}: ")))
        else:
            sizes[path] = width, height
    if not sizes:
        raise InputError(f"{paths[0]}: {skipped[0].reason}; nor can any other picture be read")
    size_wh = _common_size(sizes)
    views: list[View] = []
    best, widest = None, -1.0
    for path, size in sizes.items():
        if size != size_wh:
            skipped.append(Skipped(path.name, f"is {_told(size)}, the others {_told(size_wh)}"))
            continue
        image = read_picture(path)
        found = find_view(image, path.name, board)
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        views.append(found)
        if (spread := float(np.ptp(found.corners_px, axis=0).prod())) > widest:
            best, widest = image, spread
    kept, blurred = _without_blurred(views)
    picture = best if best is not None else read_picture(next(iter(sizes)))
    kept, mirrored = _without_mirrored(kept)
    return Gathered(tuple(kept), (*skipped, *blurred, *mirrored), size_wh, picture, len(paths))


def from_source(spec: str, board: Board, most: int) -> Gathered:
    """Take views from a recording or a camera: those where the board is still and lies elsewhere than before.

    A camera runs until `most` views are taken, or until Ctrl-C, which keeps what was taken.

    Raises:
        InputError: it cannot be opened, or breaks.
    """
    with open_source(spec) as source:
        taker = Taker(board, source.size_wh, most)
        if source.live:
            logger.info(
                "%s: hold the board still in many places and tilts; Ctrl-C ends the taking", spec
            )
        try:
            for name, image in _frames(source):
                if taker.look(image, name):
                    break
        except KeyboardInterrupt:
            if not source.live:
                raise
            logger.info("%d views taken", len(taker.views))
        if taker.picture is None:
            raise InputError(f"{spec}: no frame came")
        kept, blurred = _without_blurred(taker.views)
        kept, mirrored = _without_mirrored(kept)
        return Gathered(
            tuple(kept),
            (*taker.skipped, *blurred, *mirrored),
            source.size_wh,
            taker.picture,
            taker.looked,
        )


class Taker:
    """Takes views out of a stream of frames.

    Args:
        board: what to look for.
        size_wh: of the frames, px; frames of another size are not looked at.
        most: views to take.
    """

    def __init__(self, board: Board, size_wh: tuple[int, int], most: int) -> None:
        self.views: list[View] = []
        self.skipped: list[Skipped] = []
        self.looked = 0
        self.picture: UInt8 | None = None
        self._board, self._size_wh, self._most = board, size_wh, most
        self._before: View | None = None
        self._empty = 0  # frames without a board

    def look(self, image: UInt8, name: str) -> bool:
        """Look at a frame; tell whether enough views are taken."""
        if self.picture is None:
            self.picture = image
        if (image.shape[1], image.shape[0]) != self._size_wh:
            return False
        self.looked += 1
        # a few are explained, for the message where none is found; each takes longer than the search
        found = find_view(image, name, self._board, explain=self._empty < 3 and not self.views)
        if isinstance(found, Skipped):
            self._empty += 1
            if len(self.skipped) < 3:
                self.skipped.append(found)
            self._before = None
            return False
        before, self._before = self._before, found
        still = before is not None and _apart(before, found) < STILL * self._size_wh[0]
        far = NEW * float(np.hypot(*self._size_wh))
        if still and all(_apart(view, found) > far for view in self.views):
            self.views.append(found)
            self.picture = image
            logger.info(
                "view %d of at most %d: %s%s", len(self.views), self._most, name, self._wanted()
            )
        return len(self.views) >= self._most

    def _wanted(self) -> str:
        """Which part of the picture no corner was in yet."""
        corners = np.concatenate([view.corners_px for view in self.views]) / self._size_wh
        low, high = corners.min(axis=0), corners.max(axis=0)
        sides = {"left": low[0], "top": low[1], "right": 1 - high[0], "bottom": 1 - high[1]}
        missing = [name for name, gap in sides.items() if gap > 0.12]
        return f"; nothing yet near the {', '.join(missing)} edge" if missing else ""


def _frames(source: Source) -> Iterator[tuple[str, UInt8]]:
    """Frames to look at, two in a row of a recording, some times a second: two tell whether the board is still."""
    step = 1 if source.live or not source.fps else max(2, round(source.fps / LOOKS_HZ))
    for frame in source:
        if frame.frame_id % step < 2:
            yield f"frame {frame.frame_id}", frame.image


def _apart(one: View, other: View) -> float:
    """Mean distance of the corners that both have, px; infinite where there are none."""
    _, mine, yours = np.intersect1d(one.ids, other.ids, return_indices=True)
    if not len(mine):
        return float("inf")
    return float(np.linalg.norm(one.corners_px[mine] - other.corners_px[yours], axis=1).mean())


def _common_size(sizes: dict[Path, tuple[int, int]]) -> tuple[int, int]:
    """The size of most pictures; refuses the lot where another is not nearly the same."""
    counts = Counter(sizes.values())
    size_wh = counts.most_common(1)[0][0]
    for path, size in sizes.items():
        if max(abs(a - b) for a, b in zip(size, size_wh, strict=True)) > SIZE_TOLERANCE_PX:
            told = ", ".join(f"{n} of {_told(s)}" for s, n in counts.most_common())
            raise InputError(
                f"pictures of different sizes: {told} (such as {path.name}); expected those of one camera at one setting: sort them "
                "and calibrate each by itself"
            )
    return size_wh


def _without_blurred(views: Sequence[View]) -> tuple[list[View], list[Skipped]]:
    """Leave out views whose edges are much wider than those of the others."""
    edges = [view.edge_px for view in views if view.edge_px is not None]
    if not edges:
        return list(views), []
    median = float(np.median(edges))
    limit = max(BLUR * median, BLUR_PX)
    blurred = [v for v in views if v.edge_px is not None and v.edge_px > limit]
    told = [
        Skipped(v.name, f"blurred: edges are {v.edge_px:.1f} px wide, of the others {median:.1f}")
        for v in blurred
    ]
    return [v for v in views if v not in blurred], told


def _without_mirrored(views: Sequence[View]) -> tuple[list[View], list[Skipped]]:
    """Leave out views whose squares have the other colours, where the board shows it."""
    dark = [view.first_dark for view in views]
    fewer = sum(d is True for d in dark) * 2 <= sum(d is not None for d in dark)
    odd = [view for view in views if view.first_dark is fewer]
    told = [
        Skipped(
            view.name,
            f"mirrored: black and white are exchanged against {len(views) - len(odd)} other views",
        )
        for view in odd
    ]
    return [view for view in views if view not in odd], told


def _magic(spec: str) -> bool:
    return glob.has_magic(spec)


def _told(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}"
