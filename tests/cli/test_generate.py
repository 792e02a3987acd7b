"""`generate` on the embedded broker, and its options."""

import os
import subprocess
import sys

import orjson
import pytest
import typer
from confluent_kafka import Consumer, TopicPartition

from stream_monitor.cli.generate import chosen, only_topic, orders_a_second
from stream_monitor.errors import SettingsError
from stream_monitor.evaluation.orders import OrderStream
from stream_monitor.streaming.embedded import EmbeddedBroker


def read_all(bootstrap, topic, partitions):
    """Everything in a topic: until nothing has come for a second, once something has."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "t", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    messages, silent = [], 0
    for _ in range(100):
        batch = [m for m in consumer.consume(2000, timeout=0.2) if m.error() is None]
        messages += batch
        silent = 0 if batch else silent + 1
        if messages and silent >= 5:
            break
    consumer.close()
    return messages


@pytest.mark.embedded
def test_it_fills_an_empty_topic_and_goes_on_live_until_told_to_stop():
    with EmbeddedBroker() as broker:
        done = subprocess.run(
            [sys.executable, "-m", "stream_monitor", "generate", "-b", broker.bootstrap, "-t", "shop", "--rate", "30/s", "--history", "3m",
             "--stop-after", "2s", "--log-format", "json"],
            capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"NO_COLOR": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        messages = read_all(broker.bootstrap, "shop", 4)
    times = [m.timestamp()[1] for m in messages]
    assert 150_000 < max(times) - min(times) < 260_000
    assert {m.partition() for m in messages} == {0, 1, 2, 3}
    assert orjson.loads(messages[0].value())["order_id"].startswith("O-")


@pytest.mark.parametrize("text", ["", "0/s", "-1/s", "ten/s", "5/fortnight", "nan"])
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(typer.BadParameter, match="20/s"):
        orders_a_second(text)


def test_corruptions_are_chosen_by_name():
    stream = OrderStream()
    assert chosen(["none"], stream) == ()
    assert len(chosen(["all"], stream)) >= 17
    assert [c.name for c in chosen(["replay", "null"], stream)] == ["replay", "null"]
    with pytest.raises(typer.BadParameter, match="expected one of null"):
        chosen(["nulls"], stream)


def test_it_produces_to_one_topic():
    assert only_topic(()) == "orders"
    with pytest.raises(SettingsError, match="one topic"):
        only_topic(("a", "b"))
