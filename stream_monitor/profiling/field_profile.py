"""The profile of one field: one sketch for each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column, Flag, Kind
from stream_monitor.profiling.bottom_k import BottomK
from stream_monitor.profiling.codec import array_bytes, read_array
from stream_monitor.profiling.float_histogram import FloatHistogram
from stream_monitor.profiling.lengths import LengthMoments
from stream_monitor.profiling.moments import ExactMoments
from stream_monitor.profiling.patterns import PatternCounts

VALUES_K = 1024
MINUS_K = 512
KINDS, FLAGS = len(Kind), len(Flag)


@dataclass(frozen=True, slots=True, eq=False)
class FieldProfile:
    """All about the values of one path in one pane."""

    kinds: NDArray[np.int64]
    """(8,) values of each `Kind`. ABSENT counts records without the field; 0 for fields inside arrays."""
    flags: NDArray[np.int64]
    """(4,) values with each `Flag`: EMPTY, PADDED, NON_ASCII, DISGUISED."""
    values: BottomK
    """Hashes of the present values (not ABSENT, not NULL)."""
    patterns: PatternCounts
    """Of STRING, INT and FLOAT."""
    numbers: ExactMoments
    """Of INT and FLOAT."""
    quantiles: FloatHistogram
    """Of INT and FLOAT."""
    lengths: LengthMoments
    """Bytes of STRING."""
    sizes: LengthMoments
    """Elements of ARRAY, keys of OBJECT."""
    minus: BottomK | None
    """Hashes of whole records without this field; None unless the field is tracked (64 per-record fields are)."""
    elements: bool
    """Whether the path is inside an array."""

    @property
    def present(self) -> int:
        """Values that are neither absent nor null."""
        return int(self.kinds[Kind.BOOL :].sum())

    @property
    def observed(self) -> int:
        """Values that are not absent."""
        return int(self.kinds[Kind.NULL :].sum())

    @property
    def numeric(self) -> int:
        """INT and FLOAT values."""
        return int(self.kinds[Kind.INT] + self.kinds[Kind.FLOAT])

    @classmethod
    def of(cls, column: Column, patterns: Mapping[int, str], so_far: FieldProfile | None = None) -> FieldProfile:
        """Of a column's values, without `minus`. With `so_far`, only good for merging with it (or what it is merged into), and faster."""
        kinds = np.bincount(column.kinds, minlength=KINDS).astype(np.int64)
        present = _where(column.hashes, column.kinds, Kind.BOOL, Kind.ARRAY, kinds)
        numbers = _where(column.numbers, column.kinds, Kind.INT, Kind.FLOAT, kinds)
        if column.owners is not None:
            kinds[Kind.ABSENT] = 0
        return cls(
            kinds=kinds,
            flags=_flag_counts(column),
            values=BottomK.from_hashes(present, VALUES_K, below=so_far.values.threshold if so_far else None),
            patterns=PatternCounts.from_masks(column.masks, patterns),
            numbers=ExactMoments.from_numbers(numbers),
            quantiles=FloatHistogram.from_numbers(numbers, shift=so_far.quantiles.shift if so_far else 0),
            lengths=LengthMoments.from_lengths(_where(column.lengths, column.kinds, Kind.STRING, Kind.STRING, kinds)),
            sizes=LengthMoments.from_lengths(_where(column.lengths, column.kinds, Kind.OBJECT, Kind.ARRAY, kinds)),
            minus=None,
            elements=column.owners is not None,
        )

    def merge(self, other: FieldProfile) -> FieldProfile:
        """Of both, without `minus`: that depends on the records that lack the field (`Profile.merge`)."""
        return FieldProfile(
            self.kinds + other.kinds, self.flags + other.flags, self.values.merge(other.values), self.patterns.merge(other.patterns),
            self.numbers.merge(other.numbers), self.quantiles.merge(other.quantiles), self.lengths.merge(other.lengths),
            self.sizes.merge(other.sizes), None, self.elements or other.elements,
        )

    def among(self, records: int) -> FieldProfile:
        """With ABSENT counted so that there is one value for each of `records`; 0 for fields inside arrays."""
        absent = 0 if self.elements else records - self.observed
        if absent == int(self.kinds[Kind.ABSENT]):
            return self
        kinds = self.kinds.copy()
        kinds[Kind.ABSENT] = absent
        return replace(self, kinds=kinds)

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [
            array_bytes(self.kinds), array_bytes(self.flags), self.values.to_state(), self.patterns.to_state(), self.numbers.to_state(),
            self.quantiles.to_state(), self.lengths.to_state(), self.sizes.to_state(), self.minus and self.minus.to_state(), self.elements,
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> FieldProfile:
        """Inverse of `to_state`."""
        return cls(
            read_array(state[0], np.int64, KINDS), read_array(state[1], np.int64, FLAGS), BottomK.from_state(state[2]),
            PatternCounts.from_state(state[3]), ExactMoments.from_state(state[4]), FloatHistogram.from_state(state[5]),
            LengthMoments.from_state(state[6]), LengthMoments.from_state(state[7]),
            state[8] and BottomK.from_state(state[8]), bool(state[9]),
        )


def _where(values: NDArray[Any], kinds: NDArray[np.uint8], first: Kind, last: Kind, counts: NDArray[np.int64]) -> NDArray[Any]:
    """The values whose kind is `first` to `last`; without a copy when that is all or none."""
    wanted = int(counts[first : last + 1].sum())
    if wanted == 0:
        return values[:0]
    return values if wanted == values.size else values[(kinds >= first) & (kinds <= last)]


def _flag_counts(column: Column) -> NDArray[np.int64]:
    if not column.flags.any():
        return np.zeros(FLAGS, dtype=np.int64)
    return np.array([np.count_nonzero(column.flags & np.uint8(flag)) for flag in Flag], dtype=np.int64)
