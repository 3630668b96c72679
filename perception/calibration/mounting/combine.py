"""Many noisy values become one with an uncertainty, and several estimates of one quantity are joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import NormalDist

import numpy as np

from perception.core.types import Float64

NORMAL_95 = NormalDist().inv_cdf(0.975)  # sigmas of a 95 % interval
BLOCK_S = 1.0  # a mounting swings on its springs at about 1 Hz: what lies closer together is not independent
LEAST_BLOCKS = 3
RESAMPLES = 500
OUTLIER_MADS = 4.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """One quantity.

    Attributes:
        value: of it.
        sigma: one standard deviation, so that the 95 % interval is value +- NORMAL_95 sigma, few stretches allowed for.
        count: pictures, pairs or boxes that it is made of.
    """

    value: float
    sigma: float
    count: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %."""
        return self.value - NORMAL_95 * self.sigma, self.value + NORMAL_95 * self.sigma

    def widened(self, systematic: float) -> "Estimate":
        """With what all of its values have in common: one standard deviation of it."""
        return Estimate(self.value, hypot(self.sigma, systematic), self.count)


def robust_mean(values: Float64) -> float:
    """Mean of those within `OUTLIER_MADS` deviations of the median."""
    middle = np.median(values)
    off = np.abs(values - middle)
    return float(values[off <= OUTLIER_MADS * 1.4826 * np.median(off) + 1e-12].mean())


def estimate(values: Float64, times_s: Float64, random: np.random.Generator) -> Estimate | None:
    """Robust mean and its uncertainty by bootstrap over stretches of `BLOCK_S`; ``None`` with fewer than `LEAST_BLOCKS` of them.

    Args:
        values: ``float64[N]``.
        times_s: ``float64[N]``, of each.
        random: draws the stretches.
    """
    if not len(values):
        return None
    stretch = np.floor((times_s - times_s.min()) / BLOCK_S).astype(int)
    blocks = [values[stretch == index] for index in np.unique(stretch)]
    if len(blocks) < LEAST_BLOCKS:
        return None
    drawn = random.integers(0, len(blocks), (RESAMPLES, len(blocks)))
    means = [robust_mean(np.concatenate([blocks[i] for i in row])) for row in drawn]
    n = len(blocks)
    sigma = float(np.std(means)) * sqrt(n / (n - 1)) * student_95(n - 1) / NORMAL_95
    return Estimate(robust_mean(values), sigma, len(values))


def student_95(freedom: int) -> float:
    """Half width of the 95 % interval of Student's t, by its expansion about the normal; 3 % low at 2 degrees of freedom."""
    z = NORMAL_95
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + (z**3 + z) / (4 * freedom) + second / freedom**2 + third / freedom**3


@dataclass(frozen=True, slots=True)
class Joined:
    """One quantity from several cues.

    Attributes:
        estimate: of all.
        cues: of each.
        disagree: what to tell of cues that differ by more than their 95 % intervals allow.
    """

    estimate: Estimate
    cues: Mapping[str, Estimate]
    disagree: tuple[str, ...]


def join(cues: Mapping[str, Estimate], name: str, unit: str) -> Joined | None:
    """Mean weighted by the inverse variances; where the cues scatter more than those say, the sigma grows with it (Birge's ratio)."""
    if not cues:
        return None
    listed = list(cues.items())
    values = np.array([one.value for _, one in listed])
    weights = np.array([1 / max(one.sigma, 1e-9) ** 2 for _, one in listed])
    value = float((weights * values).sum() / weights.sum())
    sigma = float(weights.sum() ** -0.5)
    if len(listed) > 1:
        ratio = float((weights * (values - value) ** 2).sum() / (len(listed) - 1))
        sigma *= sqrt(max(1.0, ratio))
    told = []
    for index, (first, a) in enumerate(listed):
        for second, b in listed[index + 1 :]:
            allowed = NORMAL_95 * hypot(a.sigma, b.sigma)
            if abs(a.value - b.value) > allowed:
                told.append(
                    f"{name}: {first} says {a.value:.2f} {unit}, {second} says {b.value:.2f} {unit}: "
                    f"{abs(a.value - b.value):.2f} apart, at most {allowed:.2f} expected"
                )
    count = sum(one.count for _, one in listed)
    return Joined(Estimate(value, sigma, count), dict(listed), tuple(told))
