"""The panes of one topic: deltas are merged into them, and they close when the watermarks of all partitions have passed.

Closing is decided by what deltas say (watermarks, positions, durations of idleness), never by a clock here: the same deltas in the
same order close the same windows. A pane closes when event time has passed its end and the allowed lateness. Event time is the smallest
watermark among partitions; idle ones (all read, and nothing new for longer than a window and 30 s) don't hold it back while others
are active. When all are idle it runs on from the largest watermark by the shortest idleness. Partitions never heard of hold everything:
`waiting_for`.

Merging is idempotent by offsets: what a pane has of a partition is not merged again. Offsets that half overlap can't be told
apart in a profile, so the delta is refused as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from stream_monitor.errors import FormatError, OverlapError
from stream_monitor.profiling import codec
from stream_monitor.profiling.delta import Delta, SourceRange
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.windows import Gathering, OpenPane, Window, cover, gather

IDLE_MS = 30_000
_VERSION = 1

__all__ = ["Anomaly", "AnomalyKind", "PaneBoard", "Window"]


class AnomalyKind(StrEnum):
    """What can be odd about a delta that is not refused."""

    REPEAT = "repeat"
    """Merged already; dropped."""
    GAP = "gap"
    """Offsets between the last delta and this one never came."""
    LATE = "late"
    """Its pane was closed already; its records count as late in the next window."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One oddity, to be reported."""

    kind: AnomalyKind
    partition: int
    start: int
    """Offset."""
    end: int
    text: str


@dataclass(slots=True)
class Progress:
    """How far a partition is known."""

    end: int
    watermark_ms: int = -1
    caught_up: bool = False
    idle_ms: int = 0

    def update(self, source: SourceRange) -> None:
        """Takes in what a delta says."""
        self.watermark_ms = max(self.watermark_ms, source.watermark_ms)
        if source.end >= self.end:
            self.end, self.caught_up, self.idle_ms = source.end, source.caught_up, source.idle_ms


class PaneBoard:
    """Not thread-safe. Memory: one profile a pane that is open."""

    def __init__(
        self, window_ms: int = 60_000, allowed_lateness_ms: int = 10_000, min_records: int = 10, max_merge_ms: int = 3_600_000
    ) -> None:
        self.window_ms = window_ms
        self.allowed_lateness_ms = allowed_lateness_ms
        self.min_records = min_records
        self.max_merge_ms = max_merge_ms
        self.partition_count = 0
        """Partitions of the topic, as the deltas say."""
        self.partitions: dict[int, Progress] = {}
        self._panes: dict[int, OpenPane] = {}
        self._next_ms: int | None = None
        self._clock_ms: int | None = None
        self._late_carry = 0
        self._closed_ends: dict[int, int] = {}
        self._gone: set[int] = set()

    # -- merging ------------------------------------------------------------------------------------------------------
    def merge(self, delta: Delta) -> list[Anomaly]:
        """Takes in a delta; what was odd about it. Raises OverlapError, and FormatError for another window length; then nothing is
        merged and nothing changes.
        """
        if delta.window_ms != self.window_ms:
            raise FormatError(f"expected panes of {self.window_ms} ms, got {delta.window_ms}: profilers and detector need the same window")
        read = [source for source in delta.sources if source.end > source.start]
        anomalies = self._merge_profile(delta, read)
        self.partition_count = max(self.partition_count, delta.partition_count)
        anomalies += [gap for source in read if (gap := self._gap(source)) is not None]
        for source in delta.sources:
            self._gone.discard(source.partition)
            self.partitions.setdefault(source.partition, Progress(source.end)).update(source)
        return anomalies

    def _merge_profile(self, delta: Delta, read: list[SourceRange]) -> list[Anomaly]:
        start = delta.pane_start_ms
        if not delta.profile.read:
            return []
        if self._next_ms is not None and start < self._next_ms:
            return self._merge_late(delta, read)
        pane = self._panes.get(start)
        known = {} if pane is None else pane.spans
        seen = [source for source in read if any(a <= source.start and source.end <= b for a, b in known.get(source.partition, []))]
        if read and len(seen) == len(read):
            return [_anomaly(AnomalyKind.REPEAT, source, f"pane {start} has them already: dropped") for source in read]
        for source in read:
            for a, b in known.get(source.partition, []):
                if source.start < b and a < source.end:
                    raise OverlapError(
                        f"expected offsets of partition {source.partition} outside [{a}, {b}), which pane {start} of {delta.topic} has "
                        f"merged, got [{source.start}, {source.end}): the delta is refused; two profilers read the same records"
                    )
        merged = delta.profile if pane is None else pane.profile.merge(delta.profile)
        spans = {**known, **{s.partition: cover(known.get(s.partition, []), (s.start, s.end)) for s in read}}
        self._panes[start] = OpenPane(merged, spans)
        return []

    def _merge_late(self, delta: Delta, read: list[SourceRange]) -> list[Anomaly]:
        if all(source.end <= self._closed_ends.get(source.partition, 0) for source in read):
            return [_anomaly(AnomalyKind.REPEAT, source, f"pane {delta.pane_start_ms} was closed with them: dropped") for source in read]
        self._late_carry += delta.profile.read
        text = f"{delta.profile.read} records for pane {delta.pane_start_ms}, closed already: counted as late in the next window"
        return [_anomaly(AnomalyKind.LATE, source, text) for source in read]

    def _gap(self, source: SourceRange) -> Anomaly | None:
        known = self.partitions.get(source.partition)
        if known is None or source.start <= known.end:
            return None
        text = f"offsets [{known.end}, {source.start}) never came"
        return Anomaly(AnomalyKind.GAP, source.partition, known.end, source.start, text)

    def forget(self, partition: int) -> None:
        """A partition is gone for good: it holds nothing any more, unless it is heard of again. Say so: its pane closes without it."""
        self.partitions.pop(partition, None)
        self._gone.add(partition)

    # -- event time ---------------------------------------------------------------------------------------------------
    @property
    def waiting_for(self) -> tuple[int, ...]:
        """Partitions that were never heard of, and hold all panes."""
        return tuple(p for p in range(self.partition_count) if p not in self.partitions and p not in self._gone)

    @property
    def event_time_ms(self) -> int | None:
        """Up to where all partitions have been read; None while that can't be said. Never goes back."""
        now = self._event_time()
        if now is not None and (self._clock_ms is None or now > self._clock_ms):
            self._clock_ms = now
        return self._clock_ms

    def _event_time(self) -> int | None:
        if self.waiting_for or not self.partitions:
            return None
        quiet = max(self.window_ms, IDLE_MS)
        active = [known for known in self.partitions.values() if not (known.caught_up and known.idle_ms > quiet)]
        if active:
            lowest = min(known.watermark_ms for known in active)
            return None if lowest < 0 else lowest
        latest = max(known.watermark_ms for known in self.partitions.values())
        return None if latest < 0 else latest + min(known.idle_ms for known in self.partitions.values())

    @property
    def oldest_open_ms(self) -> int | None:
        """Start of the oldest pane with records that is not in a window yet."""
        return min(self._panes, default=None)

    # -- closing ------------------------------------------------------------------------------------------------------
    def closable(self, min_records: int | None = None) -> list[Window]:
        """Closes what can be closed: windows in time order, without gaps, silent ones among them. Windows of fewer than `min_records`
        (default: the board's) go on into the next panes until they have them or are `max_merge_ms` long. A silence of more than 1,000
        panes is one window.
        """
        now = self.event_time_ms
        if now is None:
            return []
        limit = now - self.allowed_lateness_ms
        return self._close(limit - limit % self.window_ms, self.min_records if min_records is None else min_records, flush=False)

    def close_all(self, *, silent: bool = True) -> list[Window]:
        """Closes everything that is open, whatever is missing. Without `silent` no windows for panes without records: for history of which
        only runs of panes were read.
        """
        if not self._panes and not self._late_carry:
            return []
        first = self._next_ms if self._next_ms is not None else 0
        limit = max(self._panes, default=first) + self.window_ms
        return self._close(limit, self.min_records, flush=True, silent=silent)

    def _close(self, limit_ms: int, min_records: int, *, flush: bool, silent: bool = True) -> list[Window]:
        start = self._next_ms if self._next_ms is not None else self.oldest_open_ms
        if start is None or limit_ms <= start:
            return []
        gathered = gather(
            self._panes, start, limit_ms,
            window_ms=self.window_ms, min_records=min_records, max_merge_ms=self.max_merge_ms, flush=flush, silent=silent,
        )  # fmt: skip
        return [self._closed(one) for one in list(gathered)]

    def _closed(self, gathered: Gathering) -> Window:
        window = gathered.window({partition: known.watermark_ms for partition, known in self.partitions.items()})
        if self._next_ms is None and any(source.start > 0 for source in window.sources):
            window = replace(window, is_partial=True)
        if self._late_carry:
            window = replace(window, profile=window.profile.counting_late(self._late_carry))
            self._late_carry = 0
        for start in [start for start in self._panes if start < window.end_ms]:
            del self._panes[start]
        self._next_ms = window.end_ms
        self._closed_ends = {partition: known.end for partition, known in self.partitions.items()}
        return window

    # -- state --------------------------------------------------------------------------------------------------------
    def snapshot(self, *, include_open: bool = False) -> dict[str, Any]:
        """The state, for msgpack. Without open panes the deltas from the oldest open pane on must be merged again after `restore`."""
        kept = sorted(self._panes.items()) if include_open else []
        panes = [[start, pane.profile.to_bytes(), sorted(pane.spans.items())] for start, pane in kept]
        return {
            "version": _VERSION,
            "settings": [self.window_ms, self.allowed_lateness_ms, self.min_records, self.max_merge_ms],
            "partition_count": self.partition_count,
            "partitions": [[p, k.end, k.watermark_ms, k.caught_up, k.idle_ms] for p, k in sorted(self.partitions.items())],
            "next_ms": self._next_ms, "clock_ms": self.event_time_ms, "late": self._late_carry,
            "closed_ends": sorted(self._closed_ends.items()), "gone": sorted(self._gone),
            "panes": panes,
        }  # fmt: skip

    @classmethod
    def restore(cls, state: dict[str, Any]) -> PaneBoard:
        """Inverse of `snapshot`; FormatError for another shape or a newer version."""
        try:
            if state["version"] > _VERSION:
                raise FormatError(f"pane state version {state['version']} is newer than {_VERSION}: upgrade this program")
            board = cls(*(int(setting) for setting in state["settings"]))
            board.partition_count = int(state["partition_count"])
            board.partitions = {int(p): Progress(int(e), int(w), bool(c), int(i)) for p, e, w, c, i in state["partitions"]}
            board._next_ms, board._clock_ms, board._late_carry = state["next_ms"], state["clock_ms"], int(state["late"])
            board._closed_ends = {int(p): int(end) for p, end in state["closed_ends"]}
            board._gone = {int(p) for p in state["gone"]}
            for start, blob, spans in state["panes"]:
                known = {int(p): [(int(a), int(b)) for a, b in own] for p, own in spans}
                board._panes[int(start)] = OpenPane(Profile.from_bytes(blob), known)
        except codec.MALFORMED_STATE as error:
            raise FormatError(f"expected the state of a pane board, got another shape ({error!r}): the bytes are corrupt") from error
        return board


def _anomaly(kind: AnomalyKind, source: SourceRange, text: str) -> Anomaly:
    return Anomaly(kind, source.partition, source.start, source.end, f"offsets [{source.start}, {source.end}): {text}")
