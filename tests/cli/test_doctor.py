from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_monitor.streaming.embedded import EmbeddedBroker
from stream_monitor.streaming.ports import free_ports
from tests.apache_kafka.cluster import KafkaCluster
from tests.cli.broker_kit import make_topics, produce, run


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stream_monitor.cli.options.configure_logging", lambda *_: None)
    for name in list(os.environ):
        if name.startswith("STREAM_MONITOR_"):
            monkeypatch.delenv(name)


def examine(bootstrap: str, prefix: str, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code, and the checks by name."""
    result = run(bootstrap, prefix, "doctor", "--json", "--timeout", "2", *arguments)
    assert result.stdout, result.output
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def make_topic(bootstrap: str, name: str, partitions: int = 1, **config: Any) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(10)


def test_when_all_is_well_it_says_so(broker: EmbeddedBroker, topic_prefix: str) -> None:
    make_topics(broker.bootstrap, topic_prefix)
    make_topic(broker.bootstrap, f"{topic_prefix}-orders", 2)
    produce(broker.bootstrap, f"{topic_prefix}-orders", ("a", b"{}"))
    code, checks = examine(broker.bootstrap, topic_prefix, "--topic", f"{topic_prefix}-orders")
    assert code == 0
    assert "answered in" in checks["broker"]["found"]
    assert checks[f"{topic_prefix}.config"]["found"] == "1 partition, cleanup.policy compact"
    assert checks[f"{topic_prefix}-orders"]["found"] == f"{topic_prefix}-orders (2) [partitions]"
    assert not [check for check in checks.values() if check["status"] == "fail"]


def test_the_table_fits_80_columns_and_ends_with_what_to_do(broker: EmbeddedBroker, topic_prefix: str) -> None:
    make_topics(broker.bootstrap, topic_prefix)
    result = run(broker.bootstrap, topic_prefix, "doctor", "--topic", "nowhere")
    assert result.exit_code == 1
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "- nowhere: create it, or allow Describe and Read on nowhere" in result.stdout
    assert "1 to repair" in result.stdout


def test_a_refused_connection_is_told_soon(topic_prefix: str) -> None:
    began = time.monotonic()
    code, checks = examine(f"127.0.0.1:{free_ports(1)[0]}", topic_prefix)
    assert code == 1
    assert time.monotonic() - began < 6
    assert "refused" in checks["broker"]["found"]
    assert "check bootstrap_servers" in checks["broker"]["remedy"]
    assert set(checks) == {"versions", "settings", "broker"}


def test_the_wrong_security_is_told(broker: EmbeddedBroker, topic_prefix: str) -> None:
    code, checks = examine(broker.bootstrap, topic_prefix, "--set", "security_protocol=SSL")
    assert code == 1
    assert "(SSL)" in checks["broker"]["found"]
    assert "security_protocol is the listener's" in checks["broker"]["remedy"]


def test_a_refused_log_in_is_told_without_the_password(broker: EmbeddedBroker, topic_prefix: str) -> None:
    secrets = ["--set", "security_protocol=SASL_PLAINTEXT", "--set", "sasl_username=ana", "--set", "sasl_password=hunter2"]
    code, checks = examine(broker.bootstrap, topic_prefix, *secrets)
    assert code == 1
    assert "SASL" in checks["broker"]["found"]
    assert "sasl_password" in checks["broker"]["remedy"]
    assert "hunter2" not in json.dumps(checks)


def test_a_live_topic_of_the_wrong_shape_fails_with_the_command_that_makes_it(broker: EmbeddedBroker, topic_prefix: str) -> None:
    make_topic(broker.bootstrap, f"{topic_prefix}.config", 3)
    make_topic(broker.bootstrap, f"{topic_prefix}.references", 1, **{"cleanup.policy": "delete"})
    code, checks = examine(broker.bootstrap, topic_prefix)
    assert code == 1
    assert "--partitions 1" in checks[f"{topic_prefix}.config"]["remedy"]
    assert "--add-config cleanup.policy=compact" in checks[f"{topic_prefix}.references"]["remedy"]


def test_the_monitored_cluster_may_be_another_one(broker: EmbeddedBroker, topic_prefix: str) -> None:
    make_topics(broker.bootstrap, topic_prefix)
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    code, checks = examine(broker.bootstrap, topic_prefix, "--set", f"source.bootstrap_servers={nowhere}", "--topic", "orders")
    assert code == 1
    assert (checks["broker"]["status"], checks["source broker"]["status"]) == ("ok", "fail")


def test_on_apache_kafka_it_changes_nothing_and_sees_groups_and_clocks(kafka: KafkaCluster, topic_prefix: str) -> None:
    topic = f"{topic_prefix}-orders"
    make_topic(kafka.bootstrap, topic, 2)
    ahead_ms = int(time.time() * 1000) + 3_600_000
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, value=b"{}", timestamp=ahead_ms)
    assert producer.flush(10) == 0
    code, checks = examine(kafka.bootstrap, topic_prefix, "--topic", topic, "--set", "replication_factor=1")
    assert code == 0
    assert checks[f"{topic_prefix}.config"]["found"] == "missing; will be made at the first start"
    assert checks[f"{topic_prefix}.profilers"]["status"] == "warn"
    assert checks["clock"]["status"] == "warn"
    assert "ahead of this machine's clock" in checks["clock"]["found"]
    assert f"{topic_prefix}.config" not in AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics
    code, checks = examine(kafka.bootstrap, topic_prefix, "--topic", topic, "--set", "replication_factor=7")
    assert code == 1
    assert "replication_factor" in checks[f"{topic_prefix}.config"]["found"]
    assert "kafka-topics.sh" in checks[f"{topic_prefix}.config"]["remedy"]
