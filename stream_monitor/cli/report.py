"""What `replay` shows: progress while it reads, then a summary, as tables or as JSON."""

from __future__ import annotations

from typing import Any, Self

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from stream_monitor.alerting.cloudevents import alert_data, days
from stream_monitor.alerting.incidents import IncidentChange
from stream_monitor.alerting.severity import Budget, alerts_a_day
from stream_monitor.alerting.times import clock_time, iso_time
from stream_monitor.alerting.wording import duration, how_often, number, printable
from stream_monitor.cli.console import make_table, notes
from stream_monitor.clock import Clock
from stream_monitor.evaluation.event_times import SPACED_RECORDS
from stream_monitor.evaluation.files import RecordReader
from stream_monitor.evaluation.replay import Summary, is_open

MAX_INCIDENTS = 20
"""Shown in full; the alerts file has them all."""


class ReplayProgress:
    """A bar with records, rate and time left on standard error; silent when that is no terminal.

    with ReplayProgress(reader, clock) as progress:
        replay(..., on_progress=progress.show)
    """

    def __init__(self, reader: RecordReader, clock: Clock) -> None:
        console = notes()
        self._reader, self._clock, self._started = reader, clock, clock.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("reading", total=reader.bytes_total, records=0, rate=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, records: int) -> None:
        """So many records were read."""
        rate = records / max(1e-9, self._clock.monotonic() - self._started)
        name = printable(self._reader.topic or "reading")
        self._bar.update(self._task, description=name, completed=self._reader.bytes_read, records=records, rate=rate)


def allowed(summary: Summary, budget: Budget, window_ms: int) -> float:
    """Alerts that the budget allows on healthy data of this length."""
    return alerts_a_day(window_ms, budget) * summary.judged_days


def print_summary(console: Console, summary: Summary, budget: Budget, window_ms: int) -> None:
    """Tables: what was read and seen, the incidents, the most surprising windows."""
    states = ", ".join(f"{summary.states[state]:,} {state}" for state in ("cold", "warming", "ready") if summary.states[state])
    limit = number(allowed(summary, budget, window_ms), 2)
    facts = make_table("", "")
    facts.show_header = False
    facts.add_row("topic", printable(summary.topic))
    facts.add_row("records", f"{summary.records:,}")
    facts.add_row("time", f"{_time(summary.start)} to {_time(summary.end)}" if summary.windows else "-")
    facts.add_row("windows", f"{summary.windows:,} of {duration(window_ms)}" + (f" ({states})" if states else ""))
    facts.add_row("state", summary.state)
    facts.add_row("alerts", f"{len(summary.opened):,} seen; {limit} allowed on healthy data ({budget.max_alerts}, {_days(summary)} judged)")
    console.print(facts)
    _print_incidents(console, summary)
    _print_surprising(console, summary)


def _days(summary: Summary) -> str:
    return f"{number(summary.judged_days, 2)} day{'' if summary.judged_days == 1 else 's'}"


def _time(iso: str) -> str:
    return iso.replace("T", " ").removesuffix("Z").removesuffix(":00")


def _print_incidents(console: Console, summary: Summary) -> None:
    if not summary.opened:
        console.print("\nNo incidents.")
        return
    table = make_table("opened (UTC)", "severity", "windows", "what")
    for incident, change in list(summary.opened.items())[:MAX_INCIDENTS]:
        last = summary.latest[incident]
        lasted = f"{last.windows}{', open' if is_open(last) else ''}"
        table.add_row(clock_time(change.opened_ms).removesuffix(" UTC"), last.severity.value, lasted, change.explanation)
    console.print("\nIncidents")
    console.print(table)
    if len(summary.opened) > MAX_INCIDENTS:
        console.print(f"... and {len(summary.opened) - MAX_INCIDENTS} more: write them to a file with --alerts")


def _print_surprising(console: Console, summary: Summary) -> None:
    if not summary.surprising:
        return
    table = make_table("window (UTC)", "records", "on healthy data", "aspects")
    for window in summary.surprising:
        mark = " *" if window.alerting else ""
        table.add_row(_time(window.start) + mark, f"{window.records:,}", how_often(window.return_period_days), ", ".join(window.aspects))
    console.print("\nMost surprising windows" + (" (* alerted)" if any(window.alerting for window in summary.surprising) else ""))
    console.print(table)


def remarks(reader: RecordReader, summary: Summary) -> list[str]:
    """What the user should know about how the files were read."""
    said = []
    if reader.spaced:
        hint = f"; these fields look like a time: {', '.join(map(printable, reader.time_like[:5]))}" if reader.time_like else ""
        said.append(f"no times: {SPACED_RECORDS} records a window, in file order; --timestamp-field names the field that has them{hint}")
    if reader.undated:
        said.append(f"{reader.undated:,} records have no readable time; they took that of the record before them")
    if summary.torn_records:
        said.append(f"not judged: {summary.torn_records:,} at the end that fill less than nine tenths of a window")
    if reader.skipped:
        said.append(f"{reader.skipped:,} lines are no kcat envelopes, and were left out")
    return said


def summary_json(summary: Summary, budget: Budget, window_ms: int, said: list[str]) -> str:
    """The same for programs; incidents are the data of their last alert."""
    return orjson.dumps(
        {
            "topic": summary.topic,
            "records": summary.records,
            "windows": summary.windows,
            "alerting_windows": summary.alerting_windows,
            "start": summary.start or None,
            "end": summary.end or None,
            "state": summary.state,
            "states": dict(summary.states),
            "max_alerts": budget.max_alerts,
            "alerts_allowed": allowed(summary, budget, window_ms),
            "alerts_seen": len(summary.opened),
            "incidents": [_incident(change, summary.opened[incident]) for incident, change in summary.latest.items()],
            "surprising": [
                {
                    "start": window.start,
                    "records": window.records,
                    "return_period_days": days(window.return_period_days),
                    "aspects": window.aspects,
                    "alerting": window.alerting,
                }
                for window in summary.surprising
            ],
            "remarks": said,
        },
        option=orjson.OPT_INDENT_2,
    ).decode()


def _incident(last: IncidentChange, first: IncidentChange) -> dict[str, Any]:
    return {**alert_data(last), "explanation": first.explanation, "opened": iso_time(first.opened_ms)}
