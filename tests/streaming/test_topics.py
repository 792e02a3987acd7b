from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from stream_monitor.config.topic_names import TopicNames
from stream_monitor.errors import BrokerError
from stream_monitor.streaming.topics import ensure_topics, partition_count, topic_specs
from tests.apache_kafka.cluster import KafkaCluster


def test_the_specs_are_those_of_the_contract() -> None:
    names = TopicNames("p")
    shapes = {spec.name: (spec.partitions, spec.config["cleanup.policy"], spec.config.get("retention.ms")) for spec in topic_specs(names)}
    days = {n: str(n * 86_400_000) for n in (1, 30, 90)}
    assert shapes == {
        "p.config": (1, "compact", None),
        "p.commands": (1, "delete", days[90]),
        "p.alerts": (1, "delete", days[30]),
        "p.verdicts": (8, "delete", days[30]),
        "p.profiles": (8, "delete", days[1]),
        "p.references": (1, "compact", None),
        "p.status": (1, "delete", days[30]),
        "p.dead-letters": (1, "delete", days[30]),
    }
    assert set(shapes) == set(names)


def test_missing_topics_are_created_once(kafka: KafkaCluster, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    specs = topic_specs(TopicNames(topic_prefix))
    created = ensure_topics(admin, specs, bootstrap_servers=kafka.bootstrap)
    assert created == [spec.name for spec in specs]
    assert ensure_topics(admin, specs, bootstrap_servers=kafka.bootstrap) == []
    assert partition_count(admin, f"{topic_prefix}.profiles") == 8
    resource = ConfigResource(ResourceType.TOPIC, f"{topic_prefix}.verdicts")
    config = admin.describe_configs([resource])[resource].result(10)
    assert config["compression.type"].value == "zstd"


def test_a_live_topic_with_several_partitions_is_refused(kafka: KafkaCluster, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(f"{topic_prefix}.config", 2, -1)])[f"{topic_prefix}.config"].result(10)
    with pytest.raises(BrokerError, match=r"config has 2 partitions, expected exactly 1"):
        ensure_topics(admin, topic_specs(TopicNames(topic_prefix)), bootstrap_servers=kafka.bootstrap)


def test_a_live_topic_that_is_not_compacted_is_refused_with_the_command_that_helps(kafka: KafkaCluster, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(f"{topic_prefix}.references", 1, -1)])[f"{topic_prefix}.references"].result(10)
    with pytest.raises(BrokerError, match=r"kafka-configs\.sh .*cleanup\.policy=compact"):
        ensure_topics(admin, topic_specs(TopicNames(topic_prefix)), bootstrap_servers=kafka.bootstrap)


def test_a_topic_that_may_not_be_created_is_named_with_the_command_that_creates_it(kafka: KafkaCluster, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    specs = topic_specs(TopicNames(topic_prefix))
    with pytest.raises(BrokerError, match=rf"{topic_prefix}\.config .*kafka-topics\.sh .*--partitions 1 .*cleanup\.policy=compact"):
        ensure_topics(admin, specs, bootstrap_servers=kafka.bootstrap, create=False)
    with pytest.raises(BrokerError, match=r"replication"):
        ensure_topics(admin, specs, bootstrap_servers=kafka.bootstrap, replication_factor=3)


def test_a_broker_that_does_not_answer_is_a_broker_error() -> None:
    admin = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    with pytest.raises(BrokerError, match="bootstrap_servers"):
        ensure_topics(admin, topic_specs(TopicNames("p")), bootstrap_servers="127.0.0.1:1", timeout=0.5)
