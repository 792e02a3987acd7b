"""Shifts that stay: when a long incident has become the new normal.

A fault that lasts is either not being mended or not a fault. While windows keep alerting on the same field, the leading
metric's values go to an ADWIN (Bifet and Gavaldà, 2007; river's). When the streak is `ADAPT_AFTER` windows long and ADWIN has
found no change within its last half, the new level is stable: it is accepted, and what was before no longer teaches.
Cost: 1 us a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from river.drift import ADWIN

from stream_monitor.detection.verdict import Finding, Judgement

ADAPT_AFTER = 30
"""Windows."""
TREND = 2.0
"""A second half with a larger trend, in standard scores, still moves."""
QUIET_ENDS = 3
"""Quiet windows in a row that end a streak."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A shift accepted as the new normal."""

    fields: frozenset[str | None]
    since: int
    """Number of the first window of the new normal."""


@dataclass(slots=True)
class ShiftTracker:
    """The streak of alerting windows now, if there is one."""

    since: int = -1
    quiet: int = 0
    values: list[float] = field(default_factory=list)
    """Of the leading metric, window by window."""
    metric: tuple[str, str | None] | None = None
    fields: set[str | None] = field(default_factory=set)

    def update(self, judgement: Judgement, number: int) -> Accepted | None:
        """Follow window `number`; gives what is accepted, once."""
        if not judgement.alerting:
            self.quiet += 1
            if self.since >= 0 and self.quiet >= QUIET_ENDS:
                self.clear()
            return None
        self.quiet = 0
        leading = judgement.findings[0]
        if self.since < 0:
            self.since, self.metric = number, (leading.metric, leading.field)
        self.fields.add(leading.field)
        self._follow(judgement, leading)
        if number - self.since + 1 < ADAPT_AFTER or not is_stable(self.values):
            return None
        accepted = Accepted(frozenset(self.fields), self.since)
        self.clear()
        return accepted

    def _follow(self, judgement: Judgement, leading: Finding) -> None:
        """The value of the metric followed; when it says nothing any more (the field became known, say), the leading one takes over."""
        told = {(metric.name, metric.field): metric.value for metric in judgement.metrics}
        told |= {(finding.metric, finding.field): finding.observed for finding in judgement.findings}
        if self.metric not in told:
            self.metric = (leading.metric, leading.field)
            self.values.clear()
        self.values.append(told[self.metric])

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [self.since, self.quiet, self.values, self.metric, sorted(self.fields, key=lambda path: path or "")]

    @classmethod
    def from_state(cls, state: list[Any]) -> ShiftTracker:
        """Inverse of `to_state`."""
        since, quiet, values, metric, fields = state
        return cls(since, quiet, list(values), tuple(metric) if metric else None, set(fields))

    def clear(self) -> None:
        """No streak."""
        self.since, self.quiet, self.metric = -1, 0, None
        self.values.clear()
        self.fields.clear()


def is_stable(values: list[float]) -> bool:
    """Whether ADWIN finds no change in the second half of the values.

    >>> is_stable([5.0] * 30), is_stable([float(i) for i in range(200)])
    (True, False)
    """
    if len(values) < ADAPT_AFTER // 2:
        return False
    low, high = min(values), max(values)
    adwin: Any = ADWIN(delta=0.05, clock=1, min_window_length=5, grace_period=10)  # type: ignore[no-untyped-call]  # river's signatures are partly annotated
    last = 0
    for place, value in enumerate(values):
        adwin.update((value - low) / (high - low) if high > low else 0.0)
        if adwin.drift_detected:
            last = place
    return last < len(values) // 2 and abs(_trend(values[len(values) // 2 :])) < TREND


def _trend(values: list[float]) -> float:
    """Standard score of Kendall's S (Mann, 1945): positive for what rises. ADWIN is deaf to what moves slowly in few values."""
    n = len(values)
    s = sum((late > early) - (late < early) for place, early in enumerate(values) for late in values[place + 1 :])
    return s / (n * (n - 1) * (2 * n + 5) / 18) ** 0.5 if n > 1 else 0.0
