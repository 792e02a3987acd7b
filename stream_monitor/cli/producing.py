"""Demo messages to a topic: created if it is missing, then produced with their own timestamps and partitions."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as Delivered
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # re-exported

from stream_monitor.config.cluster import Cluster
from stream_monitor.errors import BrokerError
from stream_monitor.evaluation.messages import Message
from stream_monitor.streaming import clients
from stream_monitor.streaming.topics import partition_count

SECONDS = 30.0


def ensure_topic(cluster: Cluster, topic: str, partitions: int) -> int:
    """Partitions of the topic, which is created with `partitions` if it is missing. Raises `BrokerError`."""
    admin = clients.admin(cluster)
    existing = partition_count(admin, topic)
    if existing:
        return existing
    future = admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=-1)])[topic]
    try:
        future.result(SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise BrokerError(f"the topic {topic} can't be created: {clients.describe_error(error.args[0])}") from error
    return partitions


class MessageProducer:
    """Produces messages; what the broker refused is raised as `BrokerError` by the next call."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.topic = topic
        self._producer = clients.producer(clients.producer_config(cluster, f"stream-monitor-{topic}-generator"))
        self._failure: KafkaError | None = None

    def send(self, messages: Iterable[Message]) -> int:
        """Queues messages to be sent; how many. Waits while the queue is full."""
        count = 0
        for message in messages:
            self._queue(message)
            count += 1
        self._producer.poll(0)
        self._check()
        return count

    def flush(self) -> None:
        """Waits until all is delivered."""
        left = self._producer.flush(SECONDS)
        self._check()
        if left:
            raise BrokerError(f"{left} messages to {self.topic} were not taken within {SECONDS:g} s: is the broker up?")

    def _queue(self, message: Message) -> None:
        for _ in range(round(SECONDS)):
            try:
                self._producer.produce(
                    self.topic,
                    message.encoded(),
                    message.key,
                    message.partition,
                    on_delivery=self._delivered,
                    timestamp=message.timestamp_ms,
                )
            except BufferError:
                self._producer.poll(1.0)
                self._check()
            else:
                return
        raise BrokerError(f"the queue of messages to {self.topic} was full for {SECONDS:g} s: is the broker up?")

    def _delivered(self, error: KafkaError | None, _: Delivered) -> None:
        if error is not None:
            self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise BrokerError(f"messages to {self.topic} are refused: {clients.describe_error(self._failure)}")
