"""What a profiler does when its broker goes away for a while."""

from __future__ import annotations

import signal
import time

import pytest

from stream_monitor.config.settings import Settings
from stream_monitor.streaming.profiler_process import create_topics
from tests.apache_kafka.cluster import KafkaCluster
from tests.conftest import require_kafka
from tests.streaming.profile_readers import Installation, assert_every_offset_once, until
from tests.streaming.test_profiler_on_kafka import QUICK, program, running, senders

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_totals_are_exact_after_the_broker_restarted_and_a_hanging_broker_does_not_hold_up_an_exit() -> None:
    require_kafka()
    with KafkaCluster(brokers=1) as cluster:
        settings = Settings(
            bootstrap_servers=cluster.bootstrap, prefix="p", topics=("orders",), start_from="earliest", flush_seconds=0.3, worker="a",
            kafka=QUICK,
        )  # fmt: skip
        create_topics(settings)
        installation = Installation(settings)
        installation.create("orders", 2)
        with running(settings):
            installation.produce("orders", 1_000, partitions=2)
            until(lambda: installation.committed_total("orders") == 1_000)
            cluster.kill(1)
            cluster.start(1)
            installation.produce("orders", 1_000, partitions=2, first=1_000)
            until(lambda: installation.records("orders") == 2_000, 60)
        assert_every_offset_once(installation.deltas("orders"), dict.fromkeys(range(2), 1_000))
        process = program(settings, "worker-1")
        until(lambda: b"profiler@worker-1" in senders(installation), 60)
        broker = cluster.brokers[1].process
        assert broker is not None
        broker.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1.0)  # the worker is in the middle of a flush now
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) in (0, 1)
        finally:
            broker.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
