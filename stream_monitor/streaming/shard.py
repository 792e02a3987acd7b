"""What one detector worker knows of one partition of the profiles topic: its monitored topics, and which deltas they still need.

No Kafka here: a shard is given messages with their offsets and says what came of each. It makes restarts exact. A topic's state is
saved when one of its panes closes, without its open panes, and names two bounds:

* `resume_offset`: deltas below it were seen when the state was saved;
* `open_from_ms`: panes before it were closed, so what was seen of them is in the state; later panes are not in it.

After a restart the partition is read again from the first delta of the oldest open pane of *any* topic in it. A delta is passed over if
and only if it is below both bounds of its topic: it is in the state already. All others are merged, in the order of the log, so that the
same panes close with the same content as without the restart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from stream_monitor.errors import FormatError, OverlapError
from stream_monitor.streaming.state_table import PartitionRecord, TopicRecord

if TYPE_CHECKING:
    from stream_monitor.monitor import Outcome
    from stream_monitor.profiling.delta import Delta

    from stream_monitor.config.commands import Command
    from stream_monitor.config.sensitivity import Sensitivity

NEVER_MS = 2**63 - 1
"""`open_from_ms` when no pane is open: everything seen is in the state."""

StatusFields = Mapping[str, Any]


class TopicMonitorLike(Protocol):
    """What a shard needs of a `TopicMonitor`."""

    @property
    def oldest_open_ms(self) -> int | None:
        """Start of the oldest pane that is open; None if there is none."""
        ...

    def merge(self, delta: Delta) -> Any:
        """Takes in a delta. Raises `OverlapError`, and is unchanged, if its records were merged already."""
        ...

    def advance(self, sensitivity: Sensitivity, config_offset: int | None, *, flush: bool = False, backfill: bool = False) -> Outcome:
        """Judges the windows that can close."""
        ...

    def command(self, command: Command) -> Iterable[StatusFields]:
        """Carries out a command; fields of status events."""
        ...

    def snapshot_sections(self) -> Mapping[str, bytes]:
        """The state without open panes, in named sections that change at different rates."""
        ...


class AssemblerLike(Protocol):
    """What a shard needs of a `DeltaAssembler`."""

    @property
    def pending(self) -> int:
        """Deltas of which some chunks are here and some are not."""
        ...

    def add(self, chunk: bytes) -> Delta | None:
        """The delta that a chunk completes. Raises `FormatError`."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Factory:
    """Makes what a shard holds."""

    new: Callable[[str], TopicMonitorLike]
    restore: Callable[[str, Mapping[str, bytes]], TopicMonitorLike]
    assembler: Callable[[], AssemblerLike]


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """A command given at an offset of the commands topic; `refused` if it can't be read."""

    offset: int
    command: Command | None
    refused: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """What is in force when a delta is taken."""

    sensitivity: Sensitivity
    config_offset: int | None = None
    orders: tuple[Order, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What came of one message; `save` says that state must be written after it is published."""

    outcome: Outcome | None = None
    config_offset: int | None = None
    answers: tuple[tuple[int, tuple[StatusFields, ...]], ...] = ()
    """Of each command handled: its offset, and fields of status events."""
    refused: Exception | None = None
    """Why the message was not merged."""
    save: bool = False


@dataclasses.dataclass(slots=True)
class _Entry:
    monitor: TopicMonitorLike
    saved_resume_offset: int = 0
    saved_open_from_ms: int = -NEVER_MS
    command_offset: int = -1
    resume_offset: int = 0
    open_from_ms: int = -NEVER_MS
    first_offsets: dict[int, int] = dataclasses.field(default_factory=dict)
    """Pane start -> offset of its first delta, for panes that are open."""


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
            bounds = record.resume_offset, record.open_from_ms
            entry = _Entry(self._factory.restore(topic, record.sections), *bounds, record.command_offset, *bounds)
        self._entries[topic] = entry

    def take(self, topic: str, offset: int, value: bytes, situation: Situation) -> Step:
        """Takes one message of a topic that is open: a delta, or a chunk of one.

        Raises what a monitor should not raise; then the message counts as taken.
        """
        self.next_offset = offset + 1
        self._chunk_offsets.append(offset)
        first_offset = min(self._chunk_offsets)
        try:
            delta = self._assembler.add(value)
        except FormatError as error:
            return Step(refused=error)
        finally:
            if not self._assembler.pending:
                self._chunk_offsets.clear()
        if delta is None:
            return Step()
        if delta.topic != topic:
            return Step(refused=FormatError(f"expected a delta of {topic}, as its key says, got one of {delta.topic}"))
        return self._apply(self._entries[topic], delta, offset, first_offset, situation)

    def record(self, topic: str) -> TopicRecord:
        """What to save of a topic now."""
        entry = self._entries[topic]
        return TopicRecord(entry.resume_offset, entry.open_from_ms, entry.command_offset, entry.monitor.snapshot_sections())

    def partition_record(self) -> PartitionRecord:
        """What to save of the partition now."""
        needed = [first for entry in self._entries.values() for first in entry.first_offsets.values()]
        return PartitionRecord(min([*needed, *self._chunk_offsets], default=self.next_offset), self.config_offset)

    def skip_orders(self, topic: str, offset: int) -> None:
        """Commands up to `offset` were answered although the topic was not known: they are not carried out when it comes."""
        self._skipped_orders[topic] = offset

    def _apply(self, entry: _Entry, delta: Delta, offset: int, first_offset: int, situation: Situation) -> Step:
        answers = _carry_out(entry, situation.orders)
        if offset < entry.saved_resume_offset and delta.pane_start_ms < entry.saved_open_from_ms:
            return Step(answers=answers, save=bool(answers))
        refused: Exception | None = None
        try:
            entry.monitor.merge(delta)
            entry.first_offsets.setdefault(delta.pane_start_ms, first_offset)
        except (FormatError, OverlapError) as error:
            refused = error
        outcome = entry.monitor.advance(situation.sensitivity, situation.config_offset)
        entry.resume_offset = max(entry.resume_offset, offset + 1)
        _forget_closed(entry, offset, outcome)
        happened = bool(outcome.verdicts or outcome.changes or outcome.statuses or outcome.reference is not None)
        return Step(outcome, situation.config_offset, answers, refused, save=happened or bool(answers))


def _carry_out(entry: _Entry, orders: Iterable[Order]) -> tuple[tuple[int, tuple[StatusFields, ...]], ...]:
    answers: list[tuple[int, tuple[StatusFields, ...]]] = []
    for order in orders:
        if order.offset <= entry.command_offset:
            continue
        if order.command is None:
            answers.append((order.offset, ({"event": "command.rejected", "message": order.refused},)))
        else:
            answers.append((order.offset, tuple(entry.monitor.command(order.command))))
        entry.command_offset = order.offset
    return tuple(answers)


def _forget_closed(entry: _Entry, offset: int, outcome: Outcome) -> None:
    if offset + 1 < entry.saved_resume_offset:  # still catching up: a pane older than those seen so far may open yet
        closed = max((verdict.end_ms for verdict in outcome.verdicts), default=entry.open_from_ms)
        entry.open_from_ms = max(entry.open_from_ms, closed)
    else:
        oldest = entry.monitor.oldest_open_ms
        entry.open_from_ms = NEVER_MS if oldest is None else oldest
    entry.first_offsets = {pane: first for pane, first in entry.first_offsets.items() if pane >= entry.open_from_ms}
