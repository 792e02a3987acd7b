"""Brokers for the tests, Apache Kafka (`kafka`, `kafka3`) and the embedded one (`embedded_broker`); and names (`topic_prefix`)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from stream_monitor.streaming.embedded import EmbeddedBroker
from tests.apache_kafka.cluster import KafkaCluster
from tests.apache_kafka.jars import KafkaUnavailableError, java, kafka_jars


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need a broker; those on Apache Kafka are run apart, one after the other (`make pytest`)."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"kafka", "kafka3"} or item.get_closest_marker("kafka"):
            item.add_marker(pytest.mark.kafka)
        if "embedded_broker" in fixtures:
            item.add_marker(pytest.mark.embedded)


def require_kafka() -> None:
    """Skips where Apache Kafka can't run, saying why; where CI=true that is a failure."""
    try:
        java()
        kafka_jars()
    except KafkaUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the tests on Apache Kafka: {error}", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """One broker of Apache Kafka, shared by all tests: name topics and groups with `topic_prefix`, and don't kill it."""
    require_kafka()
    with KafkaCluster(brokers=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kafka3() -> Iterator[KafkaCluster]:
    """Three brokers of Apache Kafka, a module's own: a test that kills one starts it again."""
    require_kafka()
    with KafkaCluster(brokers=3) as cluster:
        yield cluster


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """An embedded broker, a test's own."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test uses, for topics, groups and transactional ids."""
    return f"t{uuid.uuid4().hex[:10]}"
