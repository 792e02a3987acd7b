"""The retained log of a topic, read by time and without a group."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from stream_monitor.clock import Clock
from stream_monitor.config.cluster import Cluster
from stream_monitor.errors import BrokerError, InputError
from stream_monitor.streaming.clients import consumer, describe_error, reader_config
from stream_monitor.streaming.record_batch import RecordBatch, split_by_topic

_TIMEOUT_S = 15.0
_BATCH = 1000
_PROBED = 50  # records looked at on either end of a partition
_QUIET_S = 5.0  # a partition that delivers nothing for so long is at its end: an open transaction hides the event that would say so


@dataclass(slots=True)
class Budget:
    """What reading may cost. Exhausted when the monotonic clock passes `deadline` or `bytes_left` is used up."""

    deadline: float
    bytes_left: int
    cancelled: Callable[[], bool] = lambda: False

    def exhausted(self, monotonic: float) -> bool:
        """Whether to stop."""
        return monotonic >= self.deadline or self.bytes_left <= 0 or self.cancelled()


@dataclass(frozen=True, slots=True)
class Extent:
    """What is retained: times in ms by the median of the records at either end, so that one odd timestamp does not stretch it."""

    earliest_ms: int
    latest_ms: int
    by_time: bool
    """Whether the broker finds offsets by time. Some embedded ones do not: then only reading from the beginning works."""


class RetainedLog:
    """Reads all partitions of a topic from some time on. A context manager; not thread-safe."""

    def __init__(self, cluster: Cluster, topic: str, clock: Clock) -> None:
        self.topic = topic
        self._clock = clock
        self._consumer: Consumer = consumer({**reader_config(cluster, f"history-of-{topic}"), "fetch.wait.max.ms": 50})
        self._done: set[int] = set()
        self.partitions: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        try:
            described = self._consumer.list_topics(self.topic, timeout=_TIMEOUT_S).topics[self.topic]
        except KafkaException as error:
            raise BrokerError(f"{self.topic} can't be described: {describe_error(error.args[0])}") from error
        if described.error is not None:
            raise InputError(f"{self.topic} can't be read: {describe_error(described.error)}")
        self.partitions = tuple(sorted(described.partitions))
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self._consumer.close()

    def extent(self, budget: Budget) -> Extent | None:
        """What is retained; None if there is no record."""
        lows, _ = self._watermarks()
        heads = self._probe(dict.fromkeys(self.partitions, OFFSET_BEGINNING), budget)
        highs = self._fetched_ends()
        tails = self._probe({p: max(lows[p], highs[p] - _PROBED) for p in self.partitions}, budget)
        if not heads or not tails:
            return None
        earliest = min(round(statistics.median(at for _, at in records)) for records in heads.values())
        latest = max(round(statistics.median(at for _, at in records)) for records in tails.values())
        return Extent(earliest, latest, self._finds_by_time(heads, tails))

    def offsets_at(self, at_ms: int) -> dict[int, int]:
        """For each partition, the first offset whose timestamp is at or after `at_ms`; its end if there is none."""
        asked = [TopicPartition(self.topic, partition, at_ms) for partition in self.partitions]
        try:
            answered = self._consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)
            ends = self._watermarks()[1]
        except KafkaException as error:
            raise BrokerError(f"offsets of {self.topic} by time can't be had: {describe_error(error.args[0])}") from error
        return {part.partition: part.offset if part.offset >= 0 else ends[part.partition] for part in answered}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Reading goes on from there, in all partitions."""
        self._done = set()
        parts = [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]
        self._consumer.assign(parts)
        self._consumer.resume(parts)  # a new assignment does not end a pause

    def read_until(self, until_ms: int, take: Callable[[RecordBatch], None], budget: Budget) -> bool:
        """Gives `take` the records of each partition up to the first whose timestamp is at or after `until_ms`, and somewhat more.

        A partition that is there is paused, so that none runs ahead. Goes on where the last call stopped. False if the budget ran out.
        """
        waiting = set(self.partitions) - self._done
        self._consumer.resume([TopicPartition(self.topic, partition) for partition in waiting])

        def passed(batch: RecordBatch) -> set[int]:
            take(batch)
            return {p for p, at in zip(batch.partitions, batch.timestamps_ms, strict=True) if at >= until_ms}

        return self._read(waiting, passed, budget)

    def _read(self, waiting: set[int], passed: Callable[[RecordBatch], set[int]], budget: Budget) -> bool:
        """Reads until every partition in `waiting` has passed or ended."""
        heard_at = self._clock.monotonic()
        while waiting:
            now = self._clock.monotonic()
            if budget.exhausted(now):
                return False
            if now - heard_at > _QUIET_S:
                self._done |= waiting
                return True
            batches, events = split_by_topic(self._consumer.consume(_BATCH, timeout=0.2), self._clock.now_ms())
            ended = {event.partition() for event in events if _is_end(event.error())}
            batch = batches.get(self.topic)
            over: set[int] = set()
            if batch is not None:
                heard_at = self._clock.monotonic()
                budget.bytes_left -= sum(len(value) for value in batch.values if value is not None)
                over = passed(batch)
            at_end = {partition for partition in waiting if partition in ended}
            self._done |= at_end
            over = (over | at_end) & waiting
            if over:
                self._consumer.pause([TopicPartition(self.topic, partition) for partition in over])
                waiting -= over
        return True

    def _watermarks(self) -> tuple[dict[int, int], dict[int, int]]:
        lows, highs = {}, {}
        for partition in self.partitions:
            try:
                lows[partition], highs[partition] = self._consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=_TIMEOUT_S
                )
            except KafkaException as error:
                raise BrokerError(f"the offsets of {self.topic} can't be read: {describe_error(error.args[0])}") from error
        return lows, highs

    def _fetched_ends(self) -> dict[int, int]:
        """End offsets as the answers to fetches have them: they are right where a broker's answer to the question itself is not."""
        known = {p: self._consumer.get_watermark_offsets(TopicPartition(self.topic, p), cached=True)[1] for p in self.partitions}
        asked = self._watermarks()[1]
        return {partition: max(known[partition], asked[partition]) for partition in self.partitions}

    def _probe(self, offsets: Mapping[int, int], budget: Budget) -> dict[int, list[tuple[int, int]]]:
        """Up to 50 (offset, timestamp) of each partition from `offsets` on; partitions without a record are left out."""
        seen: dict[int, list[tuple[int, int]]] = {}

        def passed(batch: RecordBatch) -> set[int]:
            for partition, offset, at_ms in zip(batch.partitions, batch.offsets, batch.timestamps_ms, strict=True):
                records = seen.setdefault(partition, [])
                if len(records) < _PROBED:
                    records.append((offset, at_ms))
            return {partition for partition, records in seen.items() if len(records) >= _PROBED}

        self.seek(offsets)
        self._read(set(self.partitions), passed, budget)
        return seen

    def _finds_by_time(self, heads: Mapping[int, list[tuple[int, int]]], tails: Mapping[int, list[tuple[int, int]]]) -> bool:
        """Asks for the time of a record near the end: the offset named must lie after the first record and not after this one."""
        for partition, records in tails.items():
            first_offset, first_ms = heads[partition][0]
            offset, at_ms = records[0]
            if at_ms > first_ms and offset > first_offset:
                found = self.offsets_at(at_ms)[partition]
                if not first_offset < found <= offset:
                    return False
        return True


def _is_end(error: KafkaError | None) -> bool:
    return error is not None and error.code() == KafkaError._PARTITION_EOF
