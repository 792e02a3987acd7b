"""Which records repeat a key in an object, exactly, without a second parse of nearly all of them.

A well-formed JSON text has as many keys as colons outside strings, and as many distinct ones as its parsed objects have entries;
where the two counts differ, a key is repeated. Colons behind a quote or white space are an upper bound of the first
that is counted at gigabytes a second; only records where that bound is not met with equality are read byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.compiled import compiled

JOINED_BYTES = 4 * 2**20
"""Records are joined up to this size, so that the copy stays in the cache and small beside the batch."""

_QUOTE, _BACKSLASH, _COLON, _SPACE = np.uint8(34), np.uint8(92), np.uint8(58), np.uint8(32)


@compiled
def _colons_at_most(text: NDArray[np.uint8]) -> int:
    """Colons behind a quote or white space: all that end keys, and maybe some in strings."""
    count = 0
    for i in range(1, text.size):
        count += int((text[i] == _COLON) & ((text[i - 1] == _QUOTE) | (text[i - 1] <= _SPACE)))
    return count


@compiled
def _colons_outside_strings(text: NDArray[np.uint8]) -> int:
    """Keys of a well-formed JSON text, repeated ones included."""
    count, inside, escaped = 0, False, False
    for i in range(text.size):
        byte = text[i]
        if escaped:
            escaped = False
        elif byte == _QUOTE:
            inside = not inside
        elif inside:
            escaped = byte == _BACKSLASH
        elif byte == _COLON:
            count += 1
    return count


@compiled
def _suspects(text: NDArray[np.uint8], ends: NDArray[np.int64], keys: NDArray[np.int64], out: NDArray[np.bool_]) -> None:
    """Sets out[i] where record i has more keys than the keys[i] that its parsed objects have."""
    start = 0
    for i in range(ends.size):
        record = text[start : ends[i]]
        out[i] = _colons_at_most(record) != keys[i] and _colons_outside_strings(record) != keys[i]
        start = ends[i]


def repeating(values: Sequence[bytes], documents: Sequence[Any], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions among `values` of the records in which an object repeats a key.

    `documents` are the parsed values, `keys` (n,) how many entries their objects have, as far as they were counted:
    where that is too few because something was left out, they are counted again.
    10 ns a record, 1 ns a byte for those with colons in strings.
    """
    sizes = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    suspects = np.zeros(len(values), dtype=np.bool_)
    for start, end in _spans(sizes):
        text = np.frombuffer(b"".join(values[start:end]), dtype=np.uint8)
        _suspects(text, np.cumsum(sizes[start:end], dtype=np.int64), keys[start:end], suspects[start:end])
    found = [i for i in np.flatnonzero(suspects).tolist() if _keys_written(values[i]) != count_keys(documents[i])]
    return np.array(found, dtype=np.int64)


def _spans(sizes: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of records of `JOINED_BYTES` together, or of one larger record."""
    blocks = (np.cumsum(sizes) - 1) // JOINED_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(sizes)]
    return [(start, end) for start, end in pairwise(cuts) if start < end]


def _keys_written(value: bytes) -> int:
    return _colons_outside_strings(np.frombuffer(value, dtype=np.uint8))


def count_keys(document: Any) -> int:
    """Entries of all objects in a parsed JSON value, at any depth."""
    count, stack = 0, [document]
    while stack:
        value = stack.pop()
        if type(value) is dict:
            count += len(value)
            stack.extend(value.values())
        elif type(value) is list:
            stack.extend(value)
    return count
