"""One detector worker as a process: topics, clients, the Faust app, a watchdog, and an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import faust
from confluent_kafka.admin import AdminClient

from stream_monitor.clock import Clock, SystemClock
from stream_monitor.config.settings import Settings
from stream_monitor.errors import BrokerError
from stream_monitor.events import get_logger
from stream_monitor.streaming import clients
from stream_monitor.streaming.detector_app import DetectorApp, changelog_spec, create_detector_app
from stream_monitor.streaming.inbox import Inbox
from stream_monitor.streaming.monitoring import Factory
from stream_monitor.streaming.progress import Progress
from stream_monitor.streaming.publishing import Publisher
from stream_monitor.streaming.topics import ensure_topics, partition_count, topic_specs
from stream_monitor.streaming.watchdog import Watchdog

_log = get_logger(__name__)

START_S = 30.0
STOP_S = 8.0
"""A worker that was asked to stop is gone after this, tidy or not: the state in Kafka is complete at every moment."""


def run_detector(settings: Settings, *, factory: Factory | None = None, clock: Clock | None = None) -> int:
    """Runs a worker until SIGTERM or SIGINT (exit code 0) or until it can't go on (exit code 1). Call it in the main thread.

    It can't go on when Kafka refuses, or without progress for `watchdog_seconds`. Raises `BrokerError` when the broker can't be reached or
    a topic of ours can't be made.
    """
    clock = clock or SystemClock()
    partitions = prepare_topics(settings)
    settings.state_directory.mkdir(parents=True, exist_ok=True)
    client_id = f"{settings.prefix}-detector-{settings.worker}"
    publisher = Publisher(settings, client_id, monotonic=clock.monotonic)
    inbox = Inbox(settings, client_id, clock.monotonic)
    inbox.start(START_S)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create_detector_app(
        settings, factory=factory or monitor_factory(settings), inbox=inbox, publisher=publisher, partitions=partitions, clock=clock
    )
    watchdog = Watchdog(settings.watchdog_seconds, what="detector", monotonic=clock.monotonic)
    watchdog.start()
    tasks = [loop.create_task(Progress(app).feed(watchdog)), loop.create_task(app.detector.keep_ticking())]
    try:
        return _execute(app, loop)
    finally:
        watchdog.stop()
        for task in tasks:
            task.cancel()
        app.detector.close()
        inbox.close()
        publisher.close()


def prepare_topics(settings: Settings) -> int:
    """Makes what is missing of our topics; the number of partitions of the profiles topic."""
    admin = clients.admin(settings)
    options: dict[str, Any] = {"bootstrap_servers": settings.bootstrap_servers, "replication_factor": settings.replication_factor}
    ensure_topics(admin, topic_specs(settings.names, alert_partitions=settings.alerts_partitions), **options)
    partitions = _await_partitions(admin, settings.names.profiles)
    changelog = changelog_spec(settings, partitions)
    ensure_topics(admin, [changelog], **options)
    kept = _await_partitions(admin, changelog.name)
    if kept != partitions:
        raise BrokerError(
            f"{changelog.name} has {kept} partitions, expected {partitions}, as {settings.names.profiles} has: delete it (the detector "
            f"learns anew), or choose another detector_app"
        )
    return partitions


def _await_partitions(admin: AdminClient, topic: str) -> int:
    """Partitions of a topic that exists; a new one may not have reached every broker yet."""
    deadline = time.monotonic() + START_S
    while (count := partition_count(admin, topic)) == 0:
        if time.monotonic() > deadline:
            raise BrokerError(f"{topic} was made, but is not seen after {START_S:g} s: check that all bootstrap_servers are one cluster")
        time.sleep(0.1)
    return count


def monitor_factory(settings: Settings) -> Factory:
    """Monitors as the product uses them."""
    from stream_monitor.monitor import TopicMonitor
    from stream_monitor.profiling.delta import DeltaAssembler

    def new(topic: str) -> TopicMonitor:
        return TopicMonitor(
            topic, window_ms=settings.window_ms, allowed_lateness_ms=settings.allowed_lateness_ms, prefix=settings.prefix, seed=0
        )

    def restore(topic: str, sections: Mapping[str, bytes]) -> TopicMonitor:
        monitor = TopicMonitor.restore_sections(sections)
        if monitor.window_ms == settings.window_ms:
            return monitor
        _log.warning("detector.window_changed", topic=topic, was_ms=monitor.window_ms, now_ms=settings.window_ms, effect="learned anew")
        return new(topic)

    return Factory(new, restore, DeltaAssembler)


class _Worker(faust.Worker):
    """A Faust worker that is gone within `STOP_S` of a signal."""

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        deadline = threading.Timer(STOP_S, os._exit, (0,))
        deadline.daemon = True
        deadline.start()
        super()._schedule_shutdown(signal)


def _execute(app: DetectorApp, loop: asyncio.AbstractEventLoop) -> int:
    worker = _Worker(app, loop=loop, loglevel="WARN", redirect_stdouts=False, override_logging=False, quiet=True)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        failed = app.detector.failure is not None or worker.crashed or app.crashed
        return 1 if failed or ended.code else 0
