"""Our own topics: what they must be, and making them so.

| topic | partitions | clean-up |
| --- | --- | --- |
| config, references | 1 | compact |
| commands | 1 | delete, 90 d |
| alerts, status, dead-letters | 1 | delete, 30 d |
| verdicts | 8 | delete, 30 d, zstd |
| profiles | 8 | delete, 1 d |
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]  # re-exported

from stream_monitor.config.topic_names import TopicNames
from stream_monitor.errors import BrokerError
from stream_monitor.events import get_logger
from stream_monitor.streaming.clients import describe_error

_log = get_logger(__name__)

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic of ours must be."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    setting: str = "prefix"
    """The setting that decides this topic's name or shape, for error messages."""

    @property
    def compacted(self) -> bool:
        """Whether it is read as a live mapping: exactly one partition, cleaned by compaction."""
        return self.partitions == 1 and self.config.get("cleanup.policy") == "compact"

    def command(self, bootstrap_servers: str) -> str:
        """The shell command that creates it."""
        options = " ".join(f"--config {key}={value}" for key, value in sorted(self.config.items()))
        return (
            f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic {self.name} --partitions {self.partitions} {options}"
        )


def topic_specs(names: TopicNames, *, alert_partitions: int = 1, profile_partitions: int = 8) -> tuple[TopicSpec, ...]:
    """All topics of an installation, in the order to create them."""
    compact = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": str(_DAY_MS), "max.message.bytes": "1048588"}
    return (
        TopicSpec(names.config, 1, compact),
        TopicSpec(names.references, 1, compact),
        TopicSpec(names.commands, 1, _kept(90)),
        TopicSpec(names.alerts, alert_partitions, _kept(30), setting="alerts_partitions"),
        TopicSpec(names.verdicts, 8, {**_kept(30), "compression.type": "zstd"}),
        TopicSpec(names.profiles, profile_partitions, {**_kept(1), "segment.ms": str(_DAY_MS // 24)}),
        TopicSpec(names.status, 1, _kept(30)),
        TopicSpec(names.dead_letters, 1, _kept(30)),
    )


def ensure_topics(
    admin: AdminClient,
    specs: Sequence[TopicSpec],
    *,
    bootstrap_servers: str,
    replication_factor: int = -1,
    create: bool = True,
    timeout: float = 15.0,
) -> list[str]:
    """Creates the topics that are missing and checks the others; the names created.

    `replication_factor` -1 leaves it to the broker's default. Raises `BrokerError` if the broker refuses (or `create` is off), which names
    the topic, the setting and the command that creates it, and when a live topic has more than one partition or is not compacted.
    """
    existing = _partitions(admin, timeout)
    missing = [spec for spec in specs if spec.name not in existing]
    if missing and not create:
        raise BrokerError(_missing(missing[0], bootstrap_servers, "is missing and creating topics is switched off"))
    created = _create(admin, missing, bootstrap_servers, replication_factor, timeout)
    live = [spec for spec in specs if spec.compacted and spec.name not in created]
    for spec in live:
        _check_partitions(spec, existing.get(spec.name) or _settled_partition_count(admin, spec.name, timeout))
    _check_policies(admin, live, bootstrap_servers, timeout)
    return created


def _create(admin: AdminClient, specs: Sequence[TopicSpec], bootstrap_servers: str, replication_factor: int, timeout: float) -> list[str]:
    if not specs:
        return []
    new = [NewTopic(s.name, num_partitions=s.partitions, replication_factor=replication_factor, config=dict(s.config)) for s in specs]
    futures = admin.create_topics(new, operation_timeout=timeout, request_timeout=timeout)
    created = []
    for spec in specs:
        try:
            futures[spec.name].result(timeout + 5.0)
            created.append(spec.name)
        except KafkaException as error:
            failure = error.args[0]
            if failure.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another worker was faster: fine
                raise BrokerError(_missing(spec, bootstrap_servers, f"can't be created: {describe_error(failure)}")) from error
    if created:
        _log.info("topics.created", topics=created)
    return created


def _partitions(admin: AdminClient, timeout: float) -> dict[str, int]:
    try:
        listed = admin.list_topics(timeout=timeout)
    except KafkaException as error:
        raise BrokerError(
            f"the broker can't be reached in {timeout:g} s: {describe_error(error.args[0])}; check bootstrap_servers"
        ) from error
    return {name: len(topic.partitions) for name, topic in listed.topics.items() if topic.error is None}


def _check_partitions(spec: TopicSpec, partitions: int) -> None:
    if partitions > 1:
        raise BrokerError(
            f"{spec.name} has {partitions} partitions, expected exactly 1: clients disagree on which partition a key goes to, "
            f"so an old value could survive. Delete it or choose another {spec.setting}"
        )


def _check_policies(admin: AdminClient, specs: Sequence[TopicSpec], bootstrap_servers: str, timeout: float) -> None:
    """Live topics must be compacted. A broker or a permission that does not tell is no error: it is logged."""
    for spec in specs:
        resource = ConfigResource(ResourceType.TOPIC, spec.name)
        try:
            entries = admin.describe_configs([resource], request_timeout=timeout)[resource].result(timeout + 5.0)
        except (KafkaException, KeyError) as error:
            _log.warning("topics.policy_unchecked", topic=spec.name, error=str(error))
            continue
        policy = getattr(entries.get("cleanup.policy"), "value", None)
        if policy is not None and "compact" not in policy:
            raise BrokerError(
                f"{spec.name} has cleanup.policy={policy}, expected compact: its values would be lost. Run: kafka-configs.sh "
                f"--bootstrap-server {bootstrap_servers} --alter --entity-type topics "
                f"--entity-name {spec.name} --add-config cleanup.policy=compact"
            )


def partition_count(admin: AdminClient, topic: str, timeout: float = 10.0) -> int:
    """Partitions of a topic; 0 if it does not exist."""
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)[topic].result(timeout + 5.0)
    except KafkaException as error:
        if error.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            return 0
        raise BrokerError(f"{topic} can't be described: {describe_error(error.args[0])}") from error
    return len(described.partitions)


def _settled_partition_count(admin: AdminClient, topic: str, timeout: float) -> int:
    """Of a topic that another worker made a moment ago: the controller knows it, this broker may not yet."""
    deadline = time.monotonic() + timeout
    while (count := partition_count(admin, topic, timeout)) == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    return count


def _missing(spec: TopicSpec, bootstrap_servers: str, why: str) -> str:
    return f"{spec.name} (setting {spec.setting}) {why}. Create it with: {spec.command(bootstrap_servers)}"


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}
