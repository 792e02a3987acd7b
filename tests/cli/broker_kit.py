"""What the tests of watch, tune and doctor do with a broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from stream_monitor.cli import app
from stream_monitor.config.sensitivity import parse_sensitivity
from stream_monitor.config.status import StatusEvent, StatusKind
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.errors import SensitivityError
from stream_monitor.streaming.topics import ensure_topics, topic_specs


def make_topics(bootstrap: str, prefix: str) -> TopicNames:
    names = TopicNames(prefix)
    ensure_topics(AdminClient({"bootstrap.servers": bootstrap}), topic_specs(names), bootstrap_servers=bootstrap, replication_factor=1)
    return names


def produce(bootstrap: str, topic: str, *records: tuple[str, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, value in records:
        producer.produce(topic, key=key.encode(), value=value, partition=0)
        # One record a batch: the embedded broker's end offsets fall short of larger ones.
        assert producer.flush(10) == 0


def run(bootstrap: str, prefix: str, *arguments: str) -> Result:
    """A command of the command line, in this process."""
    return CliRunner().invoke(app, [arguments[0], "-b", bootstrap, "--prefix", prefix, "--log-level", "ERROR", *arguments[1:]])


def alert(incident: str, topic: str = "orders", status: str = "opened", **values: Any) -> bytes:
    data = {
        "incident": incident,
        "topic": topic,
        "status": status,
        "severity": "warning",
        "aspect": "volume",
        "explanation": "few",
        **values,
    }
    return json.dumps({"specversion": "1.0", "time": "2026-11-22T14:05:00Z", "data": data}).encode()


@contextmanager
def answering(
    bootstrap: str, names: TopicNames, *, offset_of: Callable[[dict[str, Any]], bool] = lambda _: True
) -> Iterator[list[dict[str, Any]]]:
    """A stand-in for the detector: answers what is written to the config and the commands topic on the status topic."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    heard: list[dict[str, Any]] = []
    stop = threading.Event()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": names.prefix, "enable.auto.commit": False})
    consumer.assign([TopicPartition(names.config, 0, OFFSET_BEGINNING), TopicPartition(names.commands, 0, OFFSET_BEGINNING)])
    producer = Producer({"bootstrap.servers": bootstrap})

    def answer() -> None:
        while not stop.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            key, value = (message.key() or b"").decode(), message.value()
            kind, text = _judge(message.topic() == names.commands, key, value)
            heard.append({"topic": key, "value": None if value is None else json.loads(value), "offset": message.offset()})
            event = StatusEvent.at_ms(kind, 0, topic=key, offset=message.offset(), message=text, source="detector@test")
            producer.produce(names.status, key=b"detector@test", value=event.encode())
            producer.flush(10)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(10)
        consumer.close()


def _judge(command: bool, key: str, value: bytes | None) -> tuple[StatusKind, str]:
    if command:
        wrong = value is not None and b"unknown-incident" in value
        return (StatusKind.COMMAND_REJECTED, "no such incident") if wrong else (StatusKind.COMMAND_ACCEPTED, "done")
    try:
        if value is not None:
            parse_sensitivity(value, key)
    except SensitivityError as error:
        return StatusKind.CONFIG_REJECTED, str(error)
    return StatusKind.CONFIG_ACCEPTED, "in force from the next window on"


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
