"""The profiler on real Apache Kafka: nothing lost, nothing twice, whatever dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka import Producer, TopicPartition

from stream_monitor.config.cluster import Cluster
from stream_monitor.config.settings import Settings
from stream_monitor.streaming.clients import producer_config
from stream_monitor.streaming.commit import CommitProtocol, FencedError, FlushAbortedError, OutgoingMessage
from stream_monitor.streaming.profiler import ProfilerWorker
from stream_monitor.streaming.profiler_process import create_topics, profiler
from tests.apache_kafka.cluster import KafkaCluster
from tests.streaming.profile_readers import START_MS, Installation, assert_every_offset_once, until

pytestmark = pytest.mark.kafka

QUICK = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}


@pytest.fixture
def installation(kafka: KafkaCluster, topic_prefix: str) -> Installation:
    settings = Settings(
        bootstrap_servers=kafka.bootstrap, prefix=topic_prefix, topics=(f"{topic_prefix}-orders",), start_from="earliest",
        flush_seconds=0.3, worker="a", kafka=QUICK,
    )  # fmt: skip
    create_topics(settings)
    return Installation(settings)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[ProfilerWorker]:
    """A worker on a thread of its own, that stops as on SIGTERM."""
    stop = threading.Event()
    failed: list[BaseException] = []
    with profiler(settings) as worker:

        def run() -> None:
            try:
                worker.run(stop)
            except BaseException as error:  # noqa: BLE001 - raised again on the test's thread
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield worker
        finally:
            stop.set()
            thread.join(20)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


class AbortingProtocol:
    """Aborts every so many flushes, as a broker may."""

    def __init__(self, inner: CommitProtocol, every: int) -> None:
        self.inner, self.every, self.calls, self.aborted = inner, every, 0, 0

    def start(self) -> None:
        self.inner.start()

    def commit(self, messages: Sequence[OutgoingMessage], offsets: Sequence[TopicPartition]) -> None:
        self.calls += 1
        if self.calls % self.every == 0:
            self.aborted += 1
            raise FlushAbortedError("for the test")
        self.inner.commit(messages, offsets)


def named(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def program(settings: Settings, worker: str) -> subprocess.Popen[bytes]:
    """`stream-monitor profile` as a process."""
    options = [f"--set={key}={value}" for key, value in {"worker": worker, "start_from": "earliest"}.items()]
    options += [f"--set=kafka.{key}={value}" for key, value in QUICK.items()]
    command = [sys.executable, "-m", "stream_monitor", "profile", "-b", settings.bootstrap_servers, "--prefix", settings.prefix]
    return subprocess.Popen(
        [*command, "-t", settings.topics[0], "--flush", "300ms", *options], env={**os.environ, "PYTHONHASHSEED": worker[-1]}
    )


def senders(installation: Installation) -> set[bytes]:
    return {dict(message.headers() or [])["worker"] for message in installation.messages(installation.settings.names.profiles)}


@pytest.mark.slow
def test_totals_are_exact_when_one_of_two_profilers_is_killed(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 4)
    programs = {name: program(settings, name) for name in ("worker-1", "worker-2")}
    try:
        until(lambda: len(senders(installation)) == 2, 60)
        for part in range(4):
            installation.produce(topic, 10_000, partitions=4, first=10_000 * part)
            if part == 1:
                until(lambda: installation.committed_total(topic) > 0)
                programs["worker-1"].kill()
        until(lambda: installation.committed_total(topic) == 40_000, 60)
        programs["worker-2"].send_signal(signal.SIGTERM)
        assert programs["worker-2"].wait(10) == 0
    finally:
        for process in programs.values():
            process.kill()
            process.wait()
    deltas = installation.deltas(topic)
    assert sum(delta.profile.records for delta in deltas) == 40_000
    assert sum(int(delta.profile.fields["id"].kinds.sum()) for delta in deltas if delta.profile.records) == 40_000
    assert_every_offset_once(deltas, dict.fromkeys(range(4), 10_000))


@pytest.mark.slow
def test_totals_are_exact_when_a_profiler_hangs_until_it_is_replaced_and_then_goes_on(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 4)
    programs = [program(settings, name) for name in ("worker-1", "worker-2")]
    try:
        until(lambda: len(senders(installation)) == 2, 60)
        installation.produce(topic, 10_000, partitions=4)
        programs[0].send_signal(signal.SIGSTOP)
        installation.produce(topic, 10_000, partitions=4, first=10_000)
        until(lambda: installation.committed_total(topic) == 20_000, 60)  # the other has all partitions
        programs[0].send_signal(signal.SIGCONT)
        installation.produce(topic, 10_000, partitions=4, first=20_000)
        until(lambda: installation.committed_total(topic) == 30_000, 60)
        for process in programs:
            process.send_signal(signal.SIGTERM)
        assert programs[1].wait(10) == 0
        programs[0].wait(10)  # 1 if the broker ended its transaction meanwhile
    finally:
        for process in programs:
            process.kill()
            process.wait()
    assert installation.records(topic) == 30_000
    assert_every_offset_once(installation.deltas(topic), dict.fromkeys(range(4), 7_500))


def test_what_was_in_an_aborted_flush_is_read_again(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 2)
    with running(settings) as worker:
        until(lambda: any(t.partitions for t in worker._topics.values()))
        worker._protocol = flaky = AbortingProtocol(worker._protocol, every=2)
        for part in range(6):
            installation.produce(topic, 500, partitions=2, first=500 * part)
        until(lambda: installation.committed_total(topic) == 3_000)
        until(lambda: flaky.aborted >= 2)
    assert installation.records(topic) == 3_000
    assert_every_offset_once(installation.deltas(topic), dict.fromkeys(range(2), 1_500))


def test_totals_are_exact_when_workers_come_and_go(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 3)
    with running(named(settings, worker="a")):
        installation.produce(topic, 3_000, partitions=3)
        until(lambda: installation.committed_total(topic) > 0)
        with running(named(settings, worker="b")) as second:
            until(lambda: any(t.partitions for t in second._topics.values()))
            installation.produce(topic, 3_000, partitions=3, first=3_000)
            until(lambda: installation.committed_total(topic) == 6_000)
        installation.produce(topic, 3_000, partitions=3, first=6_000)
        until(lambda: installation.committed_total(topic) == 9_000)
    assert installation.records(topic) == 9_000
    assert_every_offset_once(installation.deltas(topic), dict.fromkeys(range(3), 3_000))


def test_records_of_aborted_transactions_are_not_profiled_and_do_not_hide_that_all_was_read(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 1)
    writer = Producer(producer_config(settings, "writer", transactional_id=topic))
    writer.init_transactions(20)
    for number in range(3):
        writer.begin_transaction()
        for _ in range(10):
            writer.produce(topic, b'{"id": %d}' % number, timestamp=START_MS + number)
        writer.flush(10)
        (writer.abort_transaction if number == 1 else writer.commit_transaction)(10)
    with running(settings):
        until(lambda: any(source.caught_up for delta in installation.deltas(topic) for source in delta.sources))
    assert installation.records(topic) == 20


def test_an_idle_partition_sends_heartbeats_that_say_so(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 2)
    installation.produce(topic, 100, partitions=1)
    with running(settings):
        until(lambda: max((s.idle_ms for d in installation.deltas(topic) for s in d.sources), default=0) >= 1000)
    last = {source.partition: source for delta in installation.deltas(topic) for source in delta.sources}
    assert last[0].caught_up
    assert last[0].watermark_ms == START_MS + 990
    assert last[1].caught_up
    assert all(delta.partition_count == 2 for delta in installation.deltas(topic))


def test_an_open_transaction_in_a_monitored_topic_keeps_its_partition_from_counting_as_idle(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 1)
    writer = Producer(producer_config(settings, "writer", transactional_id=topic))
    writer.init_transactions(20)
    with running(settings):
        until(lambda: any(s.caught_up for d in installation.deltas(topic) for s in d.sources))
        writer.begin_transaction()
        writer.produce(topic, b'{"id": 1}', timestamp=START_MS)
        writer.flush(10)
        seen = len(installation.deltas(topic))
        until(lambda: len(installation.deltas(topic)) >= seen + 4)
        assert not installation.deltas(topic)[-1].sources[0].caught_up
        writer.commit_transaction(10)
        until(lambda: installation.records(topic) == 1)


def test_a_restart_judges_lateness_as_if_it_had_not_happened(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 1)
    installation.produce(topic, 1000, partitions=1, step_ms=1000)
    with running(settings):
        until(lambda: installation.committed_total(topic) == 1000)
    installation.produce(topic, 5, partitions=1)
    with running(settings):
        until(lambda: installation.committed_total(topic) == 1005)
    assert sum(delta.profile.timing.late for delta in installation.deltas(topic)) == 5


def test_a_topic_new_to_the_group_starts_at_its_end_and_nothing_after_is_lost_in_a_crash(installation: Installation) -> None:
    [topic] = installation.settings.topics
    settings = named(installation.settings, start_from="latest", cold_start="none", flush_seconds=60.0)
    installation.create(topic, 2)
    installation.produce(topic, 100, partitions=2)
    with profiler(settings) as crashed:
        crashed.start()
        while not crashed._topics:
            crashed.step()
        assert {part: at.offset for part, at in installation.committed(topic).items()} == {0: 50, 1: 50}
        installation.produce(topic, 10, partitions=2, first=100)
        crashed._consumer.close()  # leaves without a flush
    with running(named(settings, flush_seconds=0.3)):
        until(lambda: installation.committed_total(topic) == 110)
    assert installation.records(topic) == 10


def test_records_deleted_before_they_were_read_are_counted_and_reported(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 1)
    installation.produce(topic, 100, partitions=1)
    with running(settings):
        until(lambda: installation.committed_total(topic) == 100)
    installation.produce(topic, 100, partitions=1, first=100)
    installation.admin.delete_records([TopicPartition(topic, 0, 130)])
    until(lambda: installation.messages(topic)[0].offset() == 130)
    with running(settings):
        until(lambda: installation.committed_total(topic) == 200)
    assert installation.records(topic) == 170
    [event] = [event for event in installation.status() if event.event == "records.missed"]
    assert event.details == {"partition": 0, "from": 100, "to": 130, "missed": 30}


def test_a_worker_with_the_name_of_another_takes_over_and_the_other_ends(installation: Installation) -> None:
    settings, [topic] = installation.settings, installation.settings.topics
    installation.create(topic, 1)
    installation.produce(topic, 100, partitions=1)
    with pytest.raises(FencedError), running(settings):  # noqa: PT012 - the first ends because of what the second does
        until(lambda: installation.committed_total(topic) == 100)
        with running(settings):
            installation.produce(topic, 100, partitions=1, first=100)
            until(lambda: installation.committed_total(topic) == 200)
    assert installation.records(topic) == 200


def test_topics_on_a_cluster_of_their_own_are_read_at_least_once(installation: Installation) -> None:
    [topic] = installation.settings.topics
    source = Cluster(bootstrap_servers=installation.settings.bootstrap_servers, kafka=QUICK)
    settings = named(installation.settings, source=source)
    installation.create(topic, 2)
    installation.produce(topic, 1000, partitions=2)
    with running(settings):
        until(lambda: installation.committed_total(topic) == 1000)
    assert installation.records(topic) == 1000


def test_an_expression_matches_topics_but_never_our_own(installation: Installation) -> None:
    [topic] = installation.settings.topics
    settings = named(installation.settings, topics=(f"^{installation.settings.prefix}.*",))
    installation.create(topic, 1)
    installation.produce(topic, 100, partitions=1)
    with running(settings) as worker:
        until(lambda: installation.committed_total(topic) == 100)
        assert set(worker._topics) == {topic}
