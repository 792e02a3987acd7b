"""What a run must show, as data: tests assert it, the proof prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream_monitor.evaluation.demo_plan import Planting
from tests.end_to_end.journal import Journal, ms_of
from tests.end_to_end.plans import FIRST, WINDOW_MS, TopicPlan
from tests.end_to_end.run import Run
from tests.end_to_end.undisturbed import Undisturbed


@dataclass(frozen=True)
class Catch:
    """What was said of the window of a planting."""

    topic: str
    planting: Planting
    alerting: bool
    """The verdict of that very window alerts."""
    alert: Any | None
    """The data of the alert that was opened or updated at its end."""

    @property
    def caught(self) -> bool:
        return self.alerting and self.alert is not None


def catches(plans: Sequence[TopicPlan], journal: Journal) -> list[Catch]:
    """One for each planting."""
    alerts = {(data["topic"], ms_of(data["window"]["start"])): data for data in _alerts(journal) if data["status"] != "resolved"}
    return [
        Catch(plan.topic, planting, bool(verdict and verdict["alerting"]), alerts.get(key))
        for plan in plans
        for planting in plan.plantings
        for key in [(plan.topic, planting.first * WINDOW_MS)]
        for verdict in [journal.verdicts.get(key)]
    ]


def false_incidents(plans: Sequence[TopicPlan], journal: Journal) -> list[Any]:
    """Incidents that were opened in a window of a plan in which nothing is planted."""
    by_topic = {plan.topic: plan for plan in plans}
    found = []
    for data in _alerts(journal):
        number, plan = ms_of(data["window"]["start"]) // WINDOW_MS, by_topic[data["topic"]]
        if data["status"] == "opened" and number < plan.end and number not in plan.by_window:
            found.append(data)
    return found


def miscounted(run: Run, undisturbed: Undisturbed) -> dict[tuple[str, int], tuple[int, int]]:
    """Topic and window (from 0) -> (produced, profiled), where they differ."""
    panes = {pane for pane, records in undisturbed.records.items() if records} | set(run.produced)
    counts = {pane: (run.produced[pane], undisturbed.records.get(pane, 0)) for pane in panes}
    return {(topic, start // WINDOW_MS - FIRST): count for (topic, start), count in sorted(counts.items()) if count[0] != count[1]}


def misjudged(run: Run) -> dict[tuple[str, int], tuple[int, int | None]]:
    """Topic and window (from 0) -> (produced, records in its verdict), where a window before the last has not exactly its records."""
    verdicts = run.journal.verdicts
    wanted = {(topic, start): n for (topic, start), n in run.produced.items() if start < (run.next - 1) * WINDOW_MS}
    counts = {key: (n, verdicts[key]["window"]["records"] if key in verdicts else None) for key, n in wanted.items()}
    return {(topic, start // WINDOW_MS - FIRST): count for (topic, start), count in sorted(counts.items()) if count[0] != count[1]}


def broken_ranges(undisturbed: Undisturbed) -> list[str]:
    """Where the offset ranges of a source partition leave a gap or overlap."""
    broken = []
    for (topic, partition), ranges in sorted(undisturbed.ranges.items()):
        reached = 0
        for start, end in sorted(ranges):
            if start != reached:
                broken.append(f"{topic}[{partition}]: expected a range from {reached}, got [{start}, {end})")
            reached = end
    return broken


def different_verdicts(journal: Journal, undisturbed: Undisturbed) -> list[tuple[str, int]]:
    """Topic and window (from 0) of verdicts of which the undisturbed run has others, or none."""
    keys = journal.verdicts.keys() | undisturbed.verdicts.keys()
    return [
        (topic, start // WINDOW_MS - FIRST)
        for topic, start in sorted(keys)
        if journal.verdicts.get((topic, start)) != undisturbed.verdicts.get((topic, start))
    ]


def incident_ids(alerts: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(event, incident, status) of all alerts."""
    return {(event, alert["data"]["incident"], alert["data"]["status"]) for event, alert in alerts.items()}


def _alerts(journal: Journal) -> list[Any]:
    return [alert["data"] for alert in journal.alerts.values()]
