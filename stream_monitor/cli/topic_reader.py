"""Reading and writing our own topics from the command line: no consumer group, nothing committed, bounded waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError
from stream_monitor.streaming import clients
from stream_monitor.streaming.clients import describe_error
from stream_monitor.streaming.topics import ensure_topics, topic_specs

CLIENT_ID = "stream-monitor-cli"
TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.2


class TopicReader:
    """All partitions of one of our topics, read from `start` (an offset, or OFFSET_BEGINNING, OFFSET_END).

        with TopicReader(settings, settings.names.alerts) as reader:
            for message in reader.to_end():
                ...

    Raises BrokerError when the broker can't be reached or the topic does not exist.
    """

    def __init__(self, settings: Settings, topic: str, *, start: int = OFFSET_BEGINNING, timeout: float = TIMEOUT_SECONDS) -> None:
        self.topic = topic
        self.next_offset = 0
        """After `to_end`: the offset that the next record of partition 0 will have."""
        self._timeout = timeout
        self._at_end: set[int] = set()
        self._consumer: Consumer = clients.consumer(clients.reader_config(settings, CLIENT_ID))
        try:
            self.partitions = self._find_partitions()
            self._consumer.assign([TopicPartition(topic, partition, start) for partition in self.partitions])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the broker."""
        self._consumer.close()

    def poll(self, seconds: float = _POLL_SECONDS) -> Message | None:
        """The next record, or None when none came within `seconds`."""
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        error = message.error()
        if error is None:
            return message
        if error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add(message.partition() or 0)
            self.next_offset = message.offset() or 0
        elif error.fatal() or error.code() in _HOPELESS:
            raise BrokerError(f"{self.topic} can't be read: {describe_error(error)}")
        return None

    def to_end(self) -> Iterator[Message]:
        """The records up to the end as it is when it is reached; BrokerError when that takes longer than the time-out."""
        deadline = time.monotonic() + self._timeout
        while len(self._at_end) < len(self.partitions):
            if time.monotonic() > deadline:
                raise BrokerError(f"{self.topic} could not be read to its end in {self._timeout:g} s; check the broker with doctor")
            message = self.poll()
            if message is not None:
                yield message

    def skip_to_end(self) -> None:
        """Waits until the reader stands at the end, so that nothing written from now on is missed."""
        for _ in self.to_end():
            pass

    def _find_partitions(self) -> list[int]:
        try:
            described = self._consumer.list_topics(self.topic, timeout=self._timeout).topics[self.topic]
        except KafkaException as error:
            raise BrokerError(f"the broker can't be reached: {describe_error(error.args[0])}") from error
        if described.error is not None or not described.partitions:
            raise BrokerError(f"{self.topic} does not exist or may not be seen; start `stream-monitor run` first, or check --prefix")
        return sorted(described.partitions)


_HOPELESS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._AUTHENTICATION,
}


def write(settings: Settings, topic: str, key: str, value: bytes | None, *, timeout: float = TIMEOUT_SECONDS) -> int:
    """Writes one record to partition 0 of `topic` and returns its offset; BrokerError when it is not acknowledged in time."""
    delivered: list[Message] = []
    failed: list[KafkaError] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            delivered.append(message)
        else:
            failed.append(error)

    producer = clients.producer(clients.producer_config(settings, CLIENT_ID))
    producer.produce(topic, key=key.encode(), value=value, partition=0, on_delivery=report)
    producer.flush(timeout)
    if failed:
        raise BrokerError(f"{topic} can't be written: {describe_error(failed[0])}")
    offset = delivered[0].offset() if delivered else None
    if offset is None:
        raise BrokerError(f"{topic}: the broker did not acknowledge the record in {timeout:g} s; it may or may not be written")
    return offset


def ensure(settings: Settings, *names: str) -> None:
    """Creates those of our topics that are missing; BrokerError with the command to do it by hand when the broker refuses."""
    specs = [spec for spec in topic_specs(settings.names, alert_partitions=settings.alerts_partitions) if spec.name in names]
    ensure_topics(
        clients.admin(settings, CLIENT_ID),
        specs,
        bootstrap_servers=settings.bootstrap_servers,
        replication_factor=settings.replication_factor,
    )
