"""The same on the embedded broker of the demo, which lacks some of what Kafka does."""

from __future__ import annotations

import threading

from confluent_kafka import Producer

from stream_monitor.config.settings import Settings
from stream_monitor.profiling.delta import Delta
from stream_monitor.streaming.clients import producer_config, reader_config
from stream_monitor.streaming.cold_start import sample_history
from stream_monitor.streaming.embedded import EmbeddedBroker
from stream_monitor.streaming.live_topic import LiveTopic
from stream_monitor.streaming.profiler_process import create_topics, profiler
from tests.streaming.profile_readers import START_MS, Installation, assert_every_offset_once, until


def installed(broker: EmbeddedBroker, **settings: object) -> Installation:
    values = {"topics": ("orders",), "start_from": "earliest", "flush_seconds": 0.3, "worker": "a", **settings}
    installation = Installation(Settings(bootstrap_servers=broker.bootstrap, **values))  # type: ignore[arg-type]
    create_topics(installation.settings)
    return installation


def test_every_record_is_profiled_once(embedded_broker: EmbeddedBroker) -> None:
    installation = installed(embedded_broker)
    installation.create("orders", 4)
    stop = threading.Event()
    with profiler(installation.settings) as worker:
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            for part in range(4):
                installation.produce("orders", 2_000, partitions=4, first=2_000 * part)
            until(lambda: installation.committed_total("orders") == 8_000)
            until(lambda: any(source.caught_up for delta in installation.deltas("orders") for source in delta.sources))
        finally:
            stop.set()
            thread.join(20)
    assert installation.records("orders") == 8_000
    assert_every_offset_once(installation.deltas("orders"), dict.fromkeys(range(4), 2_000))


def test_a_cold_start_reads_from_the_beginning_where_time_can_not_be_looked_up(embedded_broker: EmbeddedBroker) -> None:
    installation = installed(embedded_broker, window_seconds=1.0, allowed_lateness_seconds=0.2)
    installation.create("orders", 2)
    installation.produce("orders", 10_000, partitions=2)
    deltas: list[Delta] = list(sample_history(installation.settings, "orders", 1000, runs=3, panes_per_run=10))
    assert len(deltas) >= 30
    assert {delta.profile.records for delta in deltas} == {100}
    assert deltas[0].pane_start_ms == START_MS + 1000


def test_a_live_topic_follows_updates(embedded_broker: EmbeddedBroker) -> None:
    installation = installed(embedded_broker)
    producer = Producer(producer_config(installation.settings, "test"))
    topic = installation.settings.names.config
    with LiveTopic(reader_config(installation.settings, "test"), topic, bytes) as live:
        live.wait_ready(15)
        for version in (b"1", b"2"):
            producer.produce(topic, key=b"orders", value=version)
            assert producer.flush(10) == 0
            until(lambda v=version: live.get("orders") == v, 1.0)  # type: ignore[misc]
