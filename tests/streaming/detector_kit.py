"""Detector workers as processes, deltas to feed them, and what they published."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from tests.streaming.ledger_monitor import LedgerDelta

WORKER = Path(__file__).with_name("ledger_worker.py")


class DetectorKit:
    """An installation under one prefix; `close` kills what still runs."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 0})

    def start(self, name: str, **options: Any) -> subprocess.Popen[bytes]:
        """Starts a worker; its log is in `folder`."""
        settings = {
            "bootstrap_servers": self.bootstrap,
            "prefix": self.prefix,
            "worker": name,
            "state_directory": str(self.folder / name),
            "flush_seconds": 1,
            **options,
        }
        with self.log(name).open("ab") as log:
            worker = subprocess.Popen([sys.executable, str(WORKER), json.dumps(settings)], stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait(10)

    def send(self, delta: LedgerDelta) -> None:
        self.produce("profiles", delta.topic, delta.to_bytes())

    def produce(self, topic: str, key: str, value: bytes | None) -> int:
        """Produces one message, and returns its offset."""
        offsets: list[int] = []

        def delivered(error: object, message: Message) -> None:
            offsets.append(-1 if error else message.offset() or 0)

        self.producer.produce(f"{self.prefix}.{topic}", key=key, value=value, on_delivery=delivered)
        self.producer.flush(10)
        assert offsets, f"no acknowledgement from {topic}"
        assert offsets[0] >= 0
        return offsets[0]

    def read(self, topic: str, enough: Callable[[list[Message]], bool], timeout: float = 30.0) -> list[Message]:
        """All of a topic from its beginning, as soon as it is enough; else what there was after `timeout` s."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "kit", "fetch.wait.max.ms": 50})
        name = f"{self.prefix}.{topic}"
        messages: list[Message] = []
        deadline = time.monotonic() + timeout
        try:
            while not (partitions := consumer.list_topics(timeout=10).topics.get(name)) or not partitions.partitions:
                assert time.monotonic() < deadline, f"{name} was not made in {timeout} s"
                time.sleep(0.1)
            consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in partitions.partitions])
            while not enough(messages) and time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    messages.append(message)
        finally:
            consumer.close()
        return messages

    def statuses(self, event: str, count: int = 1, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Status events of a kind, as soon as there are `count`."""

        def of_kind(messages: Iterable[Message]) -> list[dict[str, Any]]:
            events = [json.loads(message.value() or b"") for message in messages]
            return [each for each in events if each["event"] == event]

        return of_kind(self.read("status", lambda messages: len(of_kind(messages)) >= count, timeout))

    def verdicts(self, expected: int, timeout: float = 40.0) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """(topic, window start) -> its verdicts: one, or several that must be equal; as soon as `expected` windows have one."""
        messages = self.read("verdicts", lambda found: len({window_of(message) for message in found}) >= expected, timeout)
        verdicts: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for message in messages:
            verdicts.setdefault(window_of(message), []).append(json.loads(message.value() or b""))
        return verdicts


def window_of(message: Message) -> tuple[str, str]:
    """Topic and start of the window of a verdict."""
    verdict = json.loads(message.value() or b"")
    return verdict["topic"], verdict["window"]["start"]


def stop(worker: subprocess.Popen[bytes]) -> tuple[int, float]:
    """SIGTERM; the exit code and how long it took."""
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    return worker.wait(15), time.monotonic() - started
