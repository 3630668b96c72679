"""Random numbers that are the same on every machine and in every version of NumPy: keyed by what they are for, not by when they are drawn."""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Chance:
    """A stream of random numbers.

    Only PCG64's uniform doubles are taken from NumPy; everything else is made of them here, because NumPy's other
    distributions may change between versions.

    Args:
        key: what the numbers are for, such as ``(seed, "trees", 12)``; equal keys give equal streams.
    """

    def __init__(self, *key: int | str) -> None:
        digest = hashlib.sha256(repr(key).encode()).digest()
        bits = np.random.PCG64(int.from_bytes(digest[:16], "little"))
        self._random = np.random.Generator(bits).random

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Evenly in ``[low, high)``."""
        return low + (high - low) * float(self._random())

    def integer(self, count: int) -> int:
        """Evenly one of 0 ... count - 1."""
        return int(self._random() * count)

    def choice(self, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the items, all as likely unless weights (of any sum) are given."""
        if weights is None:
            return items[self.integer(len(items))]
        left = self.uniform(0.0, math.fsum(weights))
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        """Normally distributed (Box and Muller, 1958)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - float(self._random())))
        return mean + std * radius * math.cos(2.0 * math.pi * float(self._random()))

    def flag(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self._random() < probability)
