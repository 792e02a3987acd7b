"""The pool: sampled rows of past panes, joined column by column, for learning references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Column, Kind
from stream_monitor.profiling.codec import array_bytes, read_array, seal, unseal

_MAGIC, _VERSION = b"SMPR", 1


@dataclass(frozen=True, slots=True)
class PaneRows:
    """Sampled rows of one pane. `excluded` paths were under suspicion in it: they must not teach."""

    rows: int
    columns: Mapping[str, Column]
    excluded: frozenset[str] = frozenset()

    def to_bytes(self) -> bytes:
        """What references are learned from: kinds, numbers, hashes and patterns; about 10 bytes a value."""
        packed = {
            path: [column.kinds.tobytes(), _numbers(column), array_bytes(column.hashes), array_bytes(column.masks)]
            for path, column in sorted(self.columns.items())
        }
        return seal(_MAGIC, _VERSION, [self.rows, packed])

    @classmethod
    def from_bytes(cls, data: bytes) -> PaneRows:
        """Inverse of `to_bytes` (lengths, ordinals and flags are not kept). Raises FormatError."""
        rows, packed = unseal(_MAGIC, _VERSION, data)
        columns = {}
        for path, (kinds, numbers, hashes, masks) in packed.items():
            empty = absent(rows)
            columns[path] = replace(
                empty, kinds=read_array(kinds, np.uint8, rows), numbers=read_array(numbers, np.float64, rows) if numbers else empty.numbers,
                hashes=read_array(hashes, np.uint64, rows), masks=read_array(masks, np.uint64, rows),
            )
        return cls(rows, columns)


def _numbers(column: Column) -> bytes:
    return array_bytes(column.numbers) if np.isfinite(column.numbers).any() else b""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of several panes, in the order of the panes."""

    columns: Mapping[str, Column]
    pane: NDArray[np.int64]
    """(n,): the pane, 0..panes-1, that each row comes from."""
    panes: int
    trusted: Mapping[str, NDArray[np.bool_]]
    """By path, (n,): rows that may teach; a path that is not there may teach everywhere."""

    def __len__(self) -> int:
        return len(self.pane)

    @classmethod
    def join(cls, panes: Sequence[PaneRows]) -> Pool:
        """Concatenate; a path that a pane lacks is absent there. Cost: one copy."""
        paths = sorted({path for pane in panes for path in pane.columns})
        pane = np.repeat(np.arange(len(panes)), [p.rows for p in panes])
        columns = {path: _join([p.columns.get(path) or absent(p.rows) for p in panes]) for path in paths}
        suspects = {path for p in panes for path in p.excluded}
        trusted = {path: np.repeat([path not in p.excluded for p in panes], [p.rows for p in panes]) for path in suspects}
        return cls(columns, pane, len(panes), trusted)

    def select(self, keep: NDArray[np.bool_]) -> Pool:
        """The rows where `keep` (n,) is true."""
        rows = np.flatnonzero(keep)
        columns = {path: column.take(rows) for path, column in self.columns.items()}
        return Pool(columns, self.pane[rows], self.panes, {path: mask[rows] for path, mask in self.trusted.items()})

    def teaches(self, path: str) -> NDArray[np.bool_]:
        """(n,): rows whose value of `path` may teach."""
        return self.trusted.get(path, np.ones(len(self), np.bool_))


HUGE = 1e100


def are_numbers(column: Column) -> NDArray[np.bool_]:
    """(n,): numbers that teach: finite, and small enough to be squared and summed."""
    with np.errstate(invalid="ignore"):
        return np.asarray(((column.kinds == Kind.INT) | (column.kinds == Kind.FLOAT)) & (np.abs(column.numbers) <= HUGE))


def absent(n: int) -> Column:
    """A column of a field that no record has."""
    return Column(
        np.full(n, Kind.ABSENT, np.uint8), np.full(n, np.nan), np.zeros(n, np.uint64), np.zeros(n, np.uint32),
        np.zeros(n, np.uint64), np.full(n, np.nan), np.zeros(n, np.uint8),
    )


def _join(parts: Sequence[Column]) -> Column:
    names = [field.name for field in fields(Column) if field.name != "owners"]
    return Column(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
