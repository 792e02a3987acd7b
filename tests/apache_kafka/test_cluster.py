from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.apache_kafka.cluster import KafkaCluster


def create(cluster: KafkaCluster, topic: str, partitions: int = 1, **settings: str) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    config = {key.replace("_", "."): value for key, value in settings.items()}
    admin.create_topics([NewTopic(topic, partitions, config=config)])[topic].result(20)


def read(cluster: KafkaCluster, topic: str, *, enough: Callable[[list[Any]], bool], seconds: float = 20.0) -> list[tuple[bytes, bytes]]:
    """Committed (key, value) pairs of partition 0 from its start, until they are `enough` or the partition's end is reached."""
    settings = {"group.id": "none", "isolation.level": "read_committed", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, **settings})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[tuple[bytes, bytes]] = []
    deadline = time.monotonic() + seconds
    try:
        while not enough(found) and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is not None:
                return found
            found.append((message.key() or b"", message.value() or b""))
    finally:
        consumer.close()
    return found


def never(found: list[Any]) -> bool:
    return False


def test_what_is_produced_is_consumed(kafka: KafkaCluster, topic_prefix: str) -> None:
    create(kafka, topic_prefix)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(1_000):
        producer.produce(topic_prefix, value=json.dumps({"n": number}))
    assert producer.flush(20) == 0
    values = [json.loads(value)["n"] for _, value in read(kafka, topic_prefix, enough=lambda found: len(found) == 1_000)]
    assert values == list(range(1_000))


def test_an_aborted_transaction_is_invisible_to_those_who_read_committed(kafka: KafkaCluster, topic_prefix: str) -> None:
    create(kafka, topic_prefix)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix})
    producer.init_transactions(20)
    commit, abort = producer.commit_transaction, producer.abort_transaction
    for value, end in ((b"first", commit), (b"never", abort), (b"last", commit)):
        producer.begin_transaction()
        producer.produce(topic_prefix, value=value)
        producer.flush(20)
        end(20)
    assert [value for _, value in read(kafka, topic_prefix, enough=never)] == [b"first", b"last"]


def test_a_compacted_topic_keeps_the_last_value_of_a_key(kafka: KafkaCluster, topic_prefix: str) -> None:
    create(kafka, topic_prefix, cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="100")
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    deadline = time.monotonic() + 40
    version, found = 0, [(b"a", b""), (b"a", b"")]
    while len([pair for pair in found if pair[0] == b"a"]) > 1 and time.monotonic() < deadline:
        version += 1
        key = b"a" if version <= 5 else b"roller"  # later records roll the segment that compaction must be allowed to touch
        producer.produce(topic_prefix, key=key, value=str(version).encode())
        assert producer.flush(20) == 0
        time.sleep(0.15)
        found = read(kafka, topic_prefix, enough=never) if version > 5 else found
    assert [pair for pair in found if pair[0] == b"a"] == [(b"a", b"5")]


def test_a_killed_broker_comes_back_with_its_data(kafka3: KafkaCluster, topic_prefix: str) -> None:
    create(kafka3, topic_prefix, partitions=3)
    producer = Producer({"bootstrap.servers": kafka3.bootstrap, "acks": "all"})
    producer.produce(topic_prefix, value=b"before", partition=0)
    assert producer.flush(30) == 0
    kafka3.kill(1)
    producer.produce(topic_prefix, value=b"meanwhile", partition=0)
    assert producer.flush(30) == 0
    kafka3.start(1)
    producer.produce(topic_prefix, value=b"after", partition=0)
    assert producer.flush(30) == 0
    values = [value for _, value in read(kafka3, topic_prefix, enough=lambda found: len(found) == 3)]
    assert values == [b"before", b"meanwhile", b"after"]
