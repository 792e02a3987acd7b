"""What one detector worker knows of one partition of the profiles topic: its monitored topics, and which deltas they still need.

No Kafka here: a shard is given messages with their offsets and says what came of each. It makes restarts exact. A topic's state is
saved when one of its panes closes, without its open panes, and names two bounds:

* `resume_offset`: deltas below it were seen when the state was saved;
* `open_from_ms`: panes before it were closed, so what was seen of them is in the state; later panes are not in it.

After a restart the partition is read again from the first delta of the oldest open pane of *any* topic in it. A delta is passed over if
and only if it is below both bounds of its topic: it is in the state already. All others are merged, in the order of the log, so that the
same panes close with the same content as without the restart. A cold start that had not ended is read again from its first message.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from stream_monitor.errors import FormatError, OverlapError
from stream_monitor.profiling.panes import AnomalyKind
from stream_monitor.streaming.delta_messages import MessageKind
from stream_monitor.streaming.monitoring import Answer, Factory, Message, Order, Situation, StatusFields, Step, TopicMonitorLike
from stream_monitor.streaming.state_table import PartitionRecord, TopicRecord

if TYPE_CHECKING:
    from stream_monitor.monitor import Outcome
    from stream_monitor.profiling.delta import Delta

NEVER_MS = 2**63 - 1
"""`open_from_ms` when no pane is open: everything seen is in the state."""
FORCED_AFTER_MS = 600_000
"""A source partition that no profiler mentions for this long, while others are, holds its topic's panes no more. By the timestamps of the
deltas, so that it does not depend on when they are read."""


@dataclasses.dataclass(slots=True)
class _Entry:
    monitor: TopicMonitorLike
    saved: TopicRecord | None = None
    resume_offset: int = 0
    open_from_ms: int = -NEVER_MS
    command_offset: int = -1
    history_offset: int | None = None
    history_run: str = ""
    first_offsets: dict[int, int] = dataclasses.field(default_factory=dict)
    """Pane start -> offset of its first delta, for panes that are open."""
    heard_ms: dict[int, int] = dataclasses.field(default_factory=dict)
    """Source partition -> timestamp of the last delta that mentions it."""
    began_ms: int | None = None

    def has(self, delta: Delta, offset: int) -> bool:
        """Whether the saved state has a delta already."""
        return self.saved is not None and offset < self.saved.resume_offset and delta.pane_start_ms < self.saved.open_from_ms

    def has_history(self, offset: int) -> bool:
        """Whether the saved state has what a message of a cold start did."""
        if self.saved is None or offset >= self.saved.resume_offset:
            return False
        return self.saved.history_offset is None or offset < self.saved.history_offset


class Shard:
    """One partition. Not thread-safe: calls are made one after the other."""

    def __init__(
        self,
        partition: int,
        factory: Factory,
        *,
        saved: PartitionRecord | None = None,
        load: Callable[[str], TopicRecord | None] = lambda _: None,
    ) -> None:
        self.partition = partition
        self.config_offset = -1 if saved is None else saved.config_offset
        """Sensitivity documents up to this offset were answered."""
        self.start_offset = None if saved is None else saved.needed_offset
        """Where to read from; None for the beginning."""
        self.next_offset = self.start_offset or 0
        """Messages below it were taken."""
        self._factory = factory
        self._load = load
        self._assembler = factory.assembler()
        self._chunk_offsets: list[int] = []
        self._entries: dict[str, _Entry] = {}
        self._skipped_orders: dict[str, int] = {}

    def open(self, topic: str) -> None:
        """Makes the monitor of a topic, from its saved state if it has one. Raises `FormatError` when that can't be read."""
        if topic in self._entries:
            return
        record = self._load(topic)
        if record is None:
            entry = _Entry(self._factory.new(topic), command_offset=self._skipped_orders.get(topic, -1))
        else:
            monitor = self._factory.restore(topic, record.sections)
            saved = dataclasses.replace(record, sections={})
            entry = _Entry(monitor, saved, record.resume_offset, record.open_from_ms, record.command_offset)
        self._entries[topic] = entry

    def take(self, topic: str, message: Message, situation: Situation) -> Step:
        """Takes one message of a topic that is open: a delta or a chunk of one, live or of a cold start, or the end of a cold start.

        Raises what a monitor should not raise; then the message counts as taken.
        """
        self.next_offset = message.offset + 1
        entry = self._entries[topic]
        if message.kind == MessageKind.BACKFILL_END:
            return self._end_history(entry, message, situation)
        if message.kind not in (MessageKind.DELTA, MessageKind.BACKFILL):
            return Step()  # of a newer version
        self._chunk_offsets.append(message.offset)
        first_offset = min(self._chunk_offsets)
        try:
            delta = self._assembler.add(message.value)
        except FormatError as error:
            return Step(refused=error)
        finally:
            if not self._assembler.pending:
                self._chunk_offsets.clear()
        if delta is None:
            return Step()
        if delta.topic != topic:
            return Step(refused=FormatError(f"expected a delta of {topic}, as its key says, got one of {delta.topic}"))
        if message.kind == MessageKind.BACKFILL:
            return self._learn(entry, delta, message, first_offset)
        return self._judge(entry, delta, message, first_offset, situation)

    def record(self, topic: str) -> TopicRecord:
        """What to save of a topic now."""
        entry = self._entries[topic]
        sections = entry.monitor.snapshot_sections()
        return TopicRecord(entry.resume_offset, entry.open_from_ms, entry.command_offset, entry.history_offset, sections)

    def partition_record(self) -> PartitionRecord:
        """What to save of the partition now."""
        needed = [first for entry in self._entries.values() for first in entry.first_offsets.values()]
        needed += [entry.history_offset for entry in self._entries.values() if entry.history_offset is not None]
        return PartitionRecord(min([*needed, *self._chunk_offsets], default=self.next_offset), self.config_offset)

    def skip_orders(self, topic: str, offset: int) -> None:
        """Commands up to `offset` were answered although the topic was not known: they are not carried out when it comes."""
        self._skipped_orders[topic] = offset

    # -- live ---------------------------------------------------------------------------------------------------------
    def _judge(self, entry: _Entry, delta: Delta, message: Message, first_offset: int, situation: Situation) -> Step:
        answers = _carry_out(entry, situation.orders)
        statuses: list[StatusFields] = []
        refused: Exception | None = None
        if not entry.has(delta, message.offset):
            try:
                statuses += _gaps(entry.monitor.merge(delta))
                entry.first_offsets.setdefault(delta.pane_start_ms, first_offset)
            except (FormatError, OverlapError) as error:
                refused = error
            statuses += _force(entry, delta, message.timestamp_ms)
        elif not answers:
            return Step()
        outcome = entry.monitor.advance(situation.sensitivity, situation.config_offset)
        _note_closed(entry, message.offset, outcome)
        return _step(outcome, situation, answers, refused, statuses)

    # -- cold start ---------------------------------------------------------------------------------------------------
    @staticmethod
    def _learn(entry: _Entry, delta: Delta, message: Message, first_offset: int) -> Step:
        if entry.has_history(message.offset):
            return Step()
        if entry.history_offset is None or entry.history_run != message.run:
            entry.history_offset, entry.history_run = first_offset, message.run
        entry.resume_offset = max(entry.resume_offset, message.offset + 1)
        try:
            entry.monitor.merge_history(delta, message.run)
        except (FormatError, OverlapError) as error:
            return Step(refused=error)
        return Step()

    @staticmethod
    def _end_history(entry: _Entry, message: Message, situation: Situation) -> Step:
        if entry.has_history(message.offset):
            return Step()
        outcome = entry.monitor.end_history(situation.sensitivity, message.run)
        if entry.history_run == message.run:
            entry.history_offset, entry.history_run = None, ""
        entry.resume_offset = max(entry.resume_offset, message.offset + 1)
        return dataclasses.replace(_step(outcome, situation, (), None, []), save=True)


def _step(
    outcome: Outcome, situation: Situation, answers: tuple[Answer, ...], refused: Exception | None, statuses: list[StatusFields]
) -> Step:
    said = (*outcome.statuses, *statuses)
    happened = bool(outcome.verdicts or outcome.changes or said or answers or outcome.reference is not None)
    return Step(outcome, situation.config_offset, answers, said, refused, save=happened)


def _carry_out(entry: _Entry, orders: tuple[Order, ...]) -> tuple[Answer, ...]:
    answers: list[Answer] = []
    for order in orders:
        if order.offset <= entry.command_offset:
            continue
        if order.command is None:
            answers.append((order.offset, ({"event": "command.rejected", "message": order.refused},)))
        else:
            answers.append((order.offset, tuple(entry.monitor.command(order.command))))
        entry.command_offset = order.offset
    return tuple(answers)


def _note_closed(entry: _Entry, offset: int, outcome: Outcome) -> None:
    entry.resume_offset = max(entry.resume_offset, offset + 1)
    if entry.saved is not None and offset + 1 < entry.saved.resume_offset:  # catching up: a pane older than those seen may open yet
        closed = max((verdict.end_ms for verdict in outcome.verdicts), default=entry.open_from_ms)
        entry.open_from_ms = max(entry.open_from_ms, closed)
    else:
        oldest = entry.monitor.oldest_open_ms
        entry.open_from_ms = NEVER_MS if oldest is None else oldest
    entry.first_offsets = {pane: first for pane, first in entry.first_offsets.items() if pane >= entry.open_from_ms}


def _gaps(anomalies: object) -> list[StatusFields]:
    """Status events for offsets that never came."""
    found = anomalies if isinstance(anomalies, list) else []
    return [
        {"event": "profiles.gap", "message": gap.text, "details": {"partition": gap.partition, "start": gap.start, "end": gap.end}}
        for gap in found
        if gap.kind == AnomalyKind.GAP
    ]


def _force(entry: _Entry, delta: Delta, now_ms: int) -> list[StatusFields]:
    """Lets go of source partitions that nobody mentions any more; says so."""
    began = entry.began_ms = now_ms if entry.began_ms is None else entry.began_ms
    for source in delta.sources:
        entry.heard_ms[source.partition] = max(now_ms, entry.heard_ms.get(source.partition, 0))
    statuses: list[StatusFields] = []
    for partition in range(entry.monitor.partition_count):
        if now_ms - entry.heard_ms.get(partition, began) > FORCED_AFTER_MS:
            entry.heard_ms[partition] = NEVER_MS
            entry.monitor.forget(partition)
            text = f"no profiler has mentioned partition {partition} for {FORCED_AFTER_MS // 60_000} min: panes close without it"
            statuses.append({"event": "pane.forced", "message": text, "details": {"partition": partition}})
    return statuses
