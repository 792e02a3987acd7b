"""Distinct 64-bit keys with their counts, as two aligned arrays sorted by key: what the sketches here are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.compiled import compiled

Keys = NDArray[np.uint64]
Counts = NDArray[np.int64]

_SLOTS = 4096
_MOST = 2048
_GOLDEN, _SHIFT, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(52), np.uint64(_SLOTS - 1)
_ONE = np.uint64(1)


@compiled
def _count_few(keys: Keys, slots: Keys, counts: Counts) -> int:
    """Counts in an open table; -1 as soon as there are more than `_MOST` distinct keys."""
    distinct = 0
    for i in range(keys.size):
        key = keys[i]
        slot = (key * _GOLDEN) >> _SHIFT
        while counts[slot] > 0 and slots[slot] != key:
            slot = (slot + _ONE) & _LAST
        if counts[slot] == 0:
            distinct += 1
            if distinct > _MOST:
                return -1
            slots[slot] = key
        counts[slot] += 1
    return distinct


@compiled
def _merge(
    ka: Keys, ca: Counts, kb: Keys, cb: Counts, keys: Keys, counts: Counts
) -> int:
    """Two-way merge into `keys`, `counts` until they are full; the number written."""
    a, b, out = 0, 0, 0
    while out < keys.size and (a < ka.size or b < kb.size):
        if b >= kb.size or (a < ka.size and ka[a] < kb[b]):
            keys[out], counts[out] = ka[a], ca[a]
            a += 1
        elif a >= ka.size or kb[b] < ka[a]:
            keys[out], counts[out] = kb[b], cb[b]
            b += 1
        else:
            keys[out], counts[out] = ka[a], ca[a] + cb[b]
            a += 1
            b += 1
        out += 1
    return out


def count_keys(keys: Keys) -> tuple[Keys, Counts]:
    """The distinct `keys` sorted, and how often each occurs. 2-4 ns a key up to 2,048 distinct ones, a sort (30 ns) beyond."""
    if keys.size > 64:
        slots, counts = np.empty(_SLOTS, dtype=np.uint64), np.zeros(_SLOTS, dtype=np.int64)
        if _count_few(keys, slots, counts) >= 0:
            used = np.flatnonzero(counts)
            order = used[np.argsort(slots[used])]
            return slots[order], counts[order]
    return run_lengths(np.sort(keys))


def run_lengths(ordered: Keys) -> tuple[Keys, Counts]:
    """The distinct values of a sorted array and the length of each one's run."""
    if ordered.size == 0:
        return ordered, np.empty(0, dtype=np.int64)
    starts = np.flatnonzero(np.concatenate((np.ones(1, dtype=np.bool_), ordered[1:] != ordered[:-1])))
    return ordered[starts], np.diff(starts, append=ordered.size).astype(np.int64)


def merge_counted(ka: Keys, ca: Counts, kb: Keys, cb: Counts, limit: int | None = None) -> tuple[Keys, Counts]:
    """The union, counts of common keys added; only the `limit` smallest keys if given. About 2 ns a key."""
    room = ka.size + kb.size if limit is None else min(limit, ka.size + kb.size)
    keys, counts = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.int64)
    size = _merge(ka, ca, kb, cb, keys, counts)
    return keys[:size].copy(), counts[:size].copy()
