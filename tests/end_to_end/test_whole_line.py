"""The whole line on three brokers of Apache Kafka: two profilers and two detectors, some of them killed, none of it to be seen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stream_monitor.cli.topic_reader import write
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
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
from tests.end_to_end.journal import committed_deltas
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
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Name of a document -> its offset on the config topic."""
    windows: dict[str, range] = field(default_factory=dict)
    """Name of a document -> windows of the tuned topic that must be judged by it."""

    @property
    def tuned(self) -> str:
        return self.run.plans[1].topic

    def verdicts(self, document: str) -> list[Any]:
        """Of the tuned topic, under a document."""
        return [self.run.journal.verdicts[self.tuned, number * WINDOW_MS] for number in self.windows[document]]


def plans(prefix: str) -> tuple[TopicPlan, TopicPlan]:
    orders = SomeFields(orders_stream(3, 250), FIELDS)
    census = RowStream(census_rows(12_000, 3), 3, 250)
    ordered = [planted for planted in ORDERS_PLANTED if planted[0].fields != ("shipping.weight",)][:4]
    counted = [planted for planted in CENSUS_PLANTED if planted[0].name in ("unit_change", "renamed_field", "replay", "volume_drop")]
    first, second = plan(f"{prefix}-orders", orders, ordered, history=HISTORY, gap=GAP), plan(
        f"{prefix}-census", census, counted, history=HISTORY, gap=GAP
    )
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
    with Roles(kafka3.bootstrap, "line", [one.topic for one in planned], tmp_path_factory.mktemp("line"), options=options[2:]) as roles:
        run = Run(settings, planned, roles, lead=12)
        for name in ("profiler-1", "profiler-2"):
            roles.start(name, options=options[:2])
        for name in ("detector-1", "detector-2"):
            roles.start(name)
        run.hear(lambda: len(run.journal.said("joined")) >= 4)

        def kill(name: str) -> None:
            roles.kill(name)
            run.later(1.0, lambda: roles.start(name, options=options[:2] if name.startswith("profiler") else ()))

        run.produce(
            planned[0].end,
            meanwhile={
                FIRST + 14: lambda: kill("profiler-1"),
                FIRST + 24: lambda: kill("detector-1"),
                FIRST + 44: lambda: kill("profiler-2"),
                FIRST + 52: lambda: kill("detector-2"),
            },
        )
        run.settle()
        story = Story(run, Undisturbed(settings), {})
        retune(story, kafka3.bootstrap)
        story.left = roles.leave()
        run.journal.hear(1.0)
        story.undisturbed = undisturbed(story, settings)
        yield story
        run.close()


def retune(story: Story, bootstrap: str) -> None:
    """Four documents for the census, one of them invalid, with windows under each."""
    run = story.run

    def under(document: str, windows: int) -> None:
        began = run.next - 1  # the window that is still open is the next to be judged
        run.produce(run.next + windows)
        run.settle()
        story.windows[document] = range(began, run.next - 1)

    def tune(document: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "stream_monitor", "tune", story.tuned, "-b", bootstrap, "--prefix", "line", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        run.hear(lambda: len(run.journal.said("config.accepted", story.tuned)) > len(story.acknowledged) - ("invalid" in story.acknowledged))
        story.acknowledged[document] = run.journal.said("config.accepted", story.tuned)[-1]["offset"]

    tune("rare", "--max-alerts", "0.1/day")
    under("rare", 7)
    story.acknowledged["invalid"] = write(
        run.settings, run.settings.names.config, story.tuned, b'{"max_alerts": "99/day", "aspects": {"completness": 0}}'
    )
    run.hear(lambda: bool(run.journal.said("config.rejected")))
    under("invalid", 4)
    tune("often", "--max-alerts", "50/day")
    under("often", 8)
    tune("blind", "--aspect", "conformity=0")
    under("blind", 4)


def undisturbed(story: Story, settings: Settings) -> Undisturbed:
    """One process, fed with what the profilers committed, with the same documents in force at the same windows."""
    offsets = {window: verdict["config_offset"] for window, verdict in story.run.journal.verdicts.items()}
    often = {"max_alerts": "50/day"}
    contents = {"rare": {"max_alerts": "0.1/day"}, "often": often, "blind": {**often, "aspects": {"conformity": 0}}}
    documents = {story.acknowledged[name]: Sensitivity.of(None, parse_sensitivity(content)) for name, content in contents.items()}
    return Undisturbed(settings, offsets, documents).judge(committed_deltas(settings))


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


@pytest.mark.parametrize(("document", "days"), [("rare", 10.0), ("often", 100 * WINDOW_MS / 86_400_000)])
def test_a_budget_is_in_force_from_the_next_window_on(story: Story, document: str, days: float) -> None:
    verdicts = story.verdicts(document)
    assert {verdict["config_offset"] for verdict in verdicts} == {story.acknowledged[document]}
    assert [verdict["alerting"] for verdict in verdicts] == [verdict["return_period_days"] >= days for verdict in verdicts]


def test_more_alerts_a_day_let_milder_faults_through(story: Story) -> None:
    assert any(not verdict["alerting"] and verdict["return_period_days"] > 0.07 for verdict in story.verdicts("rare"))
    assert any(verdict["alerting"] and verdict["return_period_days"] < 10 for verdict in story.verdicts("often"))
    told = [alert["data"]["max_alerts"] for alert in story.run.journal.alerts.values() if alert["data"]["topic"] == story.tuned]
    assert "50/day" in told


def test_an_aspect_of_weight_0_is_in_no_verdict(story: Story) -> None:
    verdicts = story.verdicts("blind")
    assert {verdict["config_offset"] for verdict in verdicts} == {story.acknowledged["blind"]}
    assert all("conformity" not in verdict["aspects"] for verdict in verdicts)
    assert all("conformity" in verdict["aspects"] for verdict in story.verdicts("often"))


def test_an_invalid_document_is_rejected_with_the_reason_and_changes_nothing(story: Story) -> None:
    (rejected,) = story.run.journal.said("config.rejected")
    assert (rejected["topic"], rejected["offset"]) == (story.tuned, story.acknowledged["invalid"])
    assert "completness" in rejected["message"]
    assert {verdict["config_offset"] for verdict in story.verdicts("invalid")} == {story.acknowledged["rare"]}


def test_everything_leaves_with_exit_code_0_within_ten_seconds(story: Story) -> None:
    assert {name: code for name, (code, _) in story.left.items()} == dict.fromkeys(
        ("profiler-1", "profiler-2", "detector-1", "detector-2"), 0
    )
    assert max(seconds for _, seconds in story.left.values()) < 10
