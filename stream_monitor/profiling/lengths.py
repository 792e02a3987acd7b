"""Lengths of a field's strings (bytes) or containers (elements, keys): integer sums, so exact by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.profiling.codec import int_bytes, read_int


@dataclass(frozen=True, slots=True)
class LengthMoments:
    """Sums over lengths."""

    count: int = 0
    sum: int = 0
    sum_squares: int = 0
    minimum: int | None = None
    maximum: int | None = None

    @classmethod
    def from_lengths(cls, lengths: NDArray[np.uint32]) -> LengthMoments:
        """Of `lengths` (n,), n < 2^20 at once when they may be large: squares are added in 64 bits. About 3 ns each."""
        if lengths.size == 0:
            return cls()
        wide = lengths.astype(np.uint64)
        return cls(int(wide.size), int(wide.sum()), int((wide * wide).sum()), int(wide.min()), int(wide.max()))

    def merge(self, other: LengthMoments) -> LengthMoments:
        """Of both."""
        if not self.count or not other.count:
            return other if other.count else self
        assert self.minimum is not None and other.minimum is not None and self.maximum is not None and other.maximum is not None  # noqa: PT018
        return LengthMoments(
            self.count + other.count, self.sum + other.sum, self.sum_squares + other.sum_squares,
            min(self.minimum, other.minimum), max(self.maximum, other.maximum),
        )

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        return self.sum / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """Unbiased; NaN of fewer than two."""
        if self.count < 2:
            return math.nan
        return float((self.sum_squares - Fraction(self.sum * self.sum, self.count)) / (self.count - 1))

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [self.count, int_bytes(self.sum), int_bytes(self.sum_squares), self.minimum, self.maximum]

    @classmethod
    def from_state(cls, state: list[Any]) -> LengthMoments:
        """Inverse of `to_state`."""
        low, high = (None if limit is None else int(limit) for limit in state[3:5])
        return cls(int(state[0]), read_int(state[1]), read_int(state[2]), low, high)
