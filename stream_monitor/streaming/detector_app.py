"""The Faust app of the detector: its settings, its table, its one agent.

Made by a function, never at import: Faust would bind it to an event loop that never runs.
"""

from __future__ import annotations

from typing import Any, cast

import faust

from stream_monitor.clock import Clock
from stream_monitor.config.settings import Settings
from stream_monitor.streaming.detector import PAUSE_LIMIT_S, Detector
from stream_monitor.streaming.faust_transport import CommittedConsumer, CommittedTransport
from stream_monitor.streaming.inbox import Inbox
from stream_monitor.streaming.monitoring import Factory
from stream_monitor.streaming.publishing import Publisher
from stream_monitor.streaming.state_table import StateStore, StateTable
from stream_monitor.streaming.topics import TopicSpec

TABLE = "state"


class DetectorApp(faust.App):
    """A Faust app whose consumer is `CommittedConsumer`, with the detector that it runs."""

    detector: Detector
    sought_topic: str
    profile_partitions: int

    @property
    def detector_started(self) -> bool:
        """Whether the consumer runs, so that it can be asked."""
        return self._consumer is not None and self._consumer.started and self.committed_consumer.has_thread

    @property
    def committed_consumer(self) -> CommittedConsumer:
        """The consumer, as what it is."""
        return cast(CommittedConsumer, self.consumer)

    def _new_transport(self) -> Any:
        return CommittedTransport(self.conf.broker_consumer, self)


def changelog_spec(settings: Settings, partitions: int) -> TopicSpec:
    """The topic that the state is kept in: as many partitions as the profiles topic has."""
    config = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "max.message.bytes": "1048588"}
    return TopicSpec(f"{settings.detector_app}-{TABLE}-changelog", partitions, config, setting="detector_app")


def create_detector_app(
    settings: Settings, *, factory: Factory, inbox: Inbox, publisher: Publisher, partitions: int, clock: Clock
) -> DetectorApp:
    """The app, ready to be given to a `faust.Worker`. Call it in the thread whose event loop will run it.

    `partitions` is the number that the profiles topic has; the changelog must exist with the same number (`changelog_spec`).
    """
    app = DetectorApp(settings.detector_app, **_configuration(settings, partitions))
    app.profile_partitions = partitions
    app.sought_topic = settings.names.profiles
    table = StateTable(app, name=TABLE, partitions=partitions)
    app.tables.add(table)
    detector = app.detector = Detector(app, StateStore(table), inbox, publisher, factory, settings, clock)
    profiles = app.topic(
        settings.names.profiles,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
        partitions=partitions,
    )

    async def judge(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            await detector.take(event)

    app.agent(profiles, name="judge", concurrency=1)(judge)

    async def forget(_app: Any, revoked: Any, **_: Any) -> None:
        await detector.revoked(revoked)

    revocation: Any = app.on_partitions_revoked  # its type asks for a signature that Faust itself does not call
    revocation.connect(forget)

    return app


def _configuration(settings: Settings, partitions: int) -> dict[str, Any]:
    return {
        "broker": settings.faust_broker(),
        "broker_credentials": settings.faust_broker_credentials(),
        "broker_client_id": f"{settings.prefix}-detector-{settings.worker}",
        "broker_session_timeout": PAUSE_LIMIT_S,
        "broker_heartbeat_interval": 2.0,
        "broker_request_timeout": 30.0,
        "broker_rebalance_timeout": 60.0,
        "consumer_auto_offset_reset": "earliest",
        # One message a batch: a broker that tells end offsets by batches (the embedded one) would cut recovery short.
        "producer_max_batch_size": 1,
        "producer_linger": 0.0,
        "producer_compression_type": "zstd",
        "producer_max_request_size": 1_048_588,
        "store": "memory://",
        "topic_partitions": partitions,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "autodiscover": False,
        "datadir": str(settings.state_directory.absolute()),
    }
