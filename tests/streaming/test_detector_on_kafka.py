"""The detector on Apache Kafka: what is promised about delivery, recovery and hand-over."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.apache_kafka.cluster import KafkaCluster
from tests.streaming.detector_kit import DetectorKit, stop
from tests.streaming.ledger_monitor import LedgerDelta

TOPICS = ("orders", "payments", "clicks", "users")


@pytest.fixture
def kit(kafka: KafkaCluster, topic_prefix: str, tmp_path: Path) -> Iterator[DetectorKit]:
    kit = DetectorKit(kafka.bootstrap, topic_prefix, tmp_path)
    yield kit
    kit.close()


def deltas(panes: range) -> list[LedgerDelta]:
    """Of every topic and pane two deltas, interleaved with those of the next pane, so that a pane is always open."""
    log = []
    for pane in panes:
        for number, topic in enumerate(TOPICS):
            records = tuple(1000 * number + 10 * pane + i for i in range(3 + number))
            log.append(LedgerDelta(topic, pane * 1000, records[:2], pane * 1000 + 100))
            log.append(LedgerDelta(topic, (pane + 1) * 1000, records[2:3], pane * 1000 + 100))
            log.append(LedgerDelta(topic, pane * 1000, records[3:], pane * 1000 + 900))
    return log


def expected(log: list[LedgerDelta]) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, pane) -> records and their sum, of panes that close."""
    sums: dict[tuple[str, int], tuple[int, int]] = {}
    for delta in log:
        count, total = sums.get((delta.topic, delta.pane_start_ms), (0, 0))
        sums[delta.topic, delta.pane_start_ms] = count + len(delta.records), total + sum(delta.records)
    last = {topic: max(delta.watermark_ms for delta in log if delta.topic == topic) for topic in TOPICS}
    return {(topic, pane): value for (topic, pane), value in sums.items() if pane + 1000 <= last[topic]}


def check_verdicts(kit: DetectorKit, log: list[LedgerDelta]) -> dict[tuple[str, int], int]:
    """Every window has the records that it should have, however often its verdict was sent; how often that was."""
    wanted = expected(log)
    found = kit.verdicts(len(wanted))
    windows = {(topic, int(float(start[17:19]) * 1000)): verdicts for (topic, start), verdicts in found.items()}
    got = {window: (v[0]["window"]["records"], int(v[0]["metrics"][0]["value"])) for window, v in windows.items()}
    assert got == wanted
    assert all(verdict == verdicts[0] for verdicts in windows.values() for verdict in verdicts)
    return {window: len(verdicts) for window, verdicts in windows.items()}


def test_a_killed_worker_loses_and_repeats_nothing_that_counts(kit: DetectorKit) -> None:
    worker = kit.start("w")
    kit.statuses("joined")
    log = deltas(range(12))
    for position, delta in enumerate(log):
        kit.send(delta)
        if position in (50, 95):
            worker.send_signal(signal.SIGKILL)
            worker.wait(10)
            worker = kit.start("w")
    check_verdicts(kit, log)
    ids = [json.loads(message.value() or b"")["id"] for message in kit.read("alerts", lambda found: len(found) >= 12, 5.0)]
    assert len(set(ids)) == 4 * 3
    code, seconds = stop(worker)
    assert code == 0
    assert seconds < 10


def test_two_workers_share_the_topics_and_one_takes_over_when_the_other_dies(kit: DetectorKit) -> None:
    kit.start("first")
    kit.statuses("joined")
    second = kit.start("second")
    joined = kit.statuses("joined", 3)
    assert {event["source"] for event in joined} == {"detector@first", "detector@second"}
    log = deltas(range(10))
    for delta in log[:60]:
        kit.send(delta)
    second.send_signal(signal.SIGKILL)
    for delta in log[60:]:
        kit.send(delta)
    check_verdicts(kit, log)


def test_aborted_and_open_transactions_are_not_seen(kit: DetectorKit, kafka: KafkaCluster) -> None:
    worker = kit.start("w", watchdog_seconds=5)
    kit.statuses("joined")
    profiler = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"{kit.prefix}-p", "partitioner": "murmur2_random"})
    profiler.init_transactions(10)
    log = [LedgerDelta("orders", pane * 1000, (pane,), pane * 1000 + 500) for pane in range(6)]
    for delta in log:
        for finish in (profiler.abort_transaction, profiler.commit_transaction):
            profiler.begin_transaction()
            profiler.produce(f"{kit.prefix}.profiles", key="orders", value=delta.to_bytes())
            profiler.flush(10)
            finish(10)
    verdicts = kit.verdicts(5)
    assert [verdicts[key][0]["window"]["records"] for key in sorted(verdicts)] == [1] * 5
    # What ends the log now is an aborted record and markers: a worker with nothing to do must not take that for lag and end itself.
    time.sleep(7)
    assert worker.poll() is None


def test_documents_are_answered_once_and_the_last_valid_one_is_in_force(kit: DetectorKit) -> None:
    workers = [kit.start("first"), kit.start("second")]
    kit.statuses("joined", 2)
    good = kit.produce("config", "orders", b'{"max_alerts": "7/day"}')
    bad = kit.produce("config", "orders", b'{"max_alrts": "9/day"}')
    unknown = kit.produce("config", "*", b'{"aspects": {"volume": 0}}')
    (rejected,) = kit.statuses("config.rejected")
    assert (rejected["topic"], rejected["offset"]) == ("orders", bad)
    assert "max_alrts" in rejected["message"]
    for pane in range(3):
        kit.send(LedgerDelta("orders", pane * 1000, (1,), pane * 1000 + 500))
    verdicts = [verdict for (verdict, *_) in kit.verdicts(2).values()]
    assert {(verdict["return_period_days"], verdict["config_offset"]) for verdict in verdicts} == {(7.0, unknown)}
    for worker in workers:
        assert stop(worker)[0] == 0
    accepted = kit.statuses("config.accepted", 99, timeout=2.0)
    assert sorted(event["offset"] for event in accepted) == [good, unknown]
    assert len(kit.statuses("config.rejected", 99, timeout=2.0)) == 1


def test_commands_are_carried_out_once_over_restarts(kit: DetectorKit) -> None:
    worker = kit.start("w")
    kit.statuses("joined")
    kit.send(LedgerDelta("orders", 0, (1,), 500))
    first = kit.produce("commands", "orders", b'{"do": "reset"}')
    broken = kit.produce("commands", "orders", b'{"do": "explode"}')
    time.sleep(0.5)
    kit.send(LedgerDelta("orders", 1000, (2,), 1500))
    assert [event["offset"] for event in kit.statuses("command.accepted")] == [first]
    assert [event["offset"] for event in kit.statuses("command.rejected")] == [broken]
    assert stop(worker)[0] == 0
    worker = kit.start("w")
    second = kit.produce("commands", "orders", b'{"do": "reset"}')
    kit.statuses("joined", 2)
    time.sleep(0.5)
    kit.send(LedgerDelta("orders", 2000, (3,), 2500))
    answers = kit.statuses("command.accepted", 2)
    assert [(event["offset"], event["message"]) for event in answers] == [(first, "reset 1"), (second, "reset 2")]


def test_what_cannot_be_handled_is_told_and_the_rest_goes_on(kit: DetectorKit) -> None:
    kit.start("w")
    kit.statuses("joined")
    garbage = kit.produce("profiles", "orders", b"secret that is no delta")
    kit.send(LedgerDelta("orders", 0, (666,), 500))
    for pane in range(3):
        kit.send(LedgerDelta("orders", pane * 1000, (pane,), pane * 1000 + 500))
    assert len(kit.verdicts(2)) == 2
    letters = [message.value() or b"" for message in kit.read("dead-letters", lambda found: len(found) >= 2)]
    assert json.loads(letters[0])["offset"] == garbage
    assert json.loads(letters[0])["monitored_topic"] == "orders"
    assert all(b"secret" not in letter and b"666" not in letter for letter in letters)
