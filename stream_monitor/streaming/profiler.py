"""The profiler: a member of a consumer group that turns the records of monitored topics into deltas.

Stateless: all that it holds is what it read since the last flush, and a flush makes deltas and offsets durable together (`commit`). So
a crash loses nothing, and a rebalance needs a flush and no more:

* partitions revoked: flush, then let go;
* partitions lost (the group went on without us): forget everything since the last flush, go back to the committed offsets;
* partitions assigned: take up position and clock from what was committed with the offset (`start_positions`).

A flush is due every `flush_seconds`, and sooner when many records or a long time span wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_monitor.clock import Clock, SystemClock
from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent, StatusKind
from stream_monitor.errors import BrokerError
from stream_monitor.events import get_logger
from stream_monitor.profiling.reference import Reference
from stream_monitor.streaming.clients import describe_error
from stream_monitor.streaming.commit import CommitProtocol, FlushAbortedError, OutgoingMessage
from stream_monitor.streaming.delta_messages import delta_messages
from stream_monitor.streaming.monitored_topic import MonitoredTopic, make_profiler
from stream_monitor.streaming.record_batch import split_by_topic
from stream_monitor.streaming.start_positions import find_positions

_log = get_logger(__name__)

BATCH_RECORDS = 1000
"""More a call is slower: the messages no longer fit the cache."""
MAX_WAITING_RECORDS = 500_000
"""A flush is due when this many records wait."""
MAX_WAITING_PANES = 60
"""Or when a topic has this many panes under way: when catching up, 5 s may span weeks of event time, and every pane takes memory."""
_TROUBLE_SILENCE_S = 300.0


class Backfiller(Protocol):
    """Reads the history of topics that are new to the group; see `backfill.ColdStarts`."""

    def begin(self, topic: str) -> None:
        """Starts the cold start of a topic, unless it is under way."""

    def cancel(self, topic: str) -> None:
        """Another worker does it."""

    def finished(self) -> list[tuple[str, StatusEvent]]:
        """Topics whose cold start ended since the last call, with what to tell."""

    def close(self) -> None:
        """Stops all, soon."""


class ProfilerWorker:
    """One member of the group. `step` and the callbacks of the consumer run on one thread; references come from another.

    Args:
        settings: topics, window, group, ...
        consumer: not subscribed yet; of `clients.member_config`.
        protocol: how flushes become durable.
        references: the newest reference of each topic.
        backfiller: for cold starts; None means that they are never made.
        clock: for the flush interval, idleness, and records without a timestamp.
        on_flush: called after every flush that succeeded, e.g. to feed a watchdog.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: Consumer,
        protocol: CommitProtocol,
        references: Mapping[str, Reference],
        *,
        backfiller: Backfiller | None = None,
        clock: Clock | None = None,
        on_flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._protocol = protocol
        self._references = references
        self._backfiller = backfiller
        self._clock = clock or SystemClock()
        self._on_flush = on_flush
        self.name = f"profiler@{settings.worker}"
        self._topics: dict[str, MonitoredTopic] = {}
        self._new_references: deque[tuple[str, Reference]] = deque()
        self._status: list[StatusEvent] = []
        self._troubles: dict[tuple[str, int], float] = {}
        self._must_rewind = False
        self._waiting_records = 0
        self._flush_at = 0.0

    # -- life ---------------------------------------------------------------------------------------------------------
    def run(self, stop: threading.Event) -> None:
        """Profiles until `stop` is set, then flushes and leaves the group.

        Raises `FencedError` when another process has our identity, and `BrokerError` when Kafka refuses: exit, and start again.
        """
        self.start()
        try:
            while not stop.is_set():
                self.step()
            if not self._must_rewind:
                self.flush()
        finally:
            self.close()

    def start(self) -> None:
        """Claims our identity and joins the group."""
        self._protocol.start()
        self._consumer.subscribe(list(self._settings.topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        self._schedule_flush()
        self._tell(StatusKind.JOINED, message=f"{self.name} joins the group {self._settings.profiler_group}")

    def step(self) -> None:
        """Reads one batch; flushes if it is time."""
        messages = self._consumer.consume(BATCH_RECORDS, timeout=min(0.5, max(0.01, self._flush_at - self._clock.monotonic())))
        if self._must_rewind:  # the batch may hold records from beyond a flush that was aborted while it was read
            self._rewind()
            return
        batches, events = split_by_topic(messages, self._clock.now_ms())
        for name, batch in batches.items():
            topic = self._topics.get(name)
            self._waiting_records += topic.take(batch) if topic is not None else 0
        for event in events:
            self._handle(event)
        if self._flush_is_due():
            self._advance_cold_starts()
            self.flush()

    def close(self) -> None:
        """Leaves the group. What was not flushed is read again by whoever takes over."""
        if self._backfiller is not None:
            self._backfiller.close()
        self._topics.clear()
        self._consumer.close()

    def use(self, topic: str, reference: Reference | None) -> None:
        """A new reference for a topic; may be called on any thread, takes effect before the next flush."""
        if reference is not None:
            self._new_references.append((topic, reference))

    # -- flush --------------------------------------------------------------------------------------------------------
    def flush(self) -> bool:
        """Makes all that was read durable. False if that was aborted: nothing of it was, and the next `step` goes back to read it again."""
        deltas = [delta for topic in self._topics.values() for delta in topic.drain(self._high_watermark)]
        messages = [message for delta in deltas for message in delta_messages(self._settings.names.profiles, delta, worker=self.name)]
        messages += [OutgoingMessage(self._settings.names.status, self.name.encode(), event.encode()) for event in self._status]
        offsets = [part for topic in self._topics.values() for part in topic.offsets()]
        self._schedule_flush()
        try:
            self._protocol.commit(messages, offsets)
        except FlushAbortedError as error:
            _log.warning("profiler.flush_aborted", error=str(error), records=self._waiting_records)
            self._must_rewind = True
            return False
        _log.debug("profiler.flushed", deltas=len(deltas), messages=len(messages), records=self._waiting_records)
        self._status.clear()
        self._waiting_records = 0
        self._on_flush()
        self._use_new_references()
        return True

    def _flush_is_due(self) -> bool:
        if self._clock.monotonic() >= self._flush_at or self._waiting_records >= MAX_WAITING_RECORDS:
            return True
        return any(topic.panes_touched >= MAX_WAITING_PANES for topic in self._topics.values())

    def _schedule_flush(self) -> None:
        self._flush_at = self._clock.monotonic() + self._settings.flush_seconds

    def _use_new_references(self) -> None:
        while self._new_references:
            name, reference = self._new_references.popleft()
            if name in self._topics:
                self._topics[name].use(reference)

    def _high_watermark(self, topic: str, partition: int) -> int | None:
        """As of the last fetch; None if there was none."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
        return None if high < 0 else high

    def _rewind(self) -> None:
        """Forgets everything since the last flush and reads on from the committed offsets."""
        assigned = {name: topic.partitions for name, topic in self._topics.items()}
        self._topics.clear()
        self._waiting_records = 0
        self._must_rewind = False
        self._protocol.start()  # may have to end our last transaction, before which the broker does not say what is committed
        for name, partitions in assigned.items():
            if partitions:
                self._consumer.incremental_unassign([TopicPartition(name, partition) for partition in partitions])
                self._consumer.incremental_assign(self._take_up(name, partitions))
        _log.info("profiler.rewound", partitions={name: list(parts) for name, parts in assigned.items()})

    # -- the group ----------------------------------------------------------------------------------------------------
    def _on_assign(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        by_topic: dict[str, list[int]] = {}
        for part in parts:
            by_topic.setdefault(part.topic, []).append(part.partition)
        starts = [start for name, partitions in sorted(by_topic.items()) for start in self._take_up(name, partitions)]
        consumer.incremental_assign(starts)
        if parts:
            _log.info("profiler.assigned", partitions=by_topic)

    def _on_revoke(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        if self._topics and not self._must_rewind:
            self.flush()
        self._let_go(parts)
        consumer.incremental_unassign(parts)

    def _on_lost(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        """Others may have read on already: what we hold must not be committed. A profile mixes partitions, so all of it goes."""
        _log.warning("profiler.partitions_lost", partitions=len(parts), records=self._waiting_records)
        self._let_go(parts)
        self._must_rewind = True
        consumer.incremental_unassign(parts)

    def _take_up(self, name: str, partitions: Sequence[int]) -> list[TopicPartition]:
        """Restores clocks; where to read from."""
        count, positions = find_positions(self._consumer, self._settings, name, partitions)
        topic = self._topics.get(name)
        if topic is None:
            profiler = make_profiler(name, self._settings, partition_count=count)
            in_value = self._settings.timestamp_field is not None
            topic = self._topics[name] = MonitoredTopic(name, profiler, self._clock, event_time_in_value=in_value)
            reference = self._references.get(name)
            if reference is not None:
                topic.use(reference)
        topic.grow(count)
        for partition, position in positions.items():
            topic.assign(partition, position)
        return [TopicPartition(name, partition, position.offset) for partition, position in positions.items()]

    def _let_go(self, parts: list[TopicPartition]) -> None:
        for part in parts:
            topic = self._topics.get(part.topic)
            if topic is None:
                continue
            topic.revoke(part.partition)
            if part.partition == 0 and self._backfiller is not None:
                self._backfiller.cancel(part.topic)
            if not topic.partitions:
                del self._topics[part.topic]

    # -- events -------------------------------------------------------------------------------------------------------
    def _handle(self, event: Message) -> None:
        error, name, partition, offset = event.error(), event.topic(), event.partition(), event.offset()
        assert error is not None
        if error.fatal():
            raise BrokerError(f"the consumer can't go on: {describe_error(error)}")
        topic = self._topics.get(name or "")
        if topic is not None and partition in topic.partitions:
            if error.code() == KafkaError._PARTITION_EOF and offset is not None:
                topic.reached_end(partition, offset)
                return
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._skip_to_retained(topic, partition)
                return
        if error.code() != KafkaError._PARTITION_EOF:
            self._report_trouble(name or "", error)

    def _skip_to_retained(self, topic: MonitoredTopic, partition: int) -> None:
        """The position is not in the log: retention was faster, or the topic was made anew. Goes on from the first record there is."""
        if not self.flush():
            return  # after the rewind the same event comes again
        part = TopicPartition(topic.name, partition)
        try:
            low, high = self._consumer.get_watermark_offsets(part, timeout=10.0)
        except KafkaException as error:
            raise BrokerError(f"the offsets of {topic.name}[{partition}] can't be read: {describe_error(error.args[0])}") from error
        position = topic.position(partition)
        shrunk = position.offset > high
        missed = None if shrunk else low - position.offset
        topic.revoke(partition)
        topic.assign(partition, position.at(low, "" if shrunk else position.clock))
        self._consumer.incremental_unassign([part])
        self._consumer.incremental_assign([TopicPartition(topic.name, partition, low)])
        why = "the log ends before it: was the topic made anew?" if shrunk else f"{missed} records were deleted before they were read"
        details = {"partition": partition, "from": position.offset, "to": low, "missed": missed}
        self._tell("records.missed", topic=topic.name, message=f"offset {position.offset} of partition {partition}: {why}", details=details)

    def _report_trouble(self, name: str, error: KafkaError) -> None:
        """Logs what keeps us from reading and puts it on the status topic, not more often than every few minutes."""
        key, now = (name, error.code()), self._clock.monotonic()
        if now - self._troubles.get(key, float("-inf")) < _TROUBLE_SILENCE_S:
            return
        self._troubles[key] = now
        _log.warning("profiler.troubled", topic=name or None, error=describe_error(error))
        if error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):  # those pass, or the watchdog sees to them
            self._tell(StatusKind.BLIND, topic=name or None, message=describe_error(error))

    def _advance_cold_starts(self) -> None:
        if self._backfiller is None:
            return
        for name, topic in self._topics.items():
            if topic.cold_start == "due" and name in self._references:
                topic.cold_start_done()
            elif topic.cold_start == "due":
                self._backfiller.begin(name)
        for name, event in self._backfiller.finished():
            self._status.append(event)
            if name in self._topics and event.event == StatusKind.COLD_START_DONE:
                self._topics[name].cold_start_done()

    def _tell(self, kind: StatusKind | str, **values: object) -> None:
        self._status.append(StatusEvent.at_ms(kind, self._clock.now_ms(), source=self.name, **values))
