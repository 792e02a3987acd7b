"""What the detector says: verdicts, alerts, references, statuses and dead letters, each as its topic wants it.

`Message`s are made by pure functions; a `Publisher` sends a list of them and returns when the broker has all of them. Sending a list
again sends the same bytes under the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer

from stream_monitor.alerting.changes import IncidentChange
from stream_monitor.alerting.cloudevents import CONTENT_TYPE, cloud_event_json
from stream_monitor.alerting.verdicts import verdict_json
from stream_monitor.config.cluster import Cluster
from stream_monitor.config.status import StatusEvent
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.detection.verdict import Judgement
from stream_monitor.errors import BrokerError, StreamMonitorError
from stream_monitor.streaming import chunks, clients

if TYPE_CHECKING:
    from stream_monitor.profiling.reference import Reference

_COMPRESSED = "zstd"
_PLAIN = "none"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to publish."""

    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    compressed: bool = False
    """By zstd; off where readers are not ours, who may lack it."""


def verdict_message(names: TopicNames, judgement: Judgement, config_offset: int | None) -> Message:
    """A verdict, for the verdicts topic."""
    return Message(names.verdicts, judgement.topic, verdict_json(judgement, config_offset), _JSON, compressed=True)


def alert_message(names: TopicNames, change: IncidentChange) -> Message:
    """A CloudEvent in structured mode, for the alerts topic."""
    return Message(names.alerts, change.topic, cloud_event_json(change), (("content-type", CONTENT_TYPE.encode()),))


def reference_messages(names: TopicNames, topic: str, reference: Reference) -> list[Message]:
    """A reference in chunks, for the references topic."""
    return [Message(names.references, key, chunk, compressed=True) for key, chunk in chunks.split(topic, reference.to_bytes())]


def status_message(names: TopicNames, event: StatusEvent) -> Message:
    """A status event, keyed by who says it."""
    return Message(names.status, event.source, event.encode(), _JSON)


def dead_letter(names: TopicNames, topic: str, position: tuple[str, int, int], error: BaseException) -> Message:
    """Where something is that could not be handled, and why; never what it holds.

    `topic` is the monitored one, `position` that of the message: topic, partition, offset. An error of ours says what was expected and
    what came in lengths and numbers; of any other only the type is told, since its text might quote the payload.
    """
    reason = str(error) if isinstance(error, StreamMonitorError) else f"{type(error).__name__}: see the detector's log at this position"
    source, partition, offset = position
    fields = {"topic": source, "partition": partition, "offset": offset, "monitored_topic": topic, "reason": reason}
    return Message(names.dead_letters, topic, orjson.dumps(fields), _JSON)


_JSON = (("content-type", b"application/json"),)


class Publisher:
    """Sends messages, and waits for their acknowledgements. Called from one thread at a time.

    Two idempotent producers with acks=all: one compresses, one does not. librdkafka's, since aiokafka's idempotent one fails on some
    brokers. A message keeps its place among those of its topic and key.
    """

    def __init__(
        self, cluster: Cluster, client_id: str, *, timeout_s: float = 30.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._client_id = client_id
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._producers: dict[str, Producer] = {}

    def publish(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has all messages. Raises `BrokerError` when it refused one, or not all were acknowledged in time."""
        deadline = self._monotonic() + self._timeout_s
        refused: list[str] = []
        used = {self._send(message, deadline, refused) for message in messages}
        for codec in used:
            waiting = self._producers[codec].flush(max(0.1, deadline - self._monotonic()))
            if waiting:
                refused.append(f"{waiting} messages were not acknowledged in {self._timeout_s:g} s")
        if refused:
            raise BrokerError(f"could not publish: {refused[0]}")

    def close(self) -> None:
        """Nothing is left to send: `publish` waits."""
        self._producers.clear()

    def _send(self, message: Message, deadline: float, refused: list[str]) -> str:
        codec = _COMPRESSED if message.compressed else _PLAIN
        producer = self._producer(codec)

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                refused.append(f"{message.topic}: {clients.describe_error(error)}")

        while True:
            try:
                producer.produce(
                    message.topic, key=message.key, value=message.value, headers=list(message.headers), on_delivery=delivered
                )
            except BufferError as error:
                if self._monotonic() >= deadline:
                    raise BrokerError(f"could not publish: the queue for {message.topic} stayed full for {self._timeout_s:g} s") from error
                producer.poll(0.1)
            except KafkaException as error:
                raise BrokerError(f"could not publish to {message.topic}: {clients.describe_error(error.args[0])}") from error
            else:
                return codec

    def _producer(self, codec: str) -> Producer:
        if codec not in self._producers:
            config: Mapping[str, Any] = clients.producer_config(self._cluster, f"{self._client_id}-{codec}")
            self._producers[codec] = clients.producer({**config, "compression.type": codec})
        return self._producers[codec]
