"""The monitor of one topic: profiling, detection and incidents put together, with no Kafka in it.

`Monitor` is the public face for notebooks, tests, replays and back-tests: bytes in, verdicts out. `TopicMonitor` is the part
after the profilers: deltas in, verdicts and incident changes out; the detector of the streaming system runs one for each topic.
Pure: time comes from the records, randomness from the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.alerting.incidents import IncidentBook, IncidentChange
from stream_monitor.alerting.verdicts import verdict_json
from stream_monitor.config.commands import Command
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
from stream_monitor.detection.judge import Judge
from stream_monitor.detection.judge_state import judge_sections, restore_judge
from stream_monitor.detection.verdict import Aspect, Finding, Judgement
from stream_monitor.errors import FormatError, SensitivityError
from stream_monitor.profiling.codec import MALFORMED_STATE, seal, unseal
from stream_monitor.profiling.delta import Delta
from stream_monitor.profiling.panes import PaneBoard, Window
from stream_monitor.profiling.reference import Reference
from stream_monitor.profiling.stream_profiler import StreamProfiler

_MAGIC, _VERSION = b"SMTM", 1

WINDOW_MS = 60_000
ALLOWED_LATENESS_MS = 10_000
EXPECTED_RECORDS = 20.0
"""A topic that usually has so many records a window is judged on every window, however empty: silence is news."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is concluded about one window of a monitored topic."""

    judgement: Judgement
    changes: tuple[IncidentChange, ...] = ()
    """Incidents opened, updated or resolved at the end of this window."""
    config_offset: int | None = None

    @property
    def score(self) -> float:
        """Return period in days: higher is more surprising, strictly monotone however extreme; 0 while there are no limits yet."""
        return self.judgement.return_period_days

    @property
    def alerts(self) -> tuple[Finding, ...]:
        """What alerts in this window, the likeliest cause first; each has `aspect`, `field` and `detector`."""
        return self.judgement.findings if self.judgement.alerting else ()

    @property
    def window_start_ms(self) -> int:
        """Start of the window, ms since the epoch."""
        return self.judgement.start_ms

    @property
    def records(self) -> int:
        """Records in the window, malformed ones among them."""
        return self.judgement.records

    def to_json(self) -> bytes:
        """The verdict document, UTF-8."""
        return verdict_json(self.judgement, self.config_offset)


@dataclass(slots=True)
class Outcome:
    """What there is to publish after some windows closed."""

    verdicts: list[Judgement] = field(default_factory=list)
    changes: list[IncidentChange] = field(default_factory=list)
    reference: Reference | None = None
    """A new one for the profilers."""
    statuses: list[dict[str, Any]] = field(default_factory=list)
    """Fields of status events."""
    closed: list[tuple[Judgement, tuple[IncidentChange, ...]]] = field(default_factory=list)
    """Each verdict with the incident changes at its end."""


class TopicMonitor:
    """Deltas of one topic in, outcomes out."""

    def __init__(
        self, topic: str, *, window_ms: int = WINDOW_MS, allowed_lateness_ms: int = ALLOWED_LATENESS_MS, prefix: str = "stream-monitor",
        seed: int = 0,
    ) -> None:
        self.topic, self.window_ms, self.prefix = topic, window_ms, prefix
        self.board = PaneBoard(window_ms, allowed_lateness_ms)
        self.judge = Judge(topic, window_ms, seed)
        self.incidents = IncidentBook(topic, prefix)
        self.allowed_lateness_ms = allowed_lateness_ms
        self._run: str | None = None
        self._history: PaneBoard | None = None
        self._pending: list[IncidentChange] = []  # made by commands, published with the next outcome
        self._now_ms = 0  # end of the last window judged

    @property
    def reference(self) -> Reference | None:
        """The one in force."""
        return self.judge.reference

    @property
    def oldest_open_ms(self) -> int | None:
        """Start of the oldest pane that is open; None if there is none."""
        return self.board.oldest_open_ms

    @property
    def partition_count(self) -> int:
        """Partitions of the topic, as far as deltas said."""
        return self.board.partition_count

    def forget(self, partition: int) -> None:
        """A source partition is gone: panes close without it, until it is heard of again."""
        self.board.forget(partition)

    def merge(self, delta: Delta) -> Any:
        """Take in a delta; gives what is odd about it (gaps). Raises OverlapError, and is unchanged, if its records were merged already."""
        return self.board.merge(delta)

    def advance(
        self, sensitivity: Sensitivity, config_offset: int | None = None, *, flush: bool = False, backfill: bool = False
    ) -> Outcome:
        """Judge the windows that can close (`flush`: all that are open). `backfill`: they are of the past; they teach but never alert."""
        least = 0 if self._expects_records() else 10
        windows = self.board.close_all() if flush else self.board.closable(min_records=least)
        return self._judge(windows, sensitivity, config_offset, backfill=backfill)

    def merge_history(self, delta: Delta, run: str) -> None:
        """Take in a pane of the retained log, read by cold start `run`; a new run forgets what an unfinished one brought."""
        if self._history is None or run != self._run:
            self._history, self._run = PaneBoard(self.window_ms, self.allowed_lateness_ms), run
        self._history.merge(delta)

    def end_history(self, sensitivity: Sensitivity, run: str) -> Outcome:
        """The cold start is complete: learn from its panes, in order of time."""
        if self._history is None or run != self._run:
            return Outcome()
        windows, self._history, self._run = self._history.close_all(silent=False), None, None
        before = self.reference
        with self.judge.training_once():
            outcome = self._judge(windows, sensitivity, None, backfill=True)
        if self.reference is not before:
            self._tell_reference(outcome)
        outcome.verdicts.clear()
        outcome.closed.clear()
        return outcome

    def command(self, command: Command) -> list[dict[str, Any]]:
        """Carry out a command; gives the fields of status events."""
        try:
            message = self._carry_out(command)
        except SensitivityError as error:
            return [{"event": "command.rejected", "message": str(error)}]
        return [{"event": "command.accepted", "message": message}]

    def _carry_out(self, command: Command) -> str:
        if command.do == "reset":
            self.judge = Judge(self.topic, self.window_ms, self.judge.seed)
            self._pending += self.incidents.clear()
            return f"{self.topic}: what was learned is forgotten; it is learned anew from here"
        if command.do == "export":
            return f"{self.topic}: {len(self.judge.memory)} windows learned, reference {self.reference.version if self.reference else 0}"
        incident = self.incidents.find(command.incident or "")
        fields = frozenset(path for _, path in incident.causes)
        named = ", ".join(sorted(path or "the records as a whole" for path in fields))
        if command.do == "accept":
            self.judge.accept(fields, incident.opened_ms, self._now_ms)
            self._pending.append(self.incidents.accept(incident.id))
            return f"{incident.id}: accepted as the new normal for {named}"
        self.incidents.reject(incident.id)
        self.judge.reject(fields, incident.opened_ms)
        return f"{incident.id}: a fault; what {named} did since then will not be learned"

    def _expects_records(self) -> bool:
        usual = self.judge.usual_records
        return usual is not None and usual >= EXPECTED_RECORDS

    def _judge(self, windows: Sequence[Window], sensitivity: Sensitivity, config_offset: int | None, *, backfill: bool) -> Outcome:
        outcome = Outcome(changes=self._pending)
        self._pending = []
        before = self.reference
        for window in windows:
            quiet = sensitivity.muted(window.start_ms) or sensitivity.muted(window.end_ms - 1)
            partial = window.is_partial and not backfill
            learn = not quiet and not partial and (backfill or self._history is None)
            # What came before we began to read would look like a loss.
            judgement = self.judge.judge(window, sensitivity.without(Aspect.VOLUME) if partial else sensitivity, learn=learn)
            changes = tuple(self.incidents.update(judgement, sensitivity, backfill=backfill))
            if self.judge.absorbed:
                changes += self._absorb(self.judge.absorbed, outcome)
            outcome.verdicts.append(judgement)
            outcome.changes += changes
            outcome.closed.append((judgement, changes))
            self._now_ms = max(self._now_ms, window.end_ms)
        if self.reference is not before:
            self._tell_reference(outcome)
        return outcome

    def _tell_reference(self, outcome: Outcome) -> None:
        if self.reference is not None:
            outcome.reference = self.reference
            told = f"{self.topic}: reference {self.reference.version}, from {len(self.judge.memory)} windows"
            outcome.statuses.append({"event": "baseline.changed", "message": told})

    def _absorb(self, fields: frozenset[str | None], outcome: Outcome) -> tuple[IncidentChange, ...]:
        """A shift has become the new normal: its incidents end, and it is announced."""
        over = [incident.id for incident in self.incidents.open if fields & {path for _, path in incident.causes}]
        named = ", ".join(sorted(path or "the records as a whole" for path in fields))
        told = f"{self.topic}: the new level of {named} is accepted as the new normal"
        outcome.statuses.append({"event": "baseline.changed", "message": told})
        return tuple(self.incidents.accept(incident) for incident in over)

    def snapshot_sections(self, *, open_panes: bool = False) -> dict[str, bytes]:
        """The state in named sections that change at different rates; without open panes unless told to keep them."""
        main = [
            self.topic, self.window_ms, self.allowed_lateness_ms, self.prefix, self._now_ms, self.incidents.snapshot(),
            self.board.snapshot(include_open=open_panes),
        ]
        return {"topic": seal(_MAGIC, _VERSION, main), **judge_sections(self.judge)}

    @classmethod
    def restore_sections(cls, sections: Mapping[str, bytes]) -> TopicMonitor:
        """Inverse of `snapshot_sections`. Raises FormatError."""
        try:
            topic, window_ms, lateness_ms, prefix, now_ms, incidents, board = unseal(_MAGIC, _VERSION, sections["topic"])
            monitor = cls(topic, window_ms=window_ms, allowed_lateness_ms=lateness_ms, prefix=prefix)
            monitor._now_ms = now_ms
            monitor.incidents = IncidentBook.restore(incidents)
            monitor.board = PaneBoard.restore(board)
        except MALFORMED_STATE as error:
            raise FormatError(f"expected the sections of a topic, got something else ({error!r}): the state is corrupt") from error
        monitor.judge = restore_judge(sections)
        return monitor


class Monitor:
    """A topic watched in-process: values in, verdicts of closed windows out.

    >>> monitor = Monitor("orders", window_seconds=60, sensitivity={"max_alerts": "2/day"})
    >>> monitor.observe([b'{"id": 1}'] * 20, [1_000 * i for i in range(20)])
    []
    >>> [verdict.records for verdict in monitor.flush()]
    [20]

    Args:
        topic: its name, in verdicts and incidents.
        window_seconds: length of a window.
        sensitivity: a sensitivity document (CONTRACT); the default is one alert a day.
        timestamp_field: dotted path of the event time in the values; None: the timestamps given.
        allowed_lateness_seconds: how long after its end, in event time, a window still takes records.
        seed: of the half-space trees and of all sampling.
    """

    def __init__(
        self, topic: str, *, window_seconds: float = WINDOW_MS / 1000, sensitivity: Mapping[str, Any] | None = None,
        timestamp_field: str | None = None, allowed_lateness_seconds: float = ALLOWED_LATENESS_MS / 1000,
        prefix: str = "stream-monitor", seed: int = 0,
    ) -> None:
        window_ms, lateness_ms = round(window_seconds * 1000), round(allowed_lateness_seconds * 1000)
        self.topic = topic
        self.core = TopicMonitor(topic, window_ms=window_ms, allowed_lateness_ms=lateness_ms, prefix=prefix, seed=seed)
        self.tune(sensitivity)
        self._profiler = StreamProfiler(
            topic, window_ms=window_ms, allowed_lateness_ms=lateness_ms, timestamp_field=timestamp_field,
        )
        self._next_offsets: dict[int, int] = {}
        self._passed_ms = -1

    def tune(self, sensitivity: Mapping[str, Any] | None) -> None:
        """Replace the sensitivity document; it takes effect at the next window. Raises SensitivityError."""
        self.sensitivity = Sensitivity.of(parse_sensitivity(dict(sensitivity)) if sensitivity else None)

    def observe(
        self, values: Sequence[bytes | None], timestamps_ms: Sequence[int], *, partitions: Sequence[int] | None = None,
        offsets: Sequence[int] | None = None, keys: Sequence[bytes | None] | None = None, arrivals_ms: Sequence[int] | None = None,
    ) -> list[Verdict]:
        """Take in records, in the order of their offsets; gives the verdicts of the windows that close.

        Without `partitions` all are of partition 0; without `offsets` they are numbered as they come. A value of None is a tombstone.
        Raises OverlapError for offsets that were read before.
        """
        if not len(values):
            return []
        where = np.zeros(len(values), np.int32) if partitions is None else np.asarray(partitions, np.int32)
        places = self._number(where) if offsets is None else np.asarray(offsets, np.int64)
        self._profiler.add(values, np.asarray(timestamps_ms, np.int64), where, places, keys=keys, arrivals_ms=arrivals_ms)
        return self._advance() if self._may_close() else []

    def flush(self) -> list[Verdict]:
        """Close what is open, and judge it."""
        return self._advance(flush=True)

    def snapshot(self) -> bytes:
        """All of it as versioned, portable bytes: `restore` has the same future, to the bit."""
        self._collect()
        clocks = [[partition, clock.next_offset, clock.metadata()] for partition, clock in sorted(self._profiler.partitions.items())]
        state = [
            self.core.snapshot_sections(open_panes=True), self.sensitivity.to_dict(), self._profiler.timestamp_field, clocks,
            sorted(self._next_offsets.items()),
        ]
        return seal(_MAGIC, _VERSION, state)

    @classmethod
    def restore(cls, blob: bytes) -> Monitor:
        """The monitor that `snapshot` wrote. Raises FormatError."""
        try:
            sections, sensitivity, timestamp_field, clocks, next_offsets = unseal(_MAGIC, _VERSION, blob)
            core = TopicMonitor.restore_sections(sections)
            monitor = cls(core.topic, window_seconds=core.window_ms / 1000, timestamp_field=timestamp_field)
            monitor.core, monitor.sensitivity = core, Sensitivity.from_dict(sensitivity)
            monitor._profiler.allowed_lateness_ms = core.allowed_lateness_ms
            monitor._next_offsets = dict(next_offsets)
            if core.reference is not None and core.judge.wants_whole:
                monitor._profiler.use(core.reference)
            for partition, next_offset, metadata in clocks:
                monitor._profiler.assign(partition, next_offset, metadata)
        except MALFORMED_STATE as error:
            raise FormatError(f"expected the snapshot of a monitor, got something else ({error!r}): the bytes are corrupt") from error
        return monitor

    def _number(self, partitions: NDArray[np.int32]) -> NDArray[np.int64]:
        """Offsets for records that come without: the next ones of their partition."""
        out = np.empty(len(partitions), np.int64)
        for partition in np.unique(partitions).tolist():
            rows = np.flatnonzero(partitions == partition)
            first = self._next_offsets.get(partition, 0)
            out[rows] = np.arange(first, first + len(rows))
            self._next_offsets[partition] = first + len(rows)
        return out

    def _may_close(self) -> bool:
        """Whether event time has passed the end of a pane since the last time: nothing else makes it worth to profile what is buffered."""
        marks = [clock.watermark_ms for clock in self._profiler.partitions.values()]
        if any(mark is None for mark in marks):
            return False
        limit = min(mark for mark in marks if mark is not None) - self.core.allowed_lateness_ms
        passed, self._passed_ms = limit // self.core.window_ms > self._passed_ms // self.core.window_ms, max(limit, self._passed_ms)
        return passed

    def _collect(self) -> None:
        if self._profiler.panes_touched:
            for delta in self._profiler.drain():
                self.core.merge(delta)

    def _advance(self, *, flush: bool = False) -> list[Verdict]:
        self._collect()
        outcome = self.core.advance(self.sensitivity, flush=flush)
        if outcome.reference is not None and self.core.judge.wants_whole:
            self._profiler.use(outcome.reference)
        return [Verdict(judgement, changes) for judgement, changes in outcome.closed]
