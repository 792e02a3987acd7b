from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError, FormatError, StreamMonitorError
from stream_monitor.streaming.chunks import split
from stream_monitor.streaming.clients import producer_config, reader_config
from stream_monitor.streaming.live_topic import LiveTopic
from tests.apache_kafka.cluster import KafkaCluster

COMPACTED = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}


def decode(raw: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(raw))
    except ValueError as error:
        raise FormatError("expected JSON") from error


class Topic:
    """A compacted topic and a producer to it."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self.settings = Settings(bootstrap_servers=bootstrap)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(name, 1, -1, config=COMPACTED)])[name].result(20)
        self.producer = Producer(producer_config(self.settings, "test"))

    def put(self, key: str, value: bytes | None) -> None:
        self.producer.produce(self.name, key=key.encode(), value=value)
        assert self.producer.flush(10) == 0

    def live(self, read: Callable[[bytes], Any] = decode, **options: Any) -> LiveTopic[Any]:
        return LiveTopic(reader_config(self.settings, "test-live"), self.name, read, **options)


@pytest.fixture
def topic(kafka: KafkaCluster, topic_prefix: str) -> Topic:
    return Topic(kafka.bootstrap, f"{topic_prefix}.config")


def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Waits; how long it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "waited in vain"
        time.sleep(0.005)
    return time.monotonic() - start


def test_it_holds_the_last_value_of_every_key_when_it_is_ready(topic: Topic) -> None:
    topic.put("orders", b'{"v": 1}')
    topic.put("clicks", b'{"v": 2}')
    topic.put("orders", b'{"v": 3}')
    topic.put("clicks", None)
    with topic.live() as live:
        live.wait_ready(15)
        assert dict(live) == {"orders": {"v": 3}}
        assert live.offset("orders") == 2
        assert live.offset("clicks") is None


def test_an_empty_topic_is_ready(topic: Topic) -> None:
    with topic.live() as live:
        live.wait_ready(15)
        assert len(live) == 0


def test_every_reader_sees_an_update_within_a_second(topic: Topic) -> None:
    with topic.live() as first, topic.live() as second:
        first.wait_ready(15)
        second.wait_ready(15)
        for version in range(5):
            topic.put("orders", b'{"v": %d}' % version)
            took = until(lambda v=version: first.get("orders") == second.get("orders") == {"v": v})
            assert took < 1.0


def test_a_value_that_can_not_be_read_is_reported_and_the_one_before_stays(topic: Topic) -> None:
    rejected: list[tuple[str, StreamMonitorError, int]] = []
    changes: list[tuple[str, Any, int]] = []
    with topic.live(on_reject=lambda *a: rejected.append(a), on_change=lambda *a: changes.append(a)) as live:
        topic.put("orders", b'{"v": 1}')
        topic.put("orders", b"not json")
        topic.put("orders", None)
        assert live.wait_offset(1, 10)
        until(lambda: len(changes) == 2)
        assert changes == [("orders", {"v": 1}, 0), ("orders", None, 2)]
        assert [(key, offset) for key, _, offset in rejected] == [("orders", 1)]
        assert "orders" not in live


def test_a_decoder_that_fails_in_an_unforeseen_way_does_not_stop_the_reader(topic: Topic) -> None:
    def break_on_2(raw: bytes) -> int:
        return 1 // (int(raw) - 2)

    with topic.live(break_on_2) as live:
        for value in (b"3", b"2", b"1"):
            topic.put(value.decode(), value)
        assert live.wait_offset(2, 10)
        assert dict(live) == {"3": 1, "1": -1}


def test_messages_of_an_aborted_transaction_are_never_seen(kafka: KafkaCluster, topic: Topic) -> None:
    writer = Producer(producer_config(topic.settings, "writer", transactional_id=topic.name))
    writer.init_transactions(20)
    with topic.live() as live:
        live.wait_ready(15)
        writer.begin_transaction()
        writer.produce(topic.name, key=b"orders", value=b'{"v": "aborted"}')
        writer.flush(10)
        writer.abort_transaction(10)
        writer.begin_transaction()
        writer.produce(topic.name, key=b"clicks", value=b'{"v": "committed"}')
        writer.commit_transaction(10)
        until(lambda: "clicks" in live)
        assert dict(live) == {"clicks": {"v": "committed"}}


def test_a_chunked_value_survives_compaction(topic: Topic) -> None:
    for version in (1, 2):
        value = bytes([version]) * (2000 // version)
        for key, chunk in split("orders", value, max_bytes=700):
            topic.put(key, chunk)
    for filler in range(3):  # new segments, so that the cleaner gets to work
        time.sleep(0.15)
        topic.put(f"filler{filler}", split("x", b"")[0][1])
    with topic.live(bytes, chunked=True, on_reject=lambda *_: None) as live:
        live.wait_ready(15)
        assert live["orders"] == b"\2" * 1000


def test_a_topic_that_is_not_there_is_a_broker_error_that_names_it(kafka: KafkaCluster, topic_prefix: str) -> None:
    settings = Settings(bootstrap_servers=kafka.bootstrap)
    with (
        LiveTopic(reader_config(settings, "test"), f"{topic_prefix}.none", decode) as live,
        pytest.raises(BrokerError, match=f"{topic_prefix}.none"),
    ):
        live.wait_ready(2)


def test_closing_takes_no_longer_than_asked(topic: Topic) -> None:
    live = topic.live().start()
    live.wait_ready(15)
    start = time.monotonic()
    live.close(5)
    assert time.monotonic() - start < 5
