"""The whole line on three brokers of Apache Kafka: two profilers and two detectors, some of them killed, none of it to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from stream_monitor.config.settings import Settings
from stream_monitor.evaluation import corruptions
from stream_monitor.evaluation.demo_plan import Planting
from tests.apache_kafka.cluster import KafkaCluster
from tests.end_to_end.checks import (
    broken_ranges,
    catches,
    different_verdicts,
    false_incidents,
    incident_ids,
    miscounted,
    misjudged,
)
from tests.end_to_end.plans import (
    CENSUS_PLANTED,
    FIRST,
    ORDERS_PLANTED,
    WINDOW_MS,
    RowStream,
    SomeFields,
    TopicPlan,
    census_rows,
    orders_stream,
    plan,
)
from tests.end_to_end.roles import Roles
from tests.end_to_end.run import Run
from tests.end_to_end.tuning import Tuning
from tests.end_to_end.undisturbed import Undisturbed

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

HISTORY, GAP = 40, 5
FIELDS = ("order_id", "email", "payment_method", "coupon", "quantity", "price", "total")
MILD = (
    (corruptions.nulls("occupation"), 0.1),
    (corruptions.replayed(), 0.015),
    (corruptions.dropped(), 0.35),
    (corruptions.nulls("occupation"), 0.2),
    (corruptions.replayed(), 0.03),
    (corruptions.nulls("occupation"), 0.14),
)
"""Most of them worth an alert at 50/day, and not at 0.1/day."""


@dataclass
class Story:
    """What happened: the run, and what the undisturbed one says of its deltas."""

    run: Run
    undisturbed: Undisturbed
    left: dict[str, tuple[int, float]]
    tuning: Tuning


def plans(prefix: str) -> tuple[TopicPlan, TopicPlan]:
    orders = SomeFields(orders_stream(3, 250), FIELDS)
    census = RowStream(census_rows(12_000, 3), 3, 250)
    ordered = [planted for planted in ORDERS_PLANTED if planted[0].fields != ("shipping.weight",)][:4]
    counted = [planted for planted in CENSUS_PLANTED if planted[0].name in ("unit_change", "renamed_field", "replay", "volume_drop")]
    first = plan(f"{prefix}-orders", orders, ordered, history=HISTORY, gap=GAP)
    second = plan(f"{prefix}-census", census, counted, history=HISTORY, gap=GAP)
    starts = (second.end + 1, second.end + 12)
    mild = [Planting(corruption, start + place, share) for start in starts for place, (corruption, share) in enumerate(MILD)]
    mild.append(Planting(corruptions.malformed(), second.end + 21, 0.3))
    return first, replace(second, mild=tuple(mild))


@pytest.fixture(scope="module")
def story(kafka3: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything at once, and then one look after the other at what came of it."""
    settings = Settings(bootstrap_servers=kafka3.bootstrap, prefix="line")
    planned = plans("line-of")
    options = ["--flush", "500ms", "--set", "start_from=earliest", "--set", "cold_start=none", "--set", "kafka.session.timeout.ms=5000"]
    with Roles(kafka3.bootstrap, "line", [one.topic for one in planned], tmp_path_factory.mktemp("line"), options=options) as roles:
        run = Run(settings, planned, roles, lead=12)
        run.start("profiler-1", "profiler-2", "detector-1", "detector-2")
        moments = {14: "profiler-1", 24: "detector-1", 44: "profiler-2", 52: "detector-2"}
        kills = {FIRST + at: partial(run.restart, name, after=1.0) for at, name in moments.items()}
        run.produce(planned[0].end, meanwhile=kills)
        run.settle()
        tuning = Tuning(run, planned[1].topic)
        tuning.all()
        left = roles.leave()
        run.journal.hear(1.0)
        yield Story(run, tuning.undisturbed(), left, tuning)
        run.close()


def test_profiles_hold_exactly_what_was_produced(story: Story) -> None:
    assert miscounted(story.run, story.undisturbed) == {}
    assert broken_ranges(story.undisturbed) == []
    assert story.undisturbed.refused == 0


def test_every_window_has_one_verdict_with_exactly_its_records(story: Story) -> None:
    assert misjudged(story.run) == {}


def test_every_planted_corruption_is_alerted_when_its_window_closes(story: Story) -> None:
    found = catches(story.run.plans, story.run.journal)
    assert len(found) == 8
    assert [(one.topic, one.planting.text) for one in found if not one.caught] == []


def test_at_most_two_incidents_are_about_nothing(story: Story) -> None:
    assert len(false_incidents(story.run.plans, story.run.journal)) <= 2


def test_what_was_said_is_what_an_undisturbed_process_says(story: Story) -> None:
    assert different_verdicts(story.run.journal, story.undisturbed) == []
    assert incident_ids(story.run.journal.alerts) == incident_ids(story.undisturbed.alerts)
    assert story.run.journal.alerts == story.undisturbed.alerts


def test_what_was_said_twice_was_the_same_both_times(story: Story) -> None:
    assert story.run.journal.contradictions == []


@pytest.mark.parametrize(("document", "days"), [("rare", 10.0), ("invalid", 10.0), ("often", 100 * WINDOW_MS / 86_400_000)])
def test_a_budget_is_in_force_from_the_next_window_on(story: Story, document: str, days: float) -> None:
    assert story.tuning.obeyed(document, days)


def test_more_alerts_a_day_let_milder_faults_through(story: Story) -> None:
    assert any(not verdict["alerting"] and verdict["return_period_days"] > 0.07 for verdict in story.tuning.verdicts("rare"))
    assert any(verdict["alerting"] and verdict["return_period_days"] < 10 for verdict in story.tuning.verdicts("often"))
    told = [alert["data"]["max_alerts"] for alert in story.run.journal.alerts.values() if alert["data"]["topic"] == story.tuning.topic]
    assert "50/day" in told


def test_an_aspect_of_weight_0_is_in_no_verdict(story: Story) -> None:
    verdicts = story.tuning.verdicts("blind")
    assert {verdict["config_offset"] for verdict in verdicts} == {story.tuning.offsets["blind"]}
    assert all("conformity" not in verdict["aspects"] for verdict in verdicts)
    assert all("conformity" in verdict["aspects"] for verdict in story.tuning.verdicts("often"))


def test_an_invalid_document_is_rejected_with_the_reason_and_changes_nothing(story: Story) -> None:
    (rejected,) = story.run.journal.said("config.rejected")
    assert (rejected["topic"], rejected["offset"]) == (story.tuning.topic, story.tuning.offsets["invalid"])
    assert "completness" in rejected["message"]


def test_everything_leaves_with_exit_code_0_within_ten_seconds(story: Story) -> None:
    assert {name: code for name, (code, _) in story.left.items()} == dict.fromkeys(
        ("profiler-1", "profiler-2", "detector-1", "detector-2"), 0
    )
    assert max(seconds for _, seconds in story.left.values()) < 10
