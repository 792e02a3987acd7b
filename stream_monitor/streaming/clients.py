"""confluent-kafka clients from the settings, all made the same way.

What our guarantees rest on is set last, over anything passed through: read committed, no automatic commits, idempotent producers with
acks=all, and the partitioner of the Java clients (librdkafka's own sends most keys elsewhere than aiokafka does). The rest are defaults
that `[kafka]` in the settings may change.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from stream_monitor.config.cluster import Cluster
from stream_monitor.errors import BrokerError

TRANSACTION_TIMEOUT_MS = 10_000
"""An orphaned transaction holds back the readers of what we write for this long, and no longer."""

_SESSION_TIMEOUT_MS = 10_000  # a worker that died is replaced after this; 45 s, librdkafka's default, is a long time to be blind
_QUEUED_KILOBYTES = 32_768  # fetched ahead per partition; librdkafka's 64 MB times many partitions does not fit in a pod

Config = dict[str, Any]


class _Quiet(logging.Filter):
    """Leaves out what is no news in librdkafka's log.

    That consumers ignore the properties of producers: `[kafka]` in the settings is for both. And that a connection failed again: with the
    broker gone it says so twenty times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "property and will be ignored by this" in text:
            return False
        if not text.startswith("FAIL "):
            return True
        client, now = text.split("]", 1)[0], time.monotonic()
        if now - self._said.get(client, float("-inf")) < _SAID_AGAIN_S:
            return False
        self._said[client] = now
        return True


_SAID_AGAIN_S = 30.0
_LOGGER = logging.getLogger("librdkafka")
_LOGGER.addFilter(_Quiet())


def reader_config(cluster: Cluster, name: str) -> Config:
    """A consumer without a group: it is assigned partitions, commits nothing and sees only committed messages."""
    defaults = {"client.id": name, "fetch.wait.max.ms": 100, "topic.metadata.refresh.interval.ms": 30_000, "auto.offset.reset": "earliest"}
    return _config(cluster, defaults, {"group.id": name, **_COMMITTED})


def member_config(cluster: Cluster, group: str, *, client_id: str, instance_id: str | None = None) -> Config:
    """A member of a consumer group. `instance_id` makes it a static member: a restart within the session's time-out moves no partition.

    `auto.offset.reset` is "error": the profiler wants to know what it missed.
    """
    defaults = {
        "client.id": client_id,
        "session.timeout.ms": 30_000 if instance_id else _SESSION_TIMEOUT_MS,
        "heartbeat.interval.ms": 2_000,
        "max.poll.interval.ms": 120_000,
        "fetch.wait.max.ms": 250,
        "queued.max.messages.kbytes": _QUEUED_KILOBYTES,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    managed: Config = {"group.id": group, "partition.assignment.strategy": "cooperative-sticky", "auto.offset.reset": "error", **_COMMITTED}
    if instance_id:
        managed["group.instance.id"] = instance_id
    return _config(cluster, defaults, managed)


def producer_config(cluster: Cluster, client_id: str, *, transactional_id: str | None = None) -> Config:
    """An idempotent producer; transactional if it is given an id, which must be stable over restarts and unique among workers."""
    defaults = {
        "client.id": client_id,
        "compression.type": "zstd",
        "linger.ms": 5,
        "queue.buffering.max.kbytes": 262_144,
        "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS if transactional_id else 30_000,
        "message.max.bytes": 1_048_588,
    }
    managed: Config = {"enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"}
    if transactional_id:
        managed |= {"transactional.id": transactional_id, "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
    return _config(cluster, defaults, managed)


def consumer(config: Config) -> Consumer:
    """A consumer; raises `BrokerError` for properties that librdkafka refuses."""
    try:
        return Consumer(config)
    except KafkaException as error:
        raise BrokerError(f"the Kafka consumer can't be made: {describe_error(error.args[0])}; check [kafka] in the settings") from error


def producer(config: Config) -> Producer:
    """A producer; raises `BrokerError` for properties that librdkafka refuses."""
    try:
        return Producer(config)
    except KafkaException as error:
        raise BrokerError(f"the Kafka producer can't be made: {describe_error(error.args[0])}; check [kafka] in the settings") from error


def admin(cluster: Cluster, client_id: str = "stream-monitor-admin") -> AdminClient:
    """An admin client; raises `BrokerError` for properties that librdkafka refuses."""
    try:
        return AdminClient(_config(cluster, {"client.id": client_id}, {}))
    except KafkaException as error:
        raise BrokerError(
            f"the Kafka admin client can't be made: {describe_error(error.args[0])}; check [kafka] in the settings"
        ) from error


def describe_error(error: KafkaError | None) -> str:
    """One line: what Kafka said, and what to do about it where that is known."""
    if error is None:
        return "no reason given"
    hint = _HINTS.get(error.code())
    text = error.str().strip().rstrip(".")
    return f"{text}: {hint}" if hint else text


def _config(cluster: Cluster, defaults: Config, managed: Config) -> Config:
    return {"logger": _LOGGER, **defaults, **cluster.confluent(), **managed}


_COMMITTED: Config = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
}

_HINTS = {
    KafkaError._ALL_BROKERS_DOWN: "check bootstrap_servers, the network and the listener's security_protocol",
    KafkaError._TRANSPORT: "check bootstrap_servers, the network and the listener's security_protocol",
    KafkaError._RESOLVE: "the host name is unknown: check bootstrap_servers and the broker's advertised.listeners",
    KafkaError._AUTHENTICATION: "check sasl_mechanism, sasl_username and sasl_password",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check sasl_mechanism, sasl_username and sasl_password",
    KafkaError._SSL: "check ssl_ca_location and the certificates",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user Read and Describe on monitored topics, and Read, Write, Create on ours",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user Read on the groups that start with the prefix",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user Create (topics) and IdempotentWrite on the cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "allow this user Write and Describe on transactional ids that start with the prefix",
    KafkaError.POLICY_VIOLATION: "the broker has a policy for new topics: create it by hand",
    KafkaError.INVALID_REPLICATION_FACTOR: "set replication_factor to at most the number of brokers",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic does not exist, or this user may not see it",
}
