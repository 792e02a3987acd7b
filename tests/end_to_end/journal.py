"""What an installation says: verdicts, alerts and status events as they come, and in the end the deltas that profilers committed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson
from confluent_kafka import KafkaError, TopicPartition

from stream_monitor.config.settings import Settings
from stream_monitor.profiling.delta import Delta, DeltaAssembler
from stream_monitor.streaming import clients
from stream_monitor.streaming.topics import topic_specs

Document = Mapping[str, Any]


class Journal:
    """Follows verdicts, alerts and status from their beginning. What is repeated after a crash must be the same, and counts once."""

    def __init__(self, settings: Settings) -> None:
        self._names = settings.names
        self._consumer = clients.consumer(clients.reader_config(settings, "end-to-end"))
        specs = {spec.name: spec.partitions for spec in topic_specs(settings.names)}
        followed = (self._names.verdicts, self._names.alerts, self._names.status)
        self._consumer.assign([TopicPartition(name, partition, 0) for name in followed for partition in range(specs[name])])
        self.verdicts: dict[tuple[str, int], Document] = {}
        """By topic and start of the window, ms."""
        self.alerts: dict[str, Document] = {}
        """CloudEvents by id, in the order they came."""
        self.heard_at: dict[str, float] = {}
        """By id, when an alert was first read (monotonic)."""
        self.statuses: list[Document] = []
        self.judged_ms: dict[str, int] = {}
        """Up to where each topic is judged."""
        self.repeated = 0
        """Verdicts and alerts that came again."""
        self.contradictions: list[tuple[Document, Document]] = []
        """What came again and was not the same."""

    def close(self) -> None:
        self._consumer.close()

    def hear(self, timeout: float) -> None:
        """Takes in what there is within `timeout` s."""
        for message in self._consumer.consume(200, timeout):
            value = message.value()
            if message.error() is not None or value is None:
                continue
            document = orjson.loads(value)
            if message.topic() == self._names.verdicts:
                key = (document["topic"], ms_of(document["window"]["start"]))
                self._note(self.verdicts, key, document)
                self.judged_ms[document["topic"]] = max(self.judged_ms.get(document["topic"], 0), ms_of(document["window"]["end"]))
            elif message.topic() == self._names.alerts:
                self._note(self.alerts, document["id"], document)
                self.heard_at.setdefault(document["id"], time.monotonic())
            else:
                self.statuses.append(document)

    def _note(self, known: dict[Any, Document], key: object, document: Document) -> None:
        earlier = known.setdefault(key, document)
        if earlier is not document:
            self.repeated += 1
            if earlier != document:
                self.contradictions.append((earlier, document))

    def said(self, event: str, topic: str | None = None) -> list[Document]:
        """Status events of a kind."""
        return [status for status in self.statuses if status["event"] == event and topic in (None, status.get("topic"))]


def ms_of(text: str) -> int:
    """ISO 8601 as ms since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def committed_deltas(settings: Settings, kind: bytes = b"delta") -> Iterator[Delta]:
    """Every committed delta of the profiles topic, partition by partition in the order of the log."""
    topic = settings.names.profiles
    consumer = clients.consumer(clients.reader_config(settings, "end-to-end-deltas"))
    try:
        for partition in sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions):
            assembler, ended = DeltaAssembler(), False
            consumer.assign([TopicPartition(topic, partition, 0)])
            while not ended:
                for message in consumer.consume(100, timeout=1.0):
                    error = message.error()
                    if error is not None:
                        ended |= error.code() == KafkaError._PARTITION_EOF
                        continue
                    delta = assembler.add(message.value() or b"") if dict(message.headers() or [])["kind"] == kind else None
                    if delta is not None:
                        yield delta
    finally:
        consumer.close()
