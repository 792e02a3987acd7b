"""Count, mean, variance, smallest and largest of a field's numbers, merged exactly.

Sums are exact (`exact_sum`), so they don't depend on how the numbers were split. Squares are rounded to float64 before they are added:
the variance loses about 1e-16 * mean^2, which matters only for numbers like epoch microseconds. Numbers that are not finite, and those
whose square would overflow, are counted apart: no single value can be a catastrophe.

>>> import numpy as np
>>> moments = ExactMoments.from_numbers(np.array([1.0, 2.0, 3.0, np.inf]))
>>> moments.count, moments.mean, moments.variance, moments.extreme
(3, 2.0, 1.0, 1)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.profiling.exact_sum import ZERO, Dyadic

LARGEST = 1e150
"""Numbers beyond it are counted in `extreme` instead of summed."""


@dataclass(frozen=True, slots=True)
class ExactMoments:
    """Sums over the numbers of a field whose magnitude is at most `LARGEST`."""

    count: int = 0
    """Numbers summed."""
    extreme: int = 0
    """Numbers left out: NaN, infinite, or beyond `LARGEST`."""
    sum: Dyadic = ZERO
    sum_squares: Dyadic = ZERO
    """Of x * x rounded to float64."""
    minimum: float = math.inf
    """Of the numbers summed; inf if none."""
    maximum: float = -math.inf
    """Of the numbers summed; -inf if none."""

    @classmethod
    def from_numbers(cls, numbers: NDArray[np.float64]) -> ExactMoments:
        """Of `numbers` (n,). About 15 ns each."""
        kept = usual(numbers)
        if kept.size == 0:
            return cls(extreme=int(numbers.size))
        return cls(
            int(kept.size), int(numbers.size - kept.size), Dyadic.sum_of(kept), Dyadic.sum_of(kept * kept),
            float(kept.min()) + 0.0, float(kept.max()) + 0.0,
        )

    def merge(self, other: ExactMoments) -> ExactMoments:
        """Of both."""
        return ExactMoments(
            self.count + other.count, self.extreme + other.extreme, self.sum + other.sum, self.sum_squares + other.sum_squares,
            min(self.minimum, other.minimum), max(self.maximum, other.maximum),
        )

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        return float(self.sum.fraction() / self.count) if self.count else math.nan

    @property
    def variance(self) -> float:
        """Unbiased; NaN of fewer than two."""
        if self.count < 2:
            return math.nan
        total = self.sum.fraction()
        return max(0.0, float((self.sum_squares.fraction() - total * total / self.count) / (self.count - 1)))

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [self.count, self.extreme, self.sum.to_state(), self.sum_squares.to_state(), self.minimum, self.maximum]

    @classmethod
    def from_state(cls, state: list[Any]) -> ExactMoments:
        """Inverse of `to_state`."""
        total, squares = Dyadic.from_state(state[2]), Dyadic.from_state(state[3])
        return cls(int(state[0]), int(state[1]), total, squares, float(state[4]), float(state[5]))


def usual(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those of `numbers` that are finite and at most `LARGEST`; -0.0 becomes 0.0."""
    if numbers.size == 0:
        return numbers
    magnitudes = np.abs(numbers)
    if float(magnitudes.max()) <= LARGEST:  # False when any is NaN
        return numbers + 0.0
    return numbers[magnitudes <= LARGEST] + 0.0
