"""What the detector sends: to which topic, under which key, in which form."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent, StatusKind
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.errors import BrokerError, FormatError
from stream_monitor.streaming import publishing
from stream_monitor.streaming.detector_worker import prepare_topics
from stream_monitor.streaming.embedded import EmbeddedBroker
from stream_monitor.streaming.ports import free_ports
from stream_monitor.streaming.publishing import Message, Publisher

NAMES = TopicNames("p")


def test_a_dead_letter_tells_the_place_and_never_the_payload() -> None:
    ours = publishing.dead_letter(NAMES, "orders", ("p.profiles", 3, 17), FormatError("expected a chunk, got 12 bytes"))
    theirs = publishing.dead_letter(NAMES, "orders", ("p.profiles", 3, 18), ValueError("could not read 'secret'"))
    assert (ours.topic, ours.key) == ("p.dead-letters", "orders")
    assert json.loads(ours.value or b"") == {
        "topic": "p.profiles",
        "partition": 3,
        "offset": 17,
        "monitored_topic": "orders",
        "reason": "expected a chunk, got 12 bytes",
    }
    assert b"secret" not in (theirs.value or b"")
    assert b"ValueError" in (theirs.value or b"")


def test_a_status_event_is_keyed_by_who_says_it() -> None:
    message = publishing.status_message(NAMES, StatusEvent.at_ms(StatusKind.BLIND, 0, topic="orders", source="orders"))
    assert (message.topic, message.key) == ("p.status", "orders")


def test_messages_are_with_the_broker_when_publish_returns(embedded_broker: EmbeddedBroker) -> None:
    settings = Settings(bootstrap_servers=embedded_broker.bootstrap)
    prepare_topics(settings)
    publisher = Publisher(settings, "test")
    sent = [Message(settings.names.alerts, "orders", f"{i}".encode(), (("content-type", b"x"),), compressed=i % 2 == 0) for i in range(4)]
    publisher.publish(sent)
    publisher.close()
    consumer = Consumer({"bootstrap.servers": embedded_broker.bootstrap, "group.id": "g", "session.timeout.ms": 6000})
    consumer.assign([TopicPartition(settings.names.alerts, 0, OFFSET_BEGINNING)])
    received = consumer.consume(4, 10)
    consumer.close()
    assert sorted(message.value() or b"" for message in received) == [b"0", b"1", b"2", b"3"]
    assert {tuple(message.headers() or ()) for message in received} == {(("content-type", b"x"),)}


def test_a_broker_that_is_not_there_is_an_error_in_time() -> None:
    settings = Settings(bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(BrokerError, match="could not publish"):
        Publisher(settings, "test", timeout_s=0.5).publish([Message("t", "k", b"v")])
