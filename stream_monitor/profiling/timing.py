"""When records came: late, in the future, out of order, and how long after they happened. Integers only, so merging is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.profiling.codec import array_bytes, int_bytes, read_array, read_int

_PER_OCTAVE = 4
_OCTAVES = 40
DELAY_BUCKETS = 2 + _PER_OCTAVE * _OCTAVES
"""Negative delays; 0 ms; then four buckets an octave up to 2^40 ms (35 years)."""


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """Counts over the records of a pane; delays are arrival minus event time in ms, of records whose arrival is known."""

    delays: NDArray[np.int64]
    """(162,) counts by `delay_buckets`."""
    late: int = 0
    """Records that came after their pane was over and its lateness allowed; counted in the pane of their partition's watermark."""
    future: int = 0
    """Records with a timestamp too far ahead to be believed; counted and profiled in the pane of their partition's watermark."""
    disordered: int = 0
    """Records with a timestamp lower than an earlier one of their partition (late ones not among them)."""
    delay_sum: int = 0
    delay_min: int | None = None
    delay_max: int | None = None
    first_ms: int | None = None
    """Smallest event timestamp that was believed."""
    last_ms: int | None = None

    @classmethod
    def empty(cls) -> Timing:
        """Of no records."""
        return cls(np.zeros(DELAY_BUCKETS, dtype=np.int64))

    @classmethod
    def of(
        cls, timestamps_ms: NDArray[np.int64], delays_ms: NDArray[np.int64] | None, *, late: int = 0, future: int = 0, disordered: int = 0
    ) -> Timing:
        """Of believed timestamps (n,) and, where arrivals are known, their delays (m,)."""
        known = delays_ms if delays_ms is not None and delays_ms.size else None
        counts = np.zeros(DELAY_BUCKETS, dtype=np.int64)
        if known is not None:
            counts = np.bincount(delay_buckets(known), minlength=DELAY_BUCKETS).astype(np.int64)
        seen = timestamps_ms.size > 0
        return cls(
            counts, late, future, disordered,
            delay_sum=0 if known is None else int(known.sum()),
            delay_min=None if known is None else int(known.min()), delay_max=None if known is None else int(known.max()),
            first_ms=int(timestamps_ms.min()) if seen else None, last_ms=int(timestamps_ms.max()) if seen else None,
        )

    def merge(self, other: Timing) -> Timing:
        """Of both."""
        return Timing(
            self.delays + other.delays, self.late + other.late, self.future + other.future, self.disordered + other.disordered,
            self.delay_sum + other.delay_sum, _least(self.delay_min, other.delay_min), _most(self.delay_max, other.delay_max),
            _least(self.first_ms, other.first_ms), _most(self.last_ms, other.last_ms),
        )

    @property
    def delays_known(self) -> int:
        """Records with a delay."""
        return int(self.delays.sum())

    @property
    def delay_mean(self) -> float:
        """In ms; NaN of none."""
        known = self.delays_known
        return self.delay_sum / known if known else math.nan

    def delay_quantile(self, q: float) -> float:
        """Of delays, in ms: the geometric middle of its bucket, within 10 % (negative ones count as 0); NaN of none."""
        known = self.delays_known
        if not known:
            return math.nan
        bucket = int(np.searchsorted(np.cumsum(self.delays), max(1, math.ceil(q * known))))
        return 0.0 if bucket < 2 else float(2.0 ** ((bucket - 2 + 0.5) / _PER_OCTAVE))

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        optional = [self.delay_min, self.delay_max, self.first_ms, self.last_ms]
        return [array_bytes(self.delays), self.late, self.future, self.disordered, int_bytes(self.delay_sum), optional]

    @classmethod
    def from_state(cls, state: list[Any]) -> Timing:
        """Inverse of `to_state`."""
        low, high, first, last = (None if value is None else int(value) for value in state[5])
        counts = read_array(state[0], np.int64, DELAY_BUCKETS)
        return cls(counts, int(state[1]), int(state[2]), int(state[3]), read_int(state[4]), low, high, first, last)


def delay_buckets(delays_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bucket of each delay: from the exponent and the two leading mantissa bits of its float."""
    bits = np.maximum(delays_ms, 1).astype(np.float64).view(np.int64)
    buckets = np.minimum((bits >> 50) - (1023 << 2) + 2, DELAY_BUCKETS - 1)
    return np.where(delays_ms > 0, buckets, np.where(delays_ms == 0, 1, 0))


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _most(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)
