"""Typed columns of a batch of records: the one shape that every decoder produces and every profile is made of.

A column keeps flat numpy arrays, one value a record, so that profiling never touches a Python object per value.
Values themselves are not kept: a string is its keyed hash, its length and the pattern of its format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What a value is. The order is part of the profile format: append only."""

    ABSENT = 0
    NULL = 1
    BOOL = 2
    INT = 3
    FLOAT = 4
    STRING = 5
    OBJECT = 6
    ARRAY = 7


class Flag(IntFlag):
    """What is odd about a value. Bit positions are part of the profile format: append only."""

    EMPTY = 1  # "", [] or {}
    PADDED = 2  # a string with white space at either end
    NON_ASCII = 4  # a string with a byte over 127
    DISGUISED = 8  # stands for null by convention: "N/A", "null", "-", -1, 9999 ...


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a batch. All arrays have length n: the well-formed records, or the elements if `owners` is set."""

    kinds: NDArray[np.uint8]
    """`Kind` of each value."""
    numbers: NDArray[np.float64]
    """The value of INT and FLOAT, 0 or 1 for BOOL; NaN elsewhere. An int beyond float64 is the nearest float or inf."""
    hashes: NDArray[np.uint64]
    """Keyed hash of the value; numbers by value (1 and 1.0 agree); 0 for ABSENT and NULL; of kind and length for OBJECT and ARRAY."""
    lengths: NDArray[np.uint32]
    """UTF-8 bytes of a STRING, elements of an ARRAY, keys of an OBJECT; 0 elsewhere."""
    masks: NDArray[np.uint64]
    """Hash of the format pattern (`Batch.patterns` has the text) of STRING, INT and FLOAT; 0 elsewhere."""
    ordinals: NDArray[np.float64]
    """What order can be judged by: the number, or the first 17 digits in a string as a number; NaN if there are none."""
    flags: NDArray[np.uint8]
    """`Flag` bits."""
    owners: NDArray[np.int32] | None = None
    """For fields inside arrays (`items[].price`): the record, 0..n-1, that each element belongs to. None: one value a record."""

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, rows: NDArray[np.int64]) -> Column:
        """The values at positions `rows` (not for element fields)."""
        return replace(
            self, kinds=self.kinds[rows], numbers=self.numbers[rows], hashes=self.hashes[rows], lengths=self.lengths[rows],
            masks=self.masks[rows], ordinals=self.ordinals[rows], flags=self.flags[rows],
        )


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that could not be decoded."""

    index: int
    """Position in the values given to the decoder."""
    reason: str
    """One of the decoder's bounded set of reasons, e.g. `invalid_json`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a decoder made of some values. `rows` (n,) are the positions of the well-formed records in the values given."""

    size: int
    """Values given, well-formed or not."""
    rows: NDArray[np.int64]
    columns: Mapping[str, Column]
    """By dotted path; a path that no record of the batch has is not there."""
    malformed: tuple[Malformed, ...]
    tombstones: NDArray[np.int64]
    """Positions of values that are None."""
    duplicate_keys: NDArray[np.int64]
    """Positions of well-formed records in which an object repeats a key (the last value counts)."""
    dropped_values: int
    """Values left out by a cap on fields or depth."""
    patterns: Mapping[int, str]
    """Text of each pattern hash that occurs in the batch (may hold more)."""
