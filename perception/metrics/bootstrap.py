"""How sure figures are: the same figures of frames drawn again from those at hand. NumPy only.

Source:
    Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.3 (percentile intervals); drawn are whole blocks
    of neighbouring frames (Kuensch, Annals of Statistics 1989), for frames of one drive look alike. Differs from the latter:
    the blocks do not overlap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from perception.core.errors import ConfigError, InputError, check_array
from perception.core.labels import MAP_CLASSES
from perception.core.types import Bool, Float64, Int64
from perception.metrics.matches import BoxRecords, matched_figures
from perception.metrics.segmentation import IDS, Confusion, suffixed

INTERVAL = (2.5, 97.5)  # percentiles: 95 %
MIN_BLOCKS = (
    5  # these make 126 different samples; those of 4, 35, do not reach to the ends of 2.5 %
)
SEED = 0  # the same frames for whatever is compared

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How frames are drawn.

    Attributes:
        resamples: how many samples, each of as many blocks as there are.
        block: frames that are drawn together, neighbours in the set's order: frames of one drive look alike.

    Raises:
        ConfigError: one of them is below 1.
    """

    resamples: int = 1000
    block: int

    def __post_init__(self) -> None:
        if min(self.resamples, self.block) < 1:
            raise ConfigError(
                f"resampling: expected at least 1 resample and 1 frame in a block, got {self.resamples} and {self.block}"
            )

    def blocks(self, frames: int) -> Int64:
        """``int64[frames]``: the block of each frame, from 0."""
        return np.arange(frames) // self.block

    def draws(self, blocks: int) -> Int64:
        """``int64[resamples, blocks]``: how often each sample holds each block; the same at every call."""
        luck = np.random.default_rng(SEED)
        return luck.multinomial(blocks, np.full(blocks, 1 / blocks), self.resamples)


@dataclass(frozen=True, slots=True, eq=False)
class FrameRecords:
    """What the figures of F frames are counted from, frame by frame.

    Attributes:
        counts: ``int64[F, label, prediction]`` pixels as in `Confusion.decided`, by the suffix of the figures they give; zeros
            for a frame without a class map.
        boxes: of the same frames.
    """

    counts: Mapping[str, Int64]
    boxes: BoxRecords

    def __post_init__(self) -> None:
        for suffix, counts in self.counts.items():
            shape = (self.frames, IDS, IDS + 1)
            check_array(f"FrameRecords.counts{suffix}", counts, np.int64, shape)

    @property
    def frames(self) -> int:
        """How many."""
        return self.boxes.frames

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Named arrays for an npz: ``counts``, ``counts_SUFFIX``, and ``boxes_FIELD`` for each field of `BoxRecords`."""
        arrays: dict[str, NDArray[np.generic]] = {
            f"counts{suffix}": counts for suffix, counts in self.counts.items()
        }
        for field in fields(BoxRecords):
            arrays[f"boxes_{field.name}"] = getattr(self.boxes, field.name)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "FrameRecords":
        """The inverse of `to_arrays`.

        Raises:
            InputError: an array is missing or of another kind, as in files from before boxes were recorded.
        """
        try:
            boxes = BoxRecords(**{f.name: arrays[f"boxes_{f.name}"] for f in fields(BoxRecords)})  # type: ignore[arg-type]  # checked when made
            counts = {n[len("counts") :]: a for n, a in arrays.items() if n.startswith("counts")}
            return cls(counts, boxes)  # type: ignore[arg-type]
        except (KeyError, ValueError) as error:
            raise InputError(
                f"records of frames: expected pixel counts and boxes: {error}"
            ) from error


def resample_figures(
    records: FrameRecords,
    resampling: Resampling,
    classes: Sequence[int] = tuple(range(len(MAP_CLASSES))),
) -> dict[str, Float64]:
    """Figures of drawn frames.

    Args:
        records: of F frames.
        resampling: how they are drawn; the same for records of as many frames, so that these can be compared in pairs.
        classes: ids of the map classes that are scored.

    Returns:
        ``float64[resamples]`` by the names that `perception.metrics.evaluator.Evaluator.compute` uses, for figures at the best
        class and of boxes at IoU 0.5. A figure that some sample does not allow, for a class that few frames have, is left
        out; so is every figure where there are fewer than `MIN_BLOCKS` blocks.
    """
    blocks = resampling.blocks(records.frames)
    number = int(blocks[-1]) + 1 if len(blocks) else 0
    if number < MIN_BLOCKS:
        return {}
    draws = resampling.draws(number)
    drawn: dict[str, Float64] = {}
    for suffix, counts in records.counts.items():
        found = _pixel_figures(counts, blocks, draws, classes)
        drawn |= {suffixed(name, suffix): values for name, values in found.items()}
    drawn |= matched_figures(records.boxes, blocks, draws)
    return {name: values for name, values in drawn.items() if not np.isnan(values).any()}


def interval(drawn: Float64) -> Interval:
    """Ends of the 95 % interval of a figure, or of a difference of figures, from ``float64[resamples]``."""
    low, high = np.percentile(drawn, INTERVAL)
    return float(low), float(high)


def _pixel_figures(
    counts: Int64, blocks: Int64, draws: Int64, classes: Sequence[int]
) -> dict[str, Float64]:
    """Every figure of every draw; a figure that some draw does not allow is left out."""
    grouped: Bool = np.asarray(counts[:, len(MAP_CLASSES) :].any(axis=(1, 2)))
    single = np.where(grouped[:, None, None], 0, counts)
    starts = np.flatnonzero(np.diff(blocks, prepend=-1))
    decided_drawn, single_drawn = (
        np.tensordot(draws, np.add.reduceat(part, starts), axes=1) for part in (counts, single)
    )
    found = [
        Confusion(*both).figures(classes) for both in zip(decided_drawn, single_drawn, strict=True)
    ]
    names = [name for name in found[0] if all(name in figures for figures in found)]
    return {name: np.array([figures[name] for figures in found]) for name in names}
