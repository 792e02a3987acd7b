"""One monitored topic in a profiler: its profile so far, and the positions of the partitions that this worker owns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from confluent_kafka import TopicPartition

from stream_monitor.clock import Clock
from stream_monitor.config.settings import Settings
from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.errors import FormatError
from stream_monitor.events import get_logger
from stream_monitor.profiling.delta import Delta
from stream_monitor.profiling.reference import Reference
from stream_monitor.profiling.stream_profiler import StreamProfiler
from stream_monitor.streaming.positions import ColdStartState, Position
from stream_monitor.streaming.record_batch import RecordBatch

_log = get_logger(__name__)


@dataclass(slots=True)
class _Partition:
    position: Position
    last_record_at: float
    """By the monotonic clock, s."""
    end_offset: int = -1
    """Where the last end-of-partition event was."""


def make_profiler(topic: str, settings: Settings, *, partition_count: int) -> StreamProfiler:
    """A profiler as the settings want it."""
    decoder = JsonDecoder(max_fields=settings.max_fields, max_depth=settings.max_depth, max_bytes=settings.max_record_bytes)
    return StreamProfiler(
        topic,
        window_ms=settings.window_ms,
        allowed_lateness_ms=settings.allowed_lateness_ms,
        timestamp_field=settings.timestamp_field,
        decoder=decoder,
        partition_count=partition_count,
    )


class MonitoredTopic:
    """Not thread-safe. Memory is the profile of the panes touched since the last `drain`."""

    def __init__(self, name: str, profiler: StreamProfiler, clock: Clock, *, event_time_in_value: bool = False) -> None:
        self.name = name
        self._profiler = profiler
        self._clock = clock
        self._event_time_in_value = event_time_in_value
        self._partitions: dict[int, _Partition] = {}

    @property
    def partitions(self) -> tuple[int, ...]:
        """Those that are assigned."""
        return tuple(self._partitions)

    @property
    def cold_start(self) -> ColdStartState:
        """Whether this worker is to sample the topic's history: it is due, and partition 0 is here."""
        first = self._partitions.get(0)
        return "none" if first is None else first.position.cold_start

    def cold_start_done(self) -> None:
        """To be committed with the next flush."""
        first = self._partitions.get(0)
        if first is not None:
            first.position = replace(first.position, cold_start="done")

    @property
    def panes_touched(self) -> int:
        """Panes that take memory until the next drain."""
        return self._profiler.panes_touched

    def grow(self, partition_count: int) -> None:
        """The topic has this many partitions now."""
        self._profiler.partition_count = partition_count

    def position(self, partition: int) -> Position:
        """Where the partition is; KeyError if it is not assigned."""
        return self._partitions[partition].position

    def assign(self, partition: int, position: Position) -> None:
        """Reading of the partition begins there."""
        self._partitions[partition] = _Partition(position, self._clock.monotonic())
        try:
            self._profiler.assign(partition, position.offset, position.clock)
        except FormatError as error:  # better a fresh clock than none: at worst a few late records count as being in time
            _log.warning("profiler.clock_not_restored", topic=self.name, partition=partition, error=str(error))
            self._profiler.assign(partition, position.offset, "")

    def revoke(self, partition: int) -> None:
        """The partition is another's now; drain first."""
        if self._partitions.pop(partition, None) is not None:
            self._profiler.revoke(partition)

    def use(self, reference: Reference) -> None:
        """Measure with this reference too, from the pane it is effective from."""
        self._profiler.use(reference)

    def take(self, batch: RecordBatch) -> int:
        """Profiles records; how many. Those of partitions that are not assigned (any more), or read before, are left out."""
        batch = self._expected(batch)
        if not len(batch):
            return 0
        timestamps_ms, partitions, offsets = batch.arrays()
        # With the event time in the value, the record's own timestamp says when it was sent: that is the delay to watch.
        arrivals_ms = timestamps_ms if self._event_time_in_value else None
        self._profiler.add(batch.values, timestamps_ms, partitions, offsets, keys=batch.keys, arrivals_ms=arrivals_ms)
        now = self._clock.monotonic()
        for partition, offset in batch.next_offsets().items():
            state = self._partitions[partition]
            state.position = replace(state.position, offset=offset)
            state.last_record_at = now
        return len(batch)

    def _expected(self, batch: RecordBatch) -> RecordBatch:
        """Without what a rebalance in the middle of the batch made another's, or will be read again."""
        wanted = {partition: state.position.offset for partition, state in self._partitions.items()}
        firsts: dict[int, int] = {}
        for partition, offset in zip(batch.partitions, batch.offsets, strict=True):
            firsts.setdefault(partition, offset)
        if all(partition in wanted and offset >= wanted[partition] for partition, offset in firsts.items()):
            return batch
        places = enumerate(zip(batch.partitions, batch.offsets, strict=True))
        return batch.only(i for i, (partition, offset) in places if partition in wanted and offset >= wanted[partition])

    def reached_end(self, partition: int, offset: int) -> None:
        """The broker had nothing at or after `offset` when it was asked last."""
        state = self._partitions.get(partition)
        if state is None:
            return
        state.end_offset = offset
        if offset > state.position.offset:  # what is in between are marks of transactions, and records of aborted ones
            state.position = replace(state.position, offset=offset)
            self._profiler.partitions[partition].next_offset = offset

    def drain(self, high_watermark: Callable[[str, int], int | None]) -> list[Delta]:
        """What was profiled since the last time, with a heartbeat for partitions that had nothing.

        A partition counts as caught up only if all before its high watermark was read: `high_watermark(topic, partition)` is the
        broker's word in the last answer to a fetch. Records of an open transaction lie before it and can't be read yet: then it is behind.
        """
        now = self._clock.monotonic()
        for partition, state in self._partitions.items():
            high = high_watermark(self.name, partition)
            at_end = state.end_offset >= state.position.offset
            if at_end and (high is None or high <= state.end_offset):
                self._profiler.mark_caught_up(partition, max(0, round(1000 * (now - state.last_record_at))))
            else:
                self._profiler.partitions[partition].caught_up = False
        return self._profiler.drain(now_ms=self._clock.now_ms())

    def offsets(self) -> list[TopicPartition]:
        """What to commit after `drain`: all positions with their clocks.

        Those that did not change too, so that a flush of a worker that was replaced is always refused.
        """
        committed = []
        for partition, state in self._partitions.items():
            state.position = replace(state.position, clock=self._profiler.metadata(partition))
            committed.append(TopicPartition(self.name, partition, state.position.offset, state.position.metadata()))
        return committed
