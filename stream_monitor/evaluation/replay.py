"""Running files through a Monitor, and what came of it. No Kafka, no clock: time is what the records say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from stream_monitor.alerting.changes import IncidentChange, Status
from stream_monitor.evaluation.event_times import parse_time
from stream_monitor.evaluation.files import Chunk

MS_PER_DAY = 86_400_000
TOP_WINDOWS = 5
WHOLE = 0.9
"""A last window whose records end before this part of it is torn: the file ended, not the stream."""


class Verdict(Protocol):
    """What is used of a Monitor's verdict."""

    @property
    def score(self) -> float:
        """Return period in days."""
        ...

    @property
    def changes(self) -> Sequence[IncidentChange]:
        """Incidents that opened, changed or ended with this window."""
        ...

    def to_json(self) -> bytes | str:
        """The verdict document."""
        ...


class Observer(Protocol):
    """What is used of a Monitor."""

    def observe(
        self, values: Sequence[bytes | None], timestamps_ms: Sequence[int], *, partitions: Sequence[int] | None = None,
        offsets: Sequence[int] | None = None, keys: Sequence[bytes | None] | None = None,
    ) -> Sequence[Verdict]:
        """Verdicts of the windows that closed."""
        ...

    def flush(self) -> Sequence[Verdict]:
        """Closes what is open."""
        ...


@dataclass(frozen=True, slots=True)
class SurprisingWindow:
    """One of the most surprising windows."""

    start: str
    records: int
    return_period_days: float
    aspects: tuple[str, ...]
    """The most surprising first, three at most."""
    alerting: bool


@dataclass(slots=True)
class Summary:
    """What came of a replay. Its size depends on the incidents, not on the windows."""

    topic: str
    records: int = 0
    windows: int = 0
    alerting_windows: int = 0
    states: Counter[str] = field(default_factory=Counter)
    """Windows by state: cold, warming, ready."""
    state: str = "cold"
    """Of the last window."""
    start: str = ""
    end: str = ""
    judged_days: float = 0.0
    """Length of the windows that were not cold: those that could alert."""
    opened: dict[str, IncidentChange] = field(default_factory=dict)
    """First change of each incident, by its id, in order."""
    latest: dict[str, IncidentChange] = field(default_factory=dict)
    """Last change of each incident."""
    torn_records: int = 0
    """In a last window that was not judged because the files end early in it."""
    surprising: list[SurprisingWindow] = field(default_factory=list)
    """The most surprising windows, most surprising first."""

    def add(self, verdict: Verdict, document: dict[str, Any]) -> None:
        """Take one window into account; `document` is the decoded verdict."""
        window = document["window"]
        self.windows += 1
        self.state = document["state"]
        self.states[self.state] += 1
        self.start, self.end = self.start or window["start"], window["end"]
        self.alerting_windows += bool(document["alerting"])
        if self.state != "cold":
            self.judged_days += ((parse_time(window["end"]) or 0) - (parse_time(window["start"]) or 0)) / MS_PER_DAY
            self._rank(verdict.score, document)
        for change in verdict.changes:
            self.opened.setdefault(change.incident, change)
            self.latest[change.incident] = change

    def _rank(self, score: float, document: dict[str, Any]) -> None:
        if len(self.surprising) == TOP_WINDOWS and score <= self.surprising[-1].return_period_days:
            return
        aspects = sorted(document["aspects"], key=lambda aspect: -document["aspects"][aspect])[:3]
        window = document["window"]
        self.surprising.append(SurprisingWindow(window["start"], window["records"], score, tuple(aspects), document["alerting"]))
        self.surprising.sort(key=lambda one: -one.return_period_days)
        del self.surprising[TOP_WINDOWS:]


Sink = Callable[[bytes], None]
"""Takes one JSON document."""


def replay(
    topic: str, monitor: Observer, chunks: Iterable[Chunk], *, on_verdict: Sink = lambda document: None,
    on_change: Callable[[IncidentChange], None] = lambda change: None, on_progress: Callable[[int], None] = lambda records: None,
) -> Summary:
    """Feed all chunks to `monitor` and close what is open at the end.

    Args:
        topic: for the summary.
        monitor: new, or with a past.
        chunks: in order.
        on_verdict: given each verdict document.
        on_change: given each incident change, after the verdict of its window.
        on_progress: given the number of records read so far, after each chunk.
    """
    summary = Summary(topic)

    def take(verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            document = _json(verdict)
            summary.add(verdict, orjson.loads(document))
            on_verdict(document)
            for change in verdict.changes:
                on_change(change)

    last_ms = 0
    for chunk in chunks:
        take(monitor.observe(chunk.values, chunk.timestamps_ms, partitions=chunk.partitions, offsets=chunk.offsets, keys=chunk.keys))
        summary.records += len(chunk.values)
        last_ms = max(last_ms, *chunk.timestamps_ms)
        on_progress(summary.records)
    verdicts = monitor.flush()
    if len(verdicts) + summary.windows > 1 and verdicts and _is_torn(verdicts[-1], last_ms):
        summary.torn_records = orjson.loads(_json(verdicts[-1]))["window"]["records"]
        verdicts = verdicts[:-1]
    take(verdicts)
    return summary


def _json(verdict: Verdict) -> bytes:
    text = verdict.to_json()
    return text if isinstance(text, bytes) else text.encode()


def _is_torn(verdict: Verdict, last_ms: int) -> bool:
    """Whether the records end early in this window, the last one."""
    window = orjson.loads(_json(verdict))["window"]
    start, end = parse_time(window["start"]) or 0, parse_time(window["end"]) or 0
    return start <= last_ms < start + WHOLE * (end - start)


def is_open(change: IncidentChange) -> bool:
    """Whether the incident goes on after this change."""
    return change.status is not Status.RESOLVED
