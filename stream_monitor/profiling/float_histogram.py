"""Quantiles that need no reference and merge exactly: a histogram over the leading bits of float64.

The bits of a float, sign folded in, are an integer that orders as the numbers do. Its leading bits are a bucket: relative width
2^-m with m mantissa bits kept. Buckets start as single values and all lose a bit together while more than 1,024 are in use. That level
is the smallest at which the *union* fits, whatever the order of merges, because a part never needs a coarser level than the whole:
hence exact, associative, commutative, unlike KLL or t-digest, whose result depends on order or chance.

Error: `quantile` lies in the bucket of the true order statistic, so it is off by a factor of at most 1 + `relative_error`
(typically 2^-7 to 2^-9; 0 while there are at most 1,024 distinct numbers). Size: 16 bytes a bucket. Cost: 35 ns a number, 8 ns once
the level is known.

>>> import numpy as np
>>> FloatHistogram.from_numbers(np.arange(1.0, 101.0)).quantile(0.5)
50.0

Source: the layout is HDR histogram's (Tene, 2012); the level as a function of the union is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.profiling.codec import array_bytes, read_array
from stream_monitor.profiling.counted import Counts, Keys, count_keys, merge_counted
from stream_monitor.profiling.moments import usual

MAX_BUCKETS = 1024
_SIGN = np.uint64(1 << 63)
_MANTISSA_BITS = 52


@dataclass(frozen=True, slots=True, eq=False)
class FloatHistogram:
    """Counts of numbers by the top 64 - `shift` bits of their order-preserving representation."""

    shift: int
    """Bits dropped: 0 keeps numbers as they are."""
    buckets: Keys
    """(m,), m <= 1024, ascending."""
    counts: Counts
    """(m,)."""

    @classmethod
    def empty(cls) -> FloatHistogram:
        """Of no numbers."""
        return cls(0, np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))

    @classmethod
    def from_numbers(cls, numbers: NDArray[np.float64], *, shift: int = 0) -> FloatHistogram:
        """Of the finite `numbers` up to 1e150. `shift`: at least this coarse; right only when the result is then merged with a
        histogram of this shift.
        """
        return _fitted(shift, *count_keys(float_keys(usual(numbers)) >> np.uint64(shift)))

    def merge(self, other: FloatHistogram) -> FloatHistogram:
        """Of both. 5-10 us."""
        shift = max(self.shift, other.shift)
        mine, theirs = self.coarsened(shift), other.coarsened(shift)
        return _fitted(shift, *merge_counted(mine.buckets, mine.counts, theirs.buckets, theirs.counts))

    def coarsened(self, shift: int) -> FloatHistogram:
        """The same with `shift` bits dropped, if that is more than now."""
        return self if shift <= self.shift else FloatHistogram(shift, *_coarser(self.buckets, self.counts, shift - self.shift))

    @property
    def total(self) -> int:
        """Numbers counted."""
        return int(self.counts.sum())

    @property
    def relative_error(self) -> float:
        """Width of a bucket relative to its numbers (normal ones); 0 when numbers are kept as they are."""
        return 0.0 if self.shift == 0 else 2.0 ** (self.shift - _MANTISSA_BITS)

    def edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest number of each bucket, both (m,)."""
        low = self.buckets << np.uint64(self.shift)
        return key_floats(low), key_floats(low | np.uint64((1 << self.shift) - 1))

    def quantile(self, q: float) -> float:
        """`quantiles` of one."""
        return float(self.quantiles(np.array([q]))[0])

    def quantiles(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each 0 <= q <= 1 the ceil(q * n)-th smallest number, within its bucket (linearly); NaN of nothing."""
        if self.counts.size == 0:
            return np.full(len(q), np.nan)
        ends = np.cumsum(self.counts)
        ranks = np.clip(np.ceil(np.asarray(q) * ends[-1]), 1, ends[-1])
        place = np.searchsorted(ends, ranks)
        low, high = (edge[place] for edge in self.edges())
        within = (ranks - (ends - self.counts)[place] - 0.5) / self.counts[place]
        return np.asarray(np.clip(low + (high - low) * within, low, high), dtype=np.float64)

    def cdf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of numbers <= each x (its own bucket counted whole when x is in it); NaN of nothing."""
        if self.counts.size == 0:
            return np.full(len(x), np.nan)
        ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(self.counts)))
        keys = float_keys(np.asarray(x, dtype=np.float64) + 0.0) >> np.uint64(self.shift)
        return np.asarray(ends[np.searchsorted(self.buckets, keys, side="right")] / ends[-1], dtype=np.float64)

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [self.shift, array_bytes(self.buckets), array_bytes(self.counts)]

    @classmethod
    def from_state(cls, state: list[Any]) -> FloatHistogram:
        """Inverse of `to_state`; FormatError when buckets are out of order or too many."""
        shift, buckets, counts = int(state[0]), read_array(state[1], np.uint64), read_array(state[2], np.int64)
        if not 0 <= shift < 64 or len(buckets) != len(counts) or len(buckets) > MAX_BUCKETS or bool(np.any(buckets[1:] <= buckets[:-1])):
            raise FormatError(f"expected at most {MAX_BUCKETS} ascending buckets at a shift below 64, got {len(buckets)} at {shift}")
        return cls(shift, buckets, counts)


def float_keys(numbers: NDArray[np.float64]) -> Keys:
    """Integers that order as the finite `numbers` do."""
    bits = numbers.view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def key_floats(keys: Keys) -> NDArray[np.float64]:
    """Inverse of `float_keys`."""
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)


def _fitted(shift: int, buckets: Keys, counts: Counts) -> FloatHistogram:
    """Coarsened by as few bits as make it fit."""
    if buckets.size <= MAX_BUCKETS:
        return FloatHistogram(shift, buckets, counts)
    steps = buckets[1:] ^ buckets[:-1]
    rank = steps.size - MAX_BUCKETS  # the 1,024th largest step must vanish, then 1,023 or fewer are left
    more = int(np.partition(steps, rank)[rank]).bit_length()
    return FloatHistogram(shift + more, *_coarser(buckets, counts, more))


def _coarser(buckets: Keys, counts: Counts, bits: int) -> tuple[Keys, Counts]:
    if buckets.size == 0:
        return buckets, counts
    wide = buckets >> np.uint64(bits)
    starts = np.flatnonzero(np.concatenate((np.ones(1, dtype=np.bool_), wide[1:] != wide[:-1])))
    return wide[starts], np.add.reduceat(counts, starts)
