"""A topic with a past: its retained log is learned in silence, what is planted right after is caught, and its end does not stay open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from stream_monitor.config.settings import Settings
from stream_monitor.evaluation import corruptions
from stream_monitor.evaluation.demo_plan import Planting
from stream_monitor.streaming.inbox import profiles_partition
from tests.apache_kafka.cluster import KafkaCluster
from tests.end_to_end.checks import catches
from tests.end_to_end.journal import committed_deltas, ms_of
from tests.end_to_end.plans import FIRST, WINDOW_MS, SomeFields, TopicPlan, orders_stream
from tests.end_to_end.roles import Roles
from tests.end_to_end.run import Run

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

HISTORY, LIVE = 60, 10
PANE_MS = 20_000
PANES = WINDOW_MS // PANE_MS
LIVE_MS = (FIRST + HISTORY) * WINDOW_MS
"""Start of the first live window…"""
BEGAN_MS = LIVE_MS + PANE_MS // 2
"""…half of which is in the log when the profiler begins."""
TOPIC = "cold-orders"


@dataclass
class Start:
    """A cold start, ten minutes after it, and the silence that followed."""

    run: Run
    before: int
    """Records of the first live window that came before the profiler."""
    learned: dict[int, int]
    """Pane -> records in the back-filled deltas."""
    read: int
    """Records in the others."""


@pytest.fixture(scope="module")
def start(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Two detectors for one topic: one of them has nothing to do until the other dies."""
    stream = SomeFields(orders_stream(5, 240), ("order_id", "email", "status", "quantity", "price", "total"))
    planted = Planting(corruptions.nulls("email"), FIRST + HISTORY + 2, 0.3)
    plan = TopicPlan(TOPIC, stream, HISTORY + LIVE, (planted,))
    settings = Settings(bootstrap_servers=kafka.bootstrap, prefix="cold", window_seconds=PANE_MS / 1000)
    options = ["--flush", "500ms", "--window", "20s", "--set", "kafka.session.timeout.ms=5000"]
    with Roles(kafka.bootstrap, "cold", [TOPIC], tmp_path_factory.mktemp("cold"), options=options) as roles:
        run = Run(settings, [plan], roles, lead=HISTORY + 6)
        run.produce(FIRST + HISTORY)
        halves = [message for message in plan.messages(run.next) if message.timestamp_ms < BEGAN_MS]
        run.send(plan, halves)
        run.flush()
        run.start("profiler-1", "detector-1", "detector-2")
        run.hear(lambda: bool(run.journal.said("baseline.changed")), silence=180)
        run.send(plan, [message for message in plan.messages(run.next) if message.timestamp_ms >= BEGAN_MS])
        run.next += 1
        run.produce(FIRST + HISTORY + 5)
        run.settle()
        roles.kill(owner(run))
        run.produce(FIRST + HISTORY + LIVE)
        run.hear(lambda: any(at_ms >= plan.end * WINDOW_MS for _, at_ms in run.journal.verdicts), silence=180)
        run.hear(lambda: any(ms_of(alert["data"]["window"]["start"]) >= plan.end * WINDOW_MS for alert in run.journal.alerts.values()))
        roles.leave()
        run.journal.hear(0.5)
        learned = Counter[int]()
        for delta in committed_deltas(settings, b"backfill"):
            learned[delta.pane_start_ms] += delta.profile.records
        yield Start(run, len(halves), dict(learned), sum(delta.profile.records for delta in committed_deltas(settings)))
        run.close()


def owner(run: Run) -> str:
    """The detector that judges the topic now, as it says."""
    partition = profiles_partition(TOPIC, 8)
    said = {status["source"]: status["message"] for status in run.journal.said("joined") if status["source"].startswith("detector")}
    (source,) = [source for source, message in said.items() if str(partition) in message.partition("[")[2].partition("]")[0].split(", ")]
    return str(source.partition("@")[2])


def test_the_past_is_learned_in_whole_panes_nearly_all_of_it(start: Start) -> None:
    past = (message.timestamp_ms for number in range(FIRST, FIRST + HISTORY) for message in start.run.plans[0].messages(number))
    produced = Counter(at_ms // PANE_MS * PANE_MS for at_ms in past)
    assert {pane: produced[pane] for pane in start.learned} == start.learned
    # Both ends are told by the 25th record of a partition, so that one odd timestamp does not stretch what is retained.
    assert len(start.learned) >= len(produced) - 6
    assert len(start.run.journal.said("cold-start.done")) == 1


def test_what_came_after_the_start_is_profiled_exactly(start: Start) -> None:
    live = sum(count for (_, at_ms), count in start.run.produced.items() if at_ms >= LIVE_MS)
    assert start.read == live - start.before


def test_the_past_is_neither_judged_nor_alerted(start: Start) -> None:
    assert min(at_ms for _, at_ms in start.run.journal.verdicts) == LIVE_MS
    assert all(alert["time"] > "2026-10-02T09:00:00Z" for alert in start.run.journal.alerts.values())


def test_a_window_of_which_half_came_before_us_is_judged_on_all_but_its_volume(start: Start) -> None:
    first, second = (start.run.journal.verdicts[TOPIC, LIVE_MS + place * PANE_MS] for place in (0, 1))
    assert first["window"]["records"] < 0.7 * second["window"]["records"]
    assert set(second["aspects"]) - set(first["aspects"]) == {"volume"}
    assert [(verdict["state"], verdict["alerting"]) for verdict in (first, second)] == [("ready", False)] * 2


def test_what_is_planted_right_after_the_start_is_caught(start: Start) -> None:
    (found,) = catches(start.run.plans, start.run.journal)
    assert found.caught
    opened = [alert["data"]["window"]["start"] for alert in start.run.journal.alerts.values() if alert["data"]["status"] == "opened"]
    assert [at for at in opened if at < "2026-10-02T09:10:00Z"] == ["2026-10-02T09:02:00Z"]


def test_the_silence_after_the_end_is_an_incident_of_volume(start: Start) -> None:
    silent = [alert["data"] for alert in start.run.journal.alerts.values() if alert["data"]["window"]["start"] >= "2026-10-02T09:10:00Z"]
    assert {data["aspect"] for data in silent if data["status"] == "opened"} == {"volume"}


def test_another_detector_goes_on_with_what_was_learned(start: Start) -> None:
    states = {verdict["state"] for verdict in start.run.journal.verdicts.values()}
    assert states == {"ready"}
    assert start.run.journal.contradictions == []


def test_every_window_is_judged_once_to_the_last_when_the_stream_ends(start: Start) -> None:
    verdicts = start.run.journal.verdicts
    wanted = [LIVE_MS + place * PANE_MS for place in range(LIVE * PANES)]
    assert [(TOPIC, at_ms) for at_ms in wanted if (TOPIC, at_ms) not in verdicts] == []
    judged = sum(verdicts[TOPIC, at_ms]["window"]["records"] for at_ms in wanted)
    assert judged == start.read
