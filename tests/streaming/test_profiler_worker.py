"""The profiler's loop against a consumer that is told what to do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, KafkaError, Message, TopicPartition

from stream_monitor.clock import ManualClock
from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError
from stream_monitor.profiling.delta import Delta, DeltaAssembler
from stream_monitor.streaming.commit import FlushAbortedError, OutgoingMessage
from stream_monitor.streaming.profiler import ProfilerWorker
from stream_monitor.streaming.record_batch import split_by_topic
from stream_monitor.streaming.watchdog import Watchdog

SETTINGS = Settings(topics=("orders",), start_from="earliest", cold_start="none", worker="w")


def record(offset: int, partition: int = 0, at_ms: int = 1_000_000) -> Message:
    return Message("orders", partition, offset, b"key", b'{"id": 1}', timestamp=(TIMESTAMP_CREATE_TIME, at_ms))


def event(code: int, offset: int = 0, *, partition: int = 0, fatal: bool = False) -> Message:
    return Message("orders", partition, offset, error=KafkaError(code, "event", fatal=fatal))


class FakeConsumer:
    """Two partitions; `script` holds what the next calls of `consume` give, or do."""

    def __init__(self, protocol: FakeProtocol) -> None:
        self.protocol = protocol
        self.script: deque[Any] = deque()
        self.assigned: list[tuple[int, int]] = []
        self.high = 0
        self.closed = False

    def subscribe(self, topics: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on = SimpleNamespace(assign=on_assign, revoke=on_revoke, lost=on_lost)

    def consume(self, count: int, timeout: float) -> list[Message]:
        entry = self.script.popleft() if self.script else []
        return entry() or [] if callable(entry) else entry

    def assign(self, *partitions: int) -> None:
        self.script.append(lambda: self.on.assign(self, [TopicPartition("orders", p) for p in partitions]))

    def revoke(self, *partitions: int) -> None:
        self.script.append(lambda: self.on.revoke(self, [TopicPartition("orders", p) for p in partitions]))

    def lose(self, *partitions: int) -> None:
        self.script.append(lambda: self.on.lost(self, [TopicPartition("orders", p) for p in partitions]))

    def incremental_assign(self, parts: list[TopicPartition]) -> None:
        self.assigned += [(part.partition, part.offset) for part in parts]

    def incremental_unassign(self, parts: list[TopicPartition]) -> None:
        pass

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None, 1: None})})

    def committed(self, parts: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [self.protocol.committed.get(part.partition, part) for part in parts]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.protocol.committed |= {part.partition: part for part in offsets}

    def get_watermark_offsets(self, part: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, self.high

    def close(self) -> None:
        self.closed = True


class FakeProtocol:
    """Keeps what was committed; aborts the next `aborts` flushes."""

    def __init__(self) -> None:
        self.messages: list[OutgoingMessage] = []
        self.committed: dict[int, TopicPartition] = {}
        self.aborts = 0

    def start(self) -> None:
        pass

    def commit(self, messages: Sequence[OutgoingMessage], offsets: Sequence[TopicPartition]) -> None:
        if self.aborts:
            self.aborts -= 1
            raise FlushAbortedError("aborted")
        self.messages += messages
        self.committed |= {part.partition: part for part in offsets}

    def deltas(self) -> list[Delta]:
        assembler = DeltaAssembler()
        found = [assembler.add(message.value) for message in self.messages if message.topic == "stream-monitor.profiles"]
        return [delta for delta in found if delta is not None]

    def records(self) -> int:
        return sum(delta.profile.records for delta in self.deltas())


class Bench:
    """A worker with its fakes, started."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000_000)
        self.protocol = FakeProtocol()
        self.consumer = FakeConsumer(self.protocol)
        self.worker = ProfilerWorker(SETTINGS, self.consumer, self.protocol, {}, clock=self.clock)  # type: ignore[arg-type]
        self.worker.start()

    def run(self) -> None:
        """Steps until the script is done."""
        while self.consumer.script:
            self.worker.step()

    def flush(self) -> None:
        """Lets the flush interval go by."""
        self.clock.advance(SETTINGS.flush_seconds)
        self.worker.step()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_goes_out_before_a_flush_is_due_and_all_of_it_then(bench: Bench) -> None:
    bench.consumer.assign(0, 1)
    bench.consumer.script += [[record(0), record(0, 1)], [record(1)]]
    bench.run()
    assert bench.protocol.messages == []
    bench.flush()
    assert bench.protocol.records() == 3
    assert {p: part.offset for p, part in bench.protocol.committed.items()} == {0: 2, 1: 1}


def test_a_revoke_flushes_first(bench: Bench) -> None:
    bench.consumer.assign(0, 1)
    bench.consumer.script.append([record(0), record(0, 1)])
    bench.consumer.revoke(1)
    bench.run()
    assert bench.protocol.records() == 2


def test_lost_partitions_take_everything_since_the_last_flush_with_them_and_the_rest_is_read_again(bench: Bench) -> None:
    bench.consumer.assign(0, 1)
    bench.consumer.script.append([record(0), record(0, 1)])
    bench.run()
    bench.flush()
    bench.consumer.script.append([record(1), record(1, 1)])
    bench.consumer.lose(1)
    bench.run()
    bench.worker.step()
    assert bench.consumer.assigned[-1] == (0, 1)
    bench.consumer.script.append([record(1), record(2)])
    bench.run()
    bench.flush()
    assert bench.protocol.records() == 4
    assert {p: part.offset for p, part in bench.protocol.committed.items()} == {0: 3, 1: 1}


def test_an_aborted_flush_is_read_again_from_the_committed_offsets(bench: Bench) -> None:
    bench.consumer.assign(0)
    bench.consumer.script.append([record(0), record(1)])
    bench.run()
    bench.protocol.aborts = 1
    bench.flush()
    bench.consumer.script.append([record(2)])  # fetched before the rewind: must not count
    bench.run()
    assert bench.consumer.assigned[-1] == (0, 0)
    bench.consumer.script.append([record(0), record(1), record(2)])
    bench.run()
    bench.flush()
    assert bench.protocol.records() == 3
    assert [(s.start, s.end) for delta in bench.protocol.deltas() for s in delta.sources if s.partition == 0 and s.end] == [(0, 3)]


def test_records_of_partitions_that_went_in_the_middle_of_a_batch_are_left_to_their_new_owner(bench: Bench) -> None:
    bench.consumer.assign(0, 1)
    bench.run()
    bench.consumer.script.append(
        lambda: bench.consumer.on.revoke(bench.consumer, [TopicPartition("orders", 1)]) or [record(0), record(0, 1)]
    )
    bench.run()
    bench.flush()
    assert bench.protocol.records() == 1


def test_a_partition_is_caught_up_at_the_end_and_no_longer_when_the_broker_has_more(bench: Bench) -> None:
    bench.consumer.assign(0)
    bench.consumer.high = 1
    bench.consumer.script.append([record(0), event(KafkaError._PARTITION_EOF, 1)])
    bench.run()
    bench.clock.advance(2.0)
    bench.flush()
    assert bench.protocol.deltas()[-1].sources[0].caught_up
    assert bench.protocol.deltas()[-1].sources[0].idle_ms == 7_000
    bench.consumer.high = 5
    bench.flush()
    assert not bench.protocol.deltas()[-1].sources[0].caught_up


def test_status_events_wait_for_a_flush_that_succeeds(bench: Bench) -> None:
    bench.consumer.assign(0)
    bench.run()
    bench.protocol.aborts = 1
    bench.flush()
    bench.worker.step()
    bench.flush()
    status = [message for message in bench.protocol.messages if message.topic == "stream-monitor.status"]
    assert len(status) == 1
    assert b'"joined"' in status[0].value
    bench.flush()
    assert len([message for message in bench.protocol.messages if message.topic == "stream-monitor.status"]) == 1


def test_a_fatal_error_ends_the_worker_and_a_missing_permission_is_told_once(bench: Bench) -> None:
    bench.consumer.script += [[event(KafkaError.TOPIC_AUTHORIZATION_FAILED)] for _ in range(3)]
    bench.run()
    bench.flush()
    assert sum(b'"blind"' in message.value for message in bench.protocol.messages) == 1
    bench.consumer.script.append([event(KafkaError._FATAL, fatal=True)])
    with pytest.raises(BrokerError):
        bench.run()


def test_run_flushes_and_leaves_when_it_is_told_to_stop(bench: Bench) -> None:
    stop = threading.Event()
    bench.consumer.assign(0)
    bench.consumer.script += [[record(0)], stop.set]
    bench.worker.run(stop)
    assert bench.protocol.records() == 1
    assert bench.consumer.closed


def test_a_record_without_a_timestamp_gets_its_arrival() -> None:
    bare = Message("orders", 0, 0, value=None, timestamp=(TIMESTAMP_NOT_AVAILABLE, 0))
    batches, events = split_by_topic([bare, event(KafkaError._PARTITION_EOF)], now_ms=77)
    assert batches["orders"].timestamps_ms == [77]
    assert batches["orders"].values == [None]
    assert len(events) == 1


def test_a_watchdog_that_is_not_fed_ends_the_process() -> None:
    expired = threading.Event()
    dog = Watchdog(0.05, what="test", on_expire=expired.set)
    dog.start()
    assert expired.wait(5)
    dog.stop()


def test_a_watchdog_that_is_fed_lets_it_live() -> None:
    clock = ManualClock()
    expired = threading.Event()
    dog = Watchdog(0.2, what="test", monotonic=clock.monotonic, on_expire=expired.set)
    dog.start()
    clock.advance(10)
    dog.feed()
    assert dog.silent_s == 0
    dog.stop()
