"""A profiler as a process: its clients, the topics it needs, the references it follows, the watchdog over it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from stream_monitor.config.settings import Settings
from stream_monitor.errors import SettingsError
from stream_monitor.events import get_logger
from stream_monitor.profiling.reference import Reference
from stream_monitor.streaming import clients
from stream_monitor.streaming.backfill import ColdStarts
from stream_monitor.streaming.commit import AtLeastOnce, CommitProtocol, ExactlyOnce
from stream_monitor.streaming.profiler import ProfilerWorker
from stream_monitor.streaming.reference_topic import live_references
from stream_monitor.streaming.topics import ensure_topics, topic_specs
from stream_monitor.streaming.watchdog import Watchdog

_log = get_logger(__name__)

SHUTDOWN_SECONDS = 9.5
"""Leaving takes at most this long; then the process ends as it is, which costs nothing but what was not flushed."""


def run_profiler(settings: Settings, stop: threading.Event, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Profiles until `stop` is set; returns when the last flush is committed and the group was left.

    Raises `SettingsError` without topics to monitor, `BrokerError` when Kafka can't be reached or refuses, `FencedError` when another
    worker has the same name. The process ends with exit code 1 when no flush succeeds for `watchdog_seconds`, or leaving takes
    longer than 9.5 s.
    """
    if not settings.topics:
        raise SettingsError("topics: expected at least one topic to monitor, got none; give --topic")
    for topic in settings.topics:
        if settings.names.owns(topic):
            raise SettingsError(f"topics: expected topics of others, got {topic}, which is one of ours (prefix {settings.prefix})")
    create_topics(settings)
    watchdog = Watchdog(settings.watchdog_seconds, what="profiler: no flush succeeded")
    with profiler(settings, on_flush=watchdog.feed) as worker:
        watchdog.start()
        on_ready()
        with _ended_in_time(stop):
            worker.run(stop)
        watchdog.stop()
    _log.info("profiler.left", worker=worker.name)


def create_topics(settings: Settings) -> list[str]:
    """Makes sure that our own topics are there; the names of those that were created. Raises `BrokerError`."""
    specs = topic_specs(settings.names, alert_partitions=settings.alerts_partitions)
    return ensure_topics(
        clients.admin(settings), specs, bootstrap_servers=settings.bootstrap_servers, replication_factor=settings.replication_factor
    )


@contextlib.contextmanager
def profiler(settings: Settings, *, on_flush: Callable[[], None] = lambda: None) -> Iterator[ProfilerWorker]:
    """A worker with its clients, not started; references are live when this yields."""
    name = f"{settings.prefix}.profiler.{settings.worker}"
    config = clients.member_config(
        settings.source_cluster,
        settings.profiler_group,
        client_id=name,
        instance_id=settings.worker if settings.static_membership else None,
    )
    config["topic.blacklist"] = own_topics_pattern(settings.prefix)
    followed: list[ProfilerWorker] = []  # the worker needs the mapping, the mapping tells the worker

    def use(topic: str, reference: Reference | None, _offset: int) -> None:
        for worker in followed:
            worker.use(topic, reference)

    with live_references(settings, f"{name}.references", use) as references:
        references.wait_ready(30.0)
        consumer = clients.consumer(config)
        protocol: CommitProtocol
        if settings.source is None:
            transactional = clients.producer_config(settings, name, transactional_id=name)
            protocol = ExactlyOnce(lambda: clients.producer(transactional), consumer)
        else:
            protocol = AtLeastOnce(clients.producer(clients.producer_config(settings, name)), consumer)
        backfiller = ColdStarts(settings, worker=f"profiler@{settings.worker}") if settings.cold_start != "none" else None
        worker = ProfilerWorker(settings, consumer, protocol, references, backfiller=backfiller, on_flush=on_flush)
        followed.append(worker)
        yield worker


def own_topics_pattern(prefix: str) -> str:
    """librdkafka's `topic.blacklist` for what a regular expression of the user must never match: our topics and Kafka's internal ones."""
    return f"^{prefix.replace('.', '[.]')}[.],^__"


@contextlib.contextmanager
def _ended_in_time(stop: threading.Event) -> Iterator[None]:
    """Ends the process if what is inside takes too long after `stop` was set."""
    over = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            if over.is_set():
                return
        if not over.wait(SHUTDOWN_SECONDS):
            _log.error("profiler.shutdown_too_slow", seconds=SHUTDOWN_SECONDS)
            os._exit(1)

    threading.Thread(target=watch, name="shutdown", daemon=True).start()
    try:
        yield
    finally:
        over.set()
