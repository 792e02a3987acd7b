"""What is known of a number, a boolean, an object or an array: hash, format pattern, order and oddities, in one compiled pass.

Numbers hash by value, whatever they are written as: 1 equals 1.0, -0.0 equals 0.0, all NaNs are one. Integers of 64 bits hash
exactly, so that two identifiers beyond 2**53 which are one float64 stay two values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Flag, Kind
from stream_monitor.decoding.compiled import compiled
from stream_monitor.decoding.hashing import (
    CANONICAL_NAN,
    TAG_BOOL,
    TAG_CONTAINER,
    TAG_FLOAT,
    TAG_INTEGER,
    TAG_UNSIGNED,
    hash_all,
    sip_word,
)

DISGUISED_NUMBERS = (-1.0, -999.0, -9999.0, 9999.0, 99999.0)
"""Numbers that stand for null by convention."""

NUMBER_PATTERNS = ("i", "f0", "f1", "f2", "f3", "f4", "f5", "f6")
"""Format patterns of numbers: an integer, or a float by the decimals it needs (6: six or more; 2.50 needs one)."""

EXACT_INTEGERS = 2**53
"""Up to here every integer is a float64 of its own."""

_ABSENT, _NULL, _BOOL, _INT, _FLOAT, _STRING = (np.uint8(kind) for kind in list(Kind)[:6])
_EMPTY, _DISGUISED, _NOTHING = np.uint8(Flag.EMPTY), np.uint8(Flag.DISGUISED), np.uint8(0)
_ZERO, _32 = np.uint64(0), np.uint64(32)
_POWERS = np.array([1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0])


@compiled
def decimals(x: float) -> int:
    """The fewest decimals, up to 6, that write a float exactly; 6 also for more, and for what is not finite.

    For |x| < 9e9 this is what `repr` shows (0 for a whole number); beyond, fewer decimals are tried: those that fit 53 bits.
    """
    if x == np.floor(x):
        return 6 if np.isinf(x) else 0
    size = abs(x)
    if size * 1e6 < EXACT_INTEGERS and np.rint(x * 1e6) / 1e6 != x:
        return 6
    for places in range(1, 6):
        power = _POWERS[places]
        if size * power < EXACT_INTEGERS and np.rint(x * power) / power == x:
            return places
    return 6


@compiled
def hash_number(x: float, bits: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """Hash of a float by its value; `bits` are its own."""
    if np.isnan(x):
        return sip_word(CANONICAL_NAN, TAG_FLOAT, k0, k1)
    if x == np.floor(x):
        if -9223372036854775808.0 <= x < 9223372036854775808.0:
            return sip_word(np.uint64(np.int64(x)), TAG_INTEGER, k0, k1)
        if 0.0 <= x < 18446744073709551616.0:
            return sip_word(np.uint64(x), TAG_UNSIGNED, k0, k1)
    return sip_word(bits, TAG_FLOAT, k0, k1)


@compiled
def is_disguised_number(x: float) -> bool:
    """Whether a number stands for null by convention."""
    return x in DISGUISED_NUMBERS


@compiled
def analyse_cells(  # compiled functions take no keywords
    kinds: NDArray[np.uint8], numbers: NDArray[np.float64], bits: NDArray[np.uint64], lengths: NDArray[np.uint32],
    number_masks: NDArray[np.uint64], k0: np.uint64, k1: np.uint64,
    hashes: NDArray[np.uint64], masks: NDArray[np.uint64], ordinals: NDArray[np.float64], flags: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Completes flat arrays of cells from their kinds, `numbers` where they are numbers, `lengths` where they are containers.

    Everything else is written over; STRING cells are left for `analyse_strings`. `bits` is `numbers` seen as uint64.
    10-20 ns a number.
    """
    for i in range(kinds.size):
        kind = kinds[i]
        hashes[i] = masks[i] = _ZERO
        flags[i] = _NOTHING
        if kind in (_INT, _FLOAT):
            x = numbers[i]
            hashes[i] = hash_number(x, bits[i], k0, k1)
            masks[i] = number_masks[0] if kind == _INT else number_masks[1 + decimals(x)]
            ordinals[i] = x
            lengths[i] = 0
            if is_disguised_number(x):
                flags[i] = _DISGUISED
        elif kind == _BOOL:
            hashes[i] = sip_word(np.uint64(numbers[i]), TAG_BOOL, k0, k1)
            ordinals[i] = numbers[i]
            lengths[i] = 0
        else:
            numbers[i] = ordinals[i] = np.nan
            if kind > _STRING:
                hashes[i] = sip_word((np.uint64(kind) << _32) | np.uint64(lengths[i]), TAG_CONTAINER, k0, k1)
                flags[i] = _EMPTY if lengths[i] == 0 else _NOTHING
            else:
                lengths[i] = 0


@compiled
def hash_integers(
    values: NDArray[np.int64], cells: NDArray[np.int64], k0: np.uint64, k1: np.uint64, hashes: NDArray[np.uint64]
) -> None:
    """Exact hashes of 64-bit integers, at `cells` of the flat array `hashes`."""
    for i in range(values.size):
        hashes[cells[i]] = sip_word(np.uint64(values[i]), TAG_INTEGER, k0, k1)


@compiled
def hash_unsigned(
    values: NDArray[np.uint64], cells: NDArray[np.int64], k0: np.uint64, k1: np.uint64, hashes: NDArray[np.uint64]
) -> None:
    """Exact hashes of integers from 2**63 to 2**64 - 1, at `cells` of the flat array `hashes`."""
    for i in range(values.size):
        hashes[cells[i]] = sip_word(values[i], TAG_UNSIGNED, k0, k1)


def number_masks(key: bytes) -> NDArray[np.uint64]:
    """Mask hashes of `NUMBER_PATTERNS`, in their order."""
    return hash_all([text.encode() for text in NUMBER_PATTERNS], key)
