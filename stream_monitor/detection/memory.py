"""What the detector remembers of past windows: their metrics, their largest surprises, and samples of their rows.

Memory is dense for the recent past and thinner with age: of the last 128 windows all, of the 512 before every fourth, and so
on: at one window a minute it reaches back a week with at most 512 windows, so that hours and days are covered and the recent
past weighs most. Which windows are kept depends on their number alone, so it is the same after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stream_monitor.detection.pool import PaneRows
from stream_monitor.detection.readings import Table
from stream_monitor.detection.verdict import Aspect

DENSE, STEP, TIERS = 128, 4, 4
_STRIDE, _RANGE = 0x9E3779B1, 2**32


@dataclass(frozen=True, slots=True)
class Surprise:
    """The largest surprise (-log10 p) of a field in an aspect."""

    aspect: Aspect
    field: str | None
    value: float


@dataclass(slots=True)
class Remembered:
    """One past window."""

    number: int
    """Windows are numbered as they are judged."""
    start_ms: int
    surprises: tuple[Surprise, ...]
    sample: bytes
    """Packed `PaneRows`; empty once it was given up."""
    excluded: frozenset[str] = frozenset()
    """Fields that were under suspicion: their rows don't teach the reference."""
    forgotten: frozenset[str | None] = frozenset()
    """Fields (None: the record as a whole) whose metrics don't teach the charts either: they are of before an accepted shift."""


@dataclass(slots=True)
class Memory:
    """Past windows in order, and the table of their metrics, row by row."""

    windows: list[Remembered] = field(default_factory=list)
    table: Table = field(default_factory=Table.empty)

    def __len__(self) -> int:
        return len(self.windows)

    def remember(self, window: Remembered, metrics: Table) -> None:
        """Append a window with its (one-row) metrics."""
        self.windows.append(window)
        self.table = self.table.below(metrics)

    def thin(self) -> None:
        """Forget what is due."""
        if not self.windows:
            return
        newest = self.windows[-1].number
        keep = np.array([is_kept(window.number, newest) for window in self.windows])
        if not keep.all():
            self.windows = [window for window, kept in zip(self.windows, keep, strict=True) if kept]
            self.table = self.table.rows(keep)

    def forget(self, fields: frozenset[str | None], since_ms: int) -> None:
        """What `fields` did in windows from `since_ms` on no longer teaches."""
        for window in self.windows:
            if window.start_ms >= since_ms:
                window.forgotten |= fields

    def rows(self) -> list[PaneRows]:
        """The sampled rows of every window."""
        return [
            replace(PaneRows.from_bytes(window.sample), excluded=window.excluded | {f for f in window.forgotten if f is not None})
            for window in self.windows
        ]

    def lessons(self, table: Table) -> Table:
        """The table of all windows, less what is forgotten."""
        forgotten = {fields for window in self.windows if (fields := window.forgotten)}
        if not forgotten:
            return table
        first, second = table.first.copy(), table.second.copy()
        for fields in forgotten:
            rows = np.array([window.forgotten == fields for window in self.windows])
            columns = np.array([spec.field in fields or (spec.other is not None and spec.other in fields) for spec in table.specs])
            first[np.ix_(rows, columns)], second[np.ix_(rows, columns)] = np.nan, 0.0
        return Table(table.specs, table.times_ms, first, second)

    def accept_shift(self, fields: frozenset[str | None], since: int) -> None:
        """From window number `since` on, `fields` are healthy again; what was before no longer teaches about them."""
        for window in self.windows:
            if window.number < since:
                window.forgotten |= fields
            else:
                window.excluded -= fields

    def rejudge(self, surprises: Sequence[tuple[Surprise, ...]]) -> None:
        """Replace the surprises of all windows."""
        for window, found in zip(self.windows, surprises, strict=True):
            window.surprises = found


def is_kept(number: int, newest: int) -> bool:
    """Whether window `number` is still remembered when window `newest` is the last one. Numbers are scattered, so that no hour is favoured.

    >>> len([n for n in range(1000) if is_kept(n, 999)])
    280
    """
    age, reach = newest - number, DENSE
    for tier in range(TIERS):
        if age < reach:
            return bool(number * _STRIDE % _RANGE * STEP**tier < _RANGE)
        reach += DENSE * STEP ** (tier + 1)
    return False
