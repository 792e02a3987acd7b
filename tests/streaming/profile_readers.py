"""What tests ask of the topics of an installation: the deltas committed so far, the status events, the group's offsets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent
from stream_monitor.profiling.delta import Delta, DeltaAssembler
from stream_monitor.streaming.clients import producer_config, reader_config

START_MS = 1_760_000_040_000
"""Start of a minute."""


@dataclass
class Installation:
    """Topics and a group of one test, on a broker that it shares."""

    settings: Settings
    admin: AdminClient = field(init=False)
    producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.settings.bootstrap_servers})
        self.producer = Producer(producer_config(self.settings, "test"))

    def create(self, topic: str, partitions: int) -> None:
        """Makes a monitored topic that keeps records however old they are."""
        new = NewTopic(topic, partitions, -1, config={"retention.ms": "-1"})
        self.admin.create_topics([new])[topic].result(20)
        until(lambda: len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions) == partitions)

    def produce(self, topic: str, count: int, *, partitions: int, first: int = 0, step_ms: int = 10) -> None:
        """Records `first`, `first` + 1, ... in turn to each partition, `step_ms` of event time apart."""
        for number in range(first, first + count):
            value = b'{"id": %d, "amount": %d.5}' % (number, number % 97)
            at_ms = START_MS + number * step_ms
            while True:
                try:
                    self.producer.produce(topic, value, key=b"%d" % (number % 50), partition=number % partitions, timestamp=at_ms)
                    break
                except BufferError:
                    self.producer.poll(0.1)
        assert self.producer.flush(30) == 0

    def messages(self, topic: str) -> list[Message]:
        """All committed messages of a topic."""
        return list(read_all(self.settings, topic))

    def deltas(self, topic: str, kind: bytes = b"delta") -> list[Delta]:
        """Deltas of a monitored topic, in the order of the log."""
        assemblers: dict[int, DeltaAssembler] = {}
        found = []
        for message in self.messages(self.settings.names.profiles):
            if message.key() == topic.encode() and dict(message.headers() or [])["kind"] == kind:
                delta = assemblers.setdefault(message.partition() or 0, DeltaAssembler()).add(message.value() or b"")
                if delta is not None:
                    found.append(delta)
        return found

    def records(self, topic: str) -> int:
        """Records in all deltas of a monitored topic."""
        return sum(delta.profile.records for delta in self.deltas(topic))

    def status(self) -> list[StatusEvent]:
        """Events of the status topic."""
        return [StatusEvent.decode(message.value() or b"") for message in self.messages(self.settings.names.status)]

    def committed(self, topic: str) -> dict[int, TopicPartition]:
        """What the group committed for a monitored topic."""
        asked = ConsumerGroupTopicPartitions(self.settings.profiler_group)
        answer = self.admin.list_consumer_group_offsets([asked])[self.settings.profiler_group].result(20)
        return {part.partition: part for part in answer.topic_partitions or [] if part.topic == topic}

    def committed_total(self, topic: str) -> int:
        """Sum of the committed offsets of a monitored topic."""
        return sum(part.offset for part in self.committed(topic).values())


def read_all(settings: Settings, topic: str) -> Iterator[Message]:
    """Every committed message of a topic up to its end."""
    consumer = Consumer(reader_config(settings, "test-reader"))
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        waiting, deadline = set(partitions), time.monotonic() + 20
        while waiting:
            assert time.monotonic() < deadline, f"{topic} has no end"
            for message in consumer.consume(1000, timeout=0.2):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
    finally:
        consumer.close()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.1)


def assert_every_offset_once(deltas: list[Delta], ends: dict[int, int]) -> None:
    """The ranges of all flushes cover each partition from 0 to its end, without gap or overlap."""
    for partition, end in ends.items():
        ranges = sorted({(s.start, s.end) for delta in deltas for s in delta.sources if s.partition == partition and s.end > s.start})
        reached = 0
        for start, stop in ranges:
            assert start == reached, f"partition {partition}: expected a range from {reached}, got {start}-{stop} in {ranges}"
            reached = stop
        assert reached == end
