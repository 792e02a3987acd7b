"""What `doctor` finds out about brokers and topics: each check is a function from a connection to findings with a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported
    AclOperation,
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from stream_monitor.clock import Clock
from stream_monitor.config.cluster import Cluster
from stream_monitor.config.settings import Settings
from stream_monitor.config.status import iso_utc
from stream_monitor.streaming.clients import describe_error
from stream_monitor.streaming.topics import TopicSpec, topic_specs

TIMEOUT_SECONDS = 10.0
FUTURE_MS = 5_000
"""A newest record further ahead of our clock than this means that clocks disagree."""


class Status(StrEnum):
    """How a check came out; SKIP where the broker does not tell."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and what to do unless all is well."""

    name: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Connection:
    """A cluster that answered."""

    label: str
    cluster: Cluster
    admin: AdminClient
    metadata: ClusterMetadata

    @property
    def topics(self) -> dict[str, int]:
        """Topic -> partitions, of those that this user may see."""
        return {name: len(topic.partitions) for name, topic in self.metadata.topics.items() if topic.error is None}


def connect(label: str, cluster: Cluster, clock: Clock, timeout: float = TIMEOUT_SECONDS) -> tuple[Check, Connection | None]:
    """Reaches the cluster; the check says how long it took, or in the broker's and our words why not."""
    said: list[KafkaError] = []
    try:
        own = {"error_cb": said.append, "log_level": 0, "client.id": "stream-monitor-doctor", "reconnect.backoff.ms": 500}
        properties: dict[str, Any] = {**cluster.confluent(), **own}
        admin = AdminClient(properties)
    except KafkaException as error:
        return Check(label, Status.FAIL, describe_error(error.args[0]), "take the property out of [kafka] in the settings"), None
    began = clock.monotonic()
    while True:
        try:
            metadata = admin.list_topics(timeout=min(1.0, timeout))
        except KafkaException as error:
            admin.poll(0.2)
            if said or clock.monotonic() - began > timeout:
                return _unreachable(label, cluster, [*said, error.args[0]]), None
        else:
            took = (clock.monotonic() - began) * 1000
            found = f"{cluster.bootstrap_servers} answered in {took:.0f} ms ({cluster.security_protocol})"
            return Check(label, Status.OK, found), Connection(label, cluster, admin, metadata)


_REMEDIES = {
    KafkaError._AUTHENTICATION: "check sasl_mechanism, sasl_username and sasl_password",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check sasl_mechanism, sasl_username and sasl_password",
    KafkaError._SSL: "check ssl_ca_location and the certificates, and that the listener speaks TLS",
    KafkaError._RESOLVE: "the host name is unknown: check bootstrap_servers",
    KafkaError._TRANSPORT: "check bootstrap_servers, that the broker runs, and that security_protocol is the listener's",
}


def _unreachable(label: str, cluster: Cluster, said: list[KafkaError]) -> Check:
    """The most telling of the errors: librdkafka says "all brokers down" and "timed out" after the one that matters."""
    ranks = list(_REMEDIES)
    error = min(said, key=lambda error: ranks.index(error.code()) if error.code() in ranks else len(ranks))
    remedy = _REMEDIES.get(error.code(), "check bootstrap_servers and the network")
    return Check(label, Status.FAIL, f"{cluster.bootstrap_servers} ({cluster.security_protocol}): {error.str()}", remedy)


def check_cluster(connection: Connection) -> Check:
    """Id, brokers and, where the broker tells, its version."""
    label = f"{connection.label} cluster"
    brokers = connection.metadata.brokers
    try:
        cluster_id = connection.admin.describe_cluster(request_timeout=TIMEOUT_SECONDS).result(TIMEOUT_SECONDS).cluster_id
    except (KafkaException, TimeoutError):
        cluster_id = None
    version = _version(connection, next(iter(brokers), 0))
    count = f"{len(brokers)} broker{'s' if len(brokers) != 1 else ''}"
    found = f"id {cluster_id or 'not told'}, {count}{f', protocol {version}' if version else ''}"
    return Check(label, Status.OK, found)


def _version(connection: Connection, broker: int) -> str | None:
    entries = _describe(connection, ResourceType.BROKER, str(broker))
    return entries.get("inter.broker.protocol.version") or entries.get("metadata.version")


def _describe(connection: Connection, kind: ResourceType, name: str) -> dict[str, str]:
    """Configuration entries of a broker or topic; empty when it does not tell."""
    resource = ConfigResource(kind, name)
    try:
        entries = connection.admin.describe_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource].result(TIMEOUT_SECONDS)
    except (KafkaException, TimeoutError, KeyError):
        return {}
    return {key: entry.value for key, entry in entries.items() if entry.value is not None}


def check_own_topics(connection: Connection, settings: Settings) -> Iterator[Check]:
    """Ours: there with the right shape, or creatable."""
    specs = topic_specs(settings.names, alert_partitions=settings.alerts_partitions)
    missing = [spec for spec in specs if spec.name not in connection.topics]
    for spec in specs:
        if spec not in missing:
            yield _check_shape(connection, spec)
    yield from _check_creatable(connection, missing, settings)


def _check_shape(connection: Connection, spec: TopicSpec) -> Check:
    partitions = connection.topics[spec.name]
    wanted = spec.config.get("cleanup.policy", "delete")
    policy = _describe(connection, ResourceType.TOPIC, spec.name).get("cleanup.policy")
    found = f"{partitions} partition{'s' if partitions != 1 else ''}, cleanup.policy {policy or 'not told'}"
    if partitions != spec.partitions:
        remedy = f"expected {spec.partitions}: delete it and run: {spec.command(connection.cluster.bootstrap_servers)}"
        return Check(spec.name, Status.FAIL if spec.compacted else Status.WARN, found, remedy)
    if policy and wanted not in policy:
        alter = f"kafka-configs.sh --bootstrap-server {connection.cluster.bootstrap_servers} --alter --entity-type topics --entity-name"
        remedy = f"run: {alter} {spec.name} --add-config cleanup.policy={wanted}"
        return Check(spec.name, Status.FAIL if spec.compacted else Status.WARN, found, remedy)
    return Check(spec.name, Status.OK, found)


def _check_creatable(connection: Connection, specs: list[TopicSpec], settings: Settings) -> Iterator[Check]:
    """Asks the broker whether it would create them, without creating any; a broker that creates them all the same is told on."""
    if not specs:
        return
    new = [
        NewTopic(s.name, num_partitions=s.partitions, replication_factor=settings.replication_factor, config=dict(s.config)) for s in specs
    ]
    futures = connection.admin.create_topics(new, validate_only=True, request_timeout=TIMEOUT_SECONDS)
    for spec in specs:
        try:
            futures[spec.name].result(TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            why = describe_error(error.args[0]) if isinstance(error, KafkaException) else "no answer"
            remedy = f"run: {spec.command(connection.cluster.bootstrap_servers)}"
            yield Check(spec.name, Status.FAIL, f"missing, and can't be created: {why}", remedy)
        else:
            made = spec.name in connection.admin.list_topics(timeout=TIMEOUT_SECONDS).topics
            found = "was missing; the broker made it when asked whether it would" if made else "missing; will be made at the first start"
            yield Check(spec.name, Status.OK, found)


def check_monitored(connection: Connection, settings: Settings) -> Iterator[Check]:
    """Those to monitor: named at all, there, and at least one for each expression."""
    if not settings.topics:
        yield Check("monitored topics", Status.WARN, "none is set", "name them: --topic, STREAM_MONITOR_TOPICS, or topics in the file")
    for entry in settings.topics:
        one = settings.model_copy(update={"topics": (entry,)})
        hits = {name: count for name, count in connection.topics.items() if one.monitors(name)}
        if hits:
            shown = ", ".join(f"{name} ({count})" for name, count in sorted(hits.items())[:5])
            yield Check(entry, Status.OK, f"{shown}{f' and {len(hits) - 5} more' if len(hits) > 5 else ''} [partitions]")
        elif entry.startswith("^"):
            yield Check(entry, Status.WARN, "no topic matches", "check the expression; topics that appear later are picked up")
        else:
            yield Check(
                entry, Status.FAIL, "does not exist, or this user may not see it", f"create it, or allow Describe and Read on {entry}"
            )


def check_permissions(connection: Connection, names: Iterable[str], needed: Iterable[AclOperation]) -> Iterator[Check]:
    """Whether this user may do `needed` on those of `names` that exist; one line for all when all is well."""
    present = [name for name in names if name in connection.topics]
    if not present:
        return
    label, wanted, refused = f"{connection.label} permissions", set(needed), 0
    try:
        futures = connection.admin.describe_topics(
            TopicCollection(present), include_authorized_operations=True, request_timeout=TIMEOUT_SECONDS
        )
        allowed = {name: _operations(future.result(TIMEOUT_SECONDS)) for name, future in futures.items()}
    except (KafkaException, TimeoutError) as error:
        yield Check(label, Status.SKIP, f"the broker does not tell: {error}")
        return
    if not any(allowed.values()):
        yield Check(label, Status.SKIP, "the broker does not tell (it has no authorizer, or hides it)")
        return
    for name, operations in allowed.items():
        lacking = set() if AclOperation.ALL in operations else wanted - operations
        if lacking:
            refused += 1
            words = ", ".join(sorted(operation.name.title() for operation in lacking))
            yield Check(label, Status.FAIL, f"{words} on {name} is not allowed", f"allow this user {words} on the topic {name}")
    if not refused:
        words = ", ".join(sorted(operation.name.title() for operation in wanted))
        yield Check(label, Status.OK, f"{words} on {len(present)} topic{'s' if len(present) != 1 else ''}")


def _operations(described: Any) -> set[AclOperation]:
    return set(getattr(described, "authorized_operations", None) or ())


def check_groups(connection: Connection, groups: Iterable[str]) -> Iterator[Check]:
    """State and members of the consumer groups."""
    for group in groups:
        try:
            described = connection.admin.describe_consumer_groups([group], request_timeout=TIMEOUT_SECONDS)[group].result(TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            code = error.args[0].code() if isinstance(error, KafkaException) else None
            if code in (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID):
                yield Check(group, Status.WARN, "no such group yet: nothing of it runs", "start `stream-monitor run`")
            elif code == KafkaError.GROUP_AUTHORIZATION_FAILED:
                yield Check(
                    group, Status.FAIL, "this user may not see the group", f"allow this user Read and Describe on the group {group}"
                )
            else:
                yield Check(group, Status.SKIP, f"the broker does not tell: {error}")
            continue
        members = len(described.members)
        found = f"{described.state.name.lower().replace('_', ' ')}, {members} member{'s' if members != 1 else ''}"
        yield Check(
            group, Status.OK if members else Status.WARN, found, "" if members else "nothing of it runs: start `stream-monitor run`"
        )


def check_clock(connection: Connection, settings: Settings, clock: Clock) -> Check:
    """The newest record of the monitored topics against our clock; records from the future mean that clocks disagree."""
    partitions = [TopicPartition(name, p) for name, count in connection.topics.items() if settings.monitors(name) for p in range(count)]
    newest = -1
    try:
        wanted = {partition: OffsetSpec.max_timestamp() for partition in partitions[:200]}  # type: ignore[no-untyped-call]
        futures = connection.admin.list_offsets(wanted, request_timeout=TIMEOUT_SECONDS) if wanted else {}
        newest = max([future.result(TIMEOUT_SECONDS).timestamp for future in futures.values()], default=-1)
    except (KafkaException, TimeoutError, ValueError) as error:
        return Check("clock", Status.SKIP, f"the broker does not tell the newest record's time: {error}")
    if newest < 0:
        return Check("clock", Status.SKIP, "no record to compare with")
    now = clock.now_ms()
    ahead = (newest - now) / 1000
    if newest - now > FUTURE_MS:
        remedy = "check NTP here and at the producers, or name the event time with timestamp_field"
        return Check("clock", Status.WARN, f"the newest record is {ahead:.0f} s ahead of this machine's clock ({iso_utc(now)})", remedy)
    return Check("clock", Status.OK, f"here {iso_utc(now // 1000 * 1000)}; the newest record is {max(0.0, -ahead):,.0f} s old")
