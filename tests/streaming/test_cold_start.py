from __future__ import annotations

import itertools
import threading

import msgspec
import pytest

from stream_monitor.config.settings import Settings
from stream_monitor.profiling.delta import Delta
from stream_monitor.streaming.cold_start import Run, choose_runs, sample_history
from stream_monitor.streaming.delta_messages import BackfillEnd
from stream_monitor.streaming.profiler_process import create_topics, profiler
from tests.apache_kafka.cluster import KafkaCluster
from tests.streaming.profile_readers import START_MS, Installation, until

DAY_MS = 86_400_000


def test_runs_are_whole_panes_apart_within_what_is_retained_and_the_same_for_the_same_seed() -> None:
    for seed in range(50):
        runs = choose_runs(12_345, 7 * DAY_MS, 60_000, runs=24, panes_per_run=30, seed=seed)
        assert runs == choose_runs(12_345, 7 * DAY_MS, 60_000, runs=24, panes_per_run=30, seed=seed)
        assert sum(run.end_ms - run.start_ms for run in runs) == 24 * 30 * 60_000
        assert all(run.start_ms % 60_000 == 0 for run in runs)
        assert runs[0].start_ms >= 12_345
        assert runs[-1].end_ms <= 7 * DAY_MS
        assert all(one.end_ms < other.start_ms for one, other in itertools.pairwise(runs))
    assert choose_runs(0, 7 * DAY_MS, 60_000, runs=3, panes_per_run=5, seed=1) != choose_runs(
        0, 7 * DAY_MS, 60_000, runs=3, panes_per_run=5, seed=2
    )


def test_a_short_log_is_read_as_a_whole() -> None:
    assert choose_runs(30_000, 650_000, 60_000, runs=24, panes_per_run=30, seed=0) == [Run(60_000, 600_000)]
    assert choose_runs(30_000, 90_000, 60_000, runs=24, panes_per_run=30, seed=0) == []


@pytest.fixture
def installation(kafka: KafkaCluster, topic_prefix: str) -> Installation:
    settings = Settings(
        bootstrap_servers=kafka.bootstrap, prefix=topic_prefix, topics=(f"{topic_prefix}-orders",), window_seconds=1.0,
        allowed_lateness_seconds=0.2, flush_seconds=0.3, worker="a",
    )  # fmt: skip
    create_topics(settings)
    return Installation(settings)


def pane_counts(deltas: list[Delta]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for delta in deltas:
        counts[delta.pane_start_ms] = counts.get(delta.pane_start_ms, 0) + delta.profile.records
    return counts


@pytest.mark.kafka
def test_a_sample_is_runs_of_complete_panes_of_all_partitions(installation: Installation) -> None:
    [topic] = installation.settings.topics
    installation.create(topic, 2)
    installation.produce(topic, 20_000, partitions=2)  # 200 panes of 100 records
    told: list[tuple[int, int]] = []
    deltas = list(sample_history(installation.settings, topic, 1000, runs=3, panes_per_run=10, seed=4, progress=lambda *a: told.append(a)))
    assert set(pane_counts(deltas).values()) == {100}
    assert len(pane_counts(deltas)) == 30
    assert [delta.pane_start_ms for delta in deltas] == sorted(delta.pane_start_ms for delta in deltas)
    assert told[-1] == (30, 30)
    again = list(sample_history(installation.settings, topic, 1000, runs=3, panes_per_run=10, seed=4))
    assert [delta.to_bytes() for delta in deltas] == [delta.to_bytes() for delta in again]


@pytest.mark.kafka
def test_all_that_is_retained_can_be_read(installation: Installation) -> None:
    [topic] = installation.settings.topics
    installation.create(topic, 3)
    installation.produce(topic, 15_050, partitions=3)
    deltas = list(sample_history(installation.settings, topic, 1000, runs=None))
    counts = pane_counts(deltas)
    assert sorted(counts) == list(range(START_MS + 1000, START_MS + 149_000, 1000))  # but for the ends
    assert set(counts.values()) == {100}


@pytest.mark.kafka
def test_bounds_on_bytes_and_time_end_a_sample_early_with_whole_panes_only(installation: Installation) -> None:
    [topic] = installation.settings.topics
    installation.create(topic, 1)
    installation.produce(topic, 20_000, partitions=1)
    few = list(sample_history(installation.settings, topic, 1000, runs=None, max_bytes=300_000))
    assert 0 < len(few) < 199
    assert set(pane_counts(few).values()) == {100}
    assert list(sample_history(installation.settings, topic, 1000, max_seconds=0.0)) == []


@pytest.mark.kafka
def test_an_empty_topic_has_no_history(installation: Installation) -> None:
    [topic] = installation.settings.topics
    installation.create(topic, 2)
    assert list(sample_history(installation.settings, topic, 1000)) == []


@pytest.mark.kafka
def test_a_worker_samples_the_history_of_a_topic_new_to_the_group_once_and_says_so(installation: Installation) -> None:
    [topic], names = installation.settings.topics, installation.settings.names
    installation.create(topic, 2)
    installation.produce(topic, 5_000, partitions=2)
    for _ in range(2):
        stop = threading.Event()
        with profiler(installation.settings) as worker:
            thread = threading.Thread(target=worker.run, args=(stop,))
            thread.start()
            try:
                until(lambda: any(event.event == "cold-start.done" for event in installation.status()))
                until(lambda: "|done|" in (installation.committed(topic)[0].metadata or ""))
            finally:
                stop.set()
                thread.join(20)
    assert len([event for event in installation.status() if event.event == "cold-start.done"]) == 1
    assert sum(pane_counts(installation.deltas(topic, b"backfill")).values()) == 4_800
    assert installation.records(topic) == 0
    headers = [(dict(m.headers() or []), m.value() or b"") for m in installation.messages(names.profiles)]
    [end] = [msgspec.json.decode(value, type=BackfillEnd) for header, value in headers if header["kind"] == b"backfill-end"]
    assert end == BackfillEnd(panes=48, records=4_800, complete=True)
    assert len({header["run"] for header, _ in headers if header["kind"].startswith(b"backfill")}) == 1
