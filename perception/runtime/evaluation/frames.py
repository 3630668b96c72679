"""Which frames of which sets are looked at."""

from collections.abc import Iterator, Sequence

from perception.core.errors import ConfigError
from perception.core.types import UInt8
from perception.datasets import Dataset, Sample, open_dataset

DataSplits = Sequence[tuple[str, str]]


def open_datasets(datasets: DataSplits) -> dict[str, Dataset]:
    """Name and split of each set -> the set by its ``"SET:SPLIT"``.

    Raises:
        ConfigError: no set was named, or one that does not exist.
    """
    if not datasets:
        raise ConfigError("no data set was named; expected SET:SPLIT, for example camvid:val")
    return {f"{name}:{split}": open_dataset(name, split) for name, split in datasets}


def spread(length: int, limit: int | None) -> list[int]:
    """Indices of at most `limit` of `length` frames, evenly apart; raise `ConfigError` for a limit below 1."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 frame, got {limit}")
    count = length if limit is None else min(limit, length)
    return [i * length // count for i in range(count)]


class SpreadSamples(Sequence[tuple[str, Sample]]):
    """Name and sample of `frames` frames in all, spread evenly over the sets and within each; read from disk when asked for.

    Where a set has fewer than its share, the others give more.

    Raises:
        ConfigError: no set was named, or `frames` is below 1.
    """

    def __init__(self, datasets: DataSplits, frames: int) -> None:
        if frames < 1:
            raise ConfigError(f"frames: expected at least 1, got {frames}")
        opened = open_datasets(datasets)
        shares: dict[str, int] = {}
        for name in sorted(opened, key=lambda name: len(opened[name])):
            share = (frames - sum(shares.values())) // (len(opened) - len(shares))
            shares[name] = min(share, len(opened[name]))
        self._sets = opened
        self._chosen = [
            (name, index)
            for name, dataset in opened.items()
            if shares[name]
            for index in spread(len(dataset), shares[name])
        ]

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> tuple[str, Sample]:  # type: ignore[override]  # no slices
        name, place = self._chosen[index]
        sample = self._sets[name][place]
        return f"{name}/{sample.name}", sample


def spread_frames(datasets: DataSplits, frames: int) -> Iterator[tuple[str, UInt8]]:
    """Name and picture of the frames of `SpreadSamples`; raises as it does."""
    for name, sample in SpreadSamples(datasets, frames):
        yield name, sample.image
