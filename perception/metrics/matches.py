"""Boxes matched with labelled ones, frame by frame, and what can be counted from the matches. NumPy only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from perception.core.errors import check_array
from perception.core.labels import BOX_CLASSES
from perception.core.types import Bool, Float32, Float64, Int64

MATCH_IOU = 0.5  # a found box is right where it meets a labelled one of its class at this IoU
SMALL_PX, LARGE_PX = 25.0, 60.0  # heights in px of the frame that part small, medium and large
# suffix of the figure -> lowest and highest height of a box in px; a box on a bound is in both, as in COCO's areas
SIZES: Mapping[str, tuple[float, float]] = {
    "": (0.0, 1e10),
    "_small": (0.0, SMALL_PX),
    "_medium": (SMALL_PX, LARGE_PX),
    "_large": (LARGE_PX, 1e10),
}
# name -> from, and up to but without, metres ahead of the camera
DISTANCE_BANDS_M: Mapping[str, tuple[float, float]] = {
    "0-15m": (0.0, 15.0),
    "15-30m": (15.0, 30.0),
    "30-50m": (30.0, 50.0),
    "over_50m": (50.0, np.inf),
}
RIGHT, WRONG, NOT_COUNTED = 1, 0, -1
RECALLS = np.linspace(0.0, 1.0, 101)
CHUNK = 2_000_000  # numbers of one intermediate table: 16 MB

Int8 = np.ndarray[tuple[int, ...], np.dtype[np.int8]]


@dataclass(frozen=True, slots=True, eq=False)
class FrameMatches:
    """The boxes of one frame that are asked for and judged, matched at `MATCH_IOU`; S sizes as in `SIZES`.

    Attributes:
        rows: ``int64[N]``, which of the frame's detections these are, best first within a class.
        class_ids: ``int64[N]``, index into `BOX_CLASSES`.
        scores: ``float32[N]`` in (0, 1].
        verdicts: ``int8[S, N]``, `RIGHT`, `WRONG` or, where the box or what it meets is of another size, `NOT_COUNTED`.
        truth_xyxy: ``float32[K, 4]``, px of the frame.
        truth_class_ids: ``int64[K]``.
        truth_scores: ``float32[K]``, of the found box that met it; 0 where none did.
        truth_counted: ``bool[S, K]``, whether the labelled box is of the size.
        truth_distances_m: ``float32[K]`` ahead of the camera, NaN where unknown.
    """

    rows: Int64
    class_ids: Int64
    scores: Float32
    verdicts: Int8
    truth_xyxy: Float32
    truth_class_ids: Int64
    truth_scores: Float32
    truth_counted: Bool
    truth_distances_m: Float32

    def __post_init__(self) -> None:
        n, k = len(self.rows), len(self.truth_xyxy)
        check_array("FrameMatches.class_ids", self.class_ids, np.int64, (n,))
        check_array("FrameMatches.scores", self.scores, np.float32, (n,))
        check_array("FrameMatches.verdicts", self.verdicts, np.int8, (len(SIZES), n))
        check_array("FrameMatches.truth_class_ids", self.truth_class_ids, np.int64, (k,))
        check_array("FrameMatches.truth_scores", self.truth_scores, np.float32, (k,))
        check_array("FrameMatches.truth_counted", self.truth_counted, np.bool_, (len(SIZES), k))
        check_array("FrameMatches.truth_distances_m", self.truth_distances_m, np.float32, (k,))

    def missed(self, score_threshold: float) -> Bool:
        """``bool[K]``: labelled boxes that no box of at least this score met."""
        found: Bool = (self.truth_scores > 0) & (self.truth_scores >= score_threshold)
        return ~found


@dataclass(frozen=True, slots=True, eq=False)
class BoxRecords:
    """The matches of F frames, as much of them as the figures need; C box classes, S sizes, D bands of distance.

    Attributes:
        frame_ids: ``int64[N]``, frame of each found box, ascending from 0.
        class_ids: ``int64[N]``, index into `BOX_CLASSES`.
        scores: ``float32[N]`` in (0, 1].
        verdicts: ``int8[S, N]``, see `FrameMatches`.
        labelled: ``int64[F, S, C]``, labelled boxes.
        distances: ``int64[F, D, 2]``, labelled boxes of known distance, and those of them that were found with at least
            the threshold's score.
    """

    frame_ids: Int64
    class_ids: Int64
    scores: Float32
    verdicts: Int8
    labelled: Int64
    distances: Int64

    def __post_init__(self) -> None:
        n, frames = len(self.frame_ids), len(self.labelled)
        check_array("BoxRecords.frame_ids", self.frame_ids, np.int64, (None,))
        check_array("BoxRecords.class_ids", self.class_ids, np.int64, (n,))
        check_array("BoxRecords.scores", self.scores, np.float32, (n,))
        check_array("BoxRecords.verdicts", self.verdicts, np.int8, (len(SIZES), n))
        shape = (frames, len(SIZES), len(BOX_CLASSES))
        check_array("BoxRecords.labelled", self.labelled, np.int64, shape)
        bands = (frames, len(DISTANCE_BANDS_M), 2)
        check_array("BoxRecords.distances", self.distances, np.int64, bands)

    @property
    def frames(self) -> int:
        """How many, those without boxes too."""
        return len(self.labelled)


def join_matches(frames: Sequence[FrameMatches | None], score_threshold: float) -> BoxRecords:
    """Put frames together, in their order; ``None`` is a frame whose boxes nobody labelled or looked for.

    Args:
        frames: F frames.
        score_threshold: from which a box counts as found in `BoxRecords.distances`, in [0, 1].
    """
    labelled = np.zeros((len(frames), len(SIZES), len(BOX_CLASSES)), np.int64)
    distances = np.zeros((len(frames), len(DISTANCE_BANDS_M), 2), np.int64)
    given = [(i, matches) for i, matches in enumerate(frames) if matches is not None]
    for i, matches in given:
        for size, counted in enumerate(matches.truth_counted):
            ids = matches.truth_class_ids[counted]
            labelled[i, size] = np.bincount(ids, minlength=len(BOX_CLASSES))
        found = ~matches.missed(score_threshold)
        for band, (low, high) in enumerate(DISTANCE_BANDS_M.values()):
            inside = (matches.truth_distances_m >= low) & (matches.truth_distances_m < high)
            distances[i, band] = inside.sum(), (inside & found).sum()
    empty = np.zeros(0, np.int64)
    return BoxRecords(
        frame_ids=np.repeat([i for i, _ in given], [len(m.rows) for _, m in given]).astype(
            np.int64
        ),
        class_ids=np.concatenate([empty, *(m.class_ids for _, m in given)]),
        scores=np.concatenate([empty.astype(np.float32), *(m.scores for _, m in given)]),
        verdicts=np.concatenate(
            [np.zeros((len(SIZES), 0), np.int8), *(m.verdicts for _, m in given)], axis=1
        ),
        labelled=labelled,
        distances=distances,
    )


def matched_figures(records: BoxRecords, blocks: Int64, draws: Int64) -> dict[str, Float64]:
    """The figures of boxes, of any number of drawn samples at once.

    Args:
        records: of F frames.
        blocks: ``int64[F]`` in [0, B), the block of each frame.
        draws: ``int64[R, B]``, how often each sample holds each block.

    Returns:
        ``float64[R]`` each, in [0, 1]: ``ap50``, ``ap50/CLASS``, ``ap50_SIZE`` for the sizes in `SIZES`, and ``recall/BAND`` for
        `DISTANCE_BANDS_M`. NaN in a sample without labelled boxes of the kind; the means over classes take those that the
        sample has. Figures without a labelled box in any frame are left out.
    """
    figures: dict[str, Float64] = {}
    for size, suffix in enumerate(SIZES):
        seen = np.flatnonzero(records.labelled[:, size].sum(axis=0)).tolist()
        if not seen:
            continue
        by_class = np.stack([average_precision(records, size, i, blocks, draws) for i in seen])
        known = ~np.isnan(by_class)
        total = np.where(known, by_class, 0).sum(axis=0)
        figures[f"ap50{suffix}"] = _share(total, known.sum(axis=0))
        if not suffix:
            figures |= {f"ap50/{BOX_CLASSES[i]}": v for i, v in zip(seen, by_class, strict=True)}
    width = draws.shape[1]
    for band, name in enumerate(DISTANCE_BANDS_M):
        labelled, found = (
            np.asarray(draws @ np.bincount(blocks, weights=column, minlength=width), np.float64)
            for column in records.distances[:, band].T
        )
        if labelled.any():
            figures[f"recall/{name}"] = _share(found, labelled)
    return figures


def average_precision(
    records: BoxRecords, size: int, class_id: int, blocks: Int64, draws: Int64
) -> Float64:
    """AP at `MATCH_IOU` of one class, 101-point interpolated as in COCO, of drawn samples.

    A block that is drawn twice counts as two blocks. Of boxes with the same score, the order is that of the frames.

    Source:
        Lin et al., "Microsoft COCO", 2014, https://arxiv.org/abs/1405.0312, as its detection evaluation accumulates it.
        Differs from it: precision is looked up at right boxes only, where its peaks are.

    Args:
        records: of F frames.
        size: index into `SIZES`.
        class_id: index into `BOX_CLASSES`.
        blocks: ``int64[F]`` in [0, B).
        draws: ``int64[R, B]``.

    Returns:
        ``float64[R]`` in [0, 1]; NaN in a sample without labelled boxes.
    """
    width = draws.shape[1]
    kept = (records.class_ids == class_id) & (records.verdicts[size] != NOT_COUNTED)
    order = np.flatnonzero(kept)[np.argsort(-records.scores[kept], kind="stable")]
    right = records.verdicts[size, order] == RIGHT
    block = blocks[records.frame_ids[order]]
    hits = int(right.sum())
    labelled = np.bincount(blocks, weights=records.labelled[:, size, class_id], minlength=width)
    # [B, hits]: boxes of each block down to each right box: right ones with it, wrong ones before it
    right_to = np.zeros((width, hits))
    right_to[block[right], np.arange(hits)] = 1
    wrong_to = np.zeros((width, hits + 1))
    np.add.at(wrong_to, (block[~right], np.cumsum(right)[~right]), 1)
    right_to, wrong_to = right_to.cumsum(axis=1), wrong_to[:, :-1].cumsum(axis=1)
    parts = np.array_split(draws.astype(np.float64), max(1, ceil(len(draws) * hits / CHUNK)))
    return np.concatenate([_interpolated(p @ right_to, p @ wrong_to, p @ labelled) for p in parts])


def _interpolated(right: Float64, wrong: Float64, labelled: Float64) -> Float64:
    """``float64[R, hits]`` right and wrong boxes down to each right one, ``float64[R]`` labelled ones -> ``float64[R]``."""
    precision = right / (right + wrong + np.spacing(1))
    # the best at this recall or a higher one; beyond the last, none
    best = np.zeros((len(right), right.shape[1] + 1))
    best[:, :-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = np.full(len(right), np.nan)
    for i in np.flatnonzero(labelled):
        places = np.searchsorted(right[i] / labelled[i], RECALLS, side="left")
        found[i] = best[i, places].mean()
    return found


def _share(part: Float64, whole: Float64 | Int64) -> Float64:
    share: Float64 = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share
