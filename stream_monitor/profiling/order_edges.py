"""The ends and the inside of a sequence of values: all that is needed to count order across a seam."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.decoding.compiled import compiled

EDGE = np.dtype([
    ("first_hash", "<u8"), ("last_hash", "<u8"), ("first_ordinal", "<f8"), ("last_ordinal", "<f8"),
    ("values", "<i8"), ("equal", "<i8"), ("prefix", "<i8"), ("suffix", "<i8"), ("longest", "<i8"),
    ("ordinals", "<i8"), ("descending", "<i8"),
])
"""Of the scalar values of a field in order: how many, how many equal the one before, the run at the start, at the end and the longest;
of their ordinals: how many, how many are lower than the one before. All zero is the neutral element."""

Edges = NDArray[Any]

_FIRST, _LAST = int(Kind.BOOL), int(Kind.STRING)
_VALUES, _EQUAL, _PREFIX, _SUFFIX, _LONGEST, _ORDINALS, _DESCENDING = range(7)


@compiled
def _scan(
    kinds: NDArray[np.uint8], hashes: NDArray[np.uint64], ordinals: NDArray[np.float64], groups: NDArray[np.int64],
    ends: NDArray[np.uint64], limits: NDArray[np.float64], tally: NDArray[np.int64],
) -> None:
    """Goes through the values once; a row of `ends` (hash), `limits` (ordinal) and `tally` (the counts of EDGE) for each group."""
    for i in range(kinds.size):
        if kinds[i] < _FIRST or kinds[i] > _LAST:
            continue
        g = groups[i]
        if tally[g, _VALUES] == 0:
            ends[g, 0] = hashes[i]
            tally[g, _SUFFIX] = 1
        elif hashes[i] == ends[g, 1]:
            tally[g, _EQUAL] += 1
            tally[g, _SUFFIX] += 1
        else:
            tally[g, _SUFFIX] = 1
        ends[g, 1] = hashes[i]
        tally[g, _VALUES] += 1
        if tally[g, _SUFFIX] == tally[g, _VALUES]:
            tally[g, _PREFIX] = tally[g, _SUFFIX]
        tally[g, _LONGEST] = max(tally[g, _LONGEST], tally[g, _SUFFIX])
        if np.isnan(ordinals[i]):
            continue
        if tally[g, _ORDINALS] == 0:
            limits[g, 0] = ordinals[i]
        elif ordinals[i] < limits[g, 1]:
            tally[g, _DESCENDING] += 1
        limits[g, 1] = ordinals[i]
        tally[g, _ORDINALS] += 1


def edges_by_group(column: Column, groups: NDArray[np.int64], count: int) -> Edges:
    """EDGE (count,) of the values of each group, in the order they stand in. 3 ns a value."""
    ends, limits = np.zeros((count, 2), dtype=np.uint64), np.zeros((count, 2), dtype=np.float64)
    tally = np.zeros((count, 7), dtype=np.int64)
    _scan(column.kinds, column.hashes, column.ordinals, groups, ends, limits, tally)
    edges = np.zeros(count, dtype=EDGE)
    edges["first_hash"], edges["last_hash"] = ends[:, 0], ends[:, 1]
    edges["first_ordinal"], edges["last_ordinal"] = limits[:, 0] + 0.0, limits[:, 1] + 0.0
    for place, name in enumerate((EDGE.names or ())[4:]):
        edges[name] = tally[:, place]
    return edges


def align(paths: tuple[str, ...], edges: Edges, wanted: tuple[str, ...]) -> Edges:
    """`edges` of `paths` in the order of `wanted` (a superset, both sorted); the neutral element where there are none."""
    if paths == wanted:
        return edges
    place = {path: at for at, path in enumerate(wanted)}
    out = np.zeros(len(wanted), dtype=EDGE)
    out[[place[path] for path in paths]] = edges
    return out


def fuse_edges(a: Edges, b: Edges) -> Edges:
    """Entry by entry, the sequence of `a` followed by that of `b`."""
    out = np.zeros(len(a), dtype=EDGE)
    none_a, none_b = a["values"] == 0, b["values"] == 0
    joined = ~none_a & ~none_b & (a["last_hash"] == b["first_hash"])
    bridge = np.where(joined, a["suffix"] + b["prefix"], 0)
    out["first_hash"] = np.where(none_a, b["first_hash"], a["first_hash"])
    out["last_hash"] = np.where(none_b, a["last_hash"], b["last_hash"])
    out["values"] = a["values"] + b["values"]
    out["equal"] = a["equal"] + b["equal"] + joined
    out["longest"] = np.maximum(np.maximum(a["longest"], b["longest"]), bridge)
    whole_a, whole_b = joined & (a["prefix"] == a["values"]), joined & (b["suffix"] == b["values"])
    out["prefix"] = np.where(none_a, b["prefix"], np.where(whole_a, bridge, a["prefix"]))
    out["suffix"] = np.where(none_b, a["suffix"], np.where(whole_b, bridge, b["suffix"]))
    bare_a, bare_b = a["ordinals"] == 0, b["ordinals"] == 0
    falls = ~bare_a & ~bare_b & (b["first_ordinal"] < a["last_ordinal"])
    out["first_ordinal"] = np.where(bare_a, b["first_ordinal"], a["first_ordinal"])
    out["last_ordinal"] = np.where(bare_b, a["last_ordinal"], b["last_ordinal"])
    out["ordinals"] = a["ordinals"] + b["ordinals"]
    out["descending"] = a["descending"] + b["descending"] + falls
    return out
