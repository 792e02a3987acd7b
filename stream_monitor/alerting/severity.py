"""How much an alert should hurry people: `info`, `warning` or `critical`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from stream_monitor.detection.verdict import Aspect, Finding

CRITICAL_RARITY = 30.0
"""Critical from this many times rarer than what the aspect's share of the budget lets through."""
CRITICAL_SHARE = 0.5
"""Critical from this share of a window's records hit."""
RAREST_CHANCE = 0.01
"""A window is never called surprising above this p-value, however large the budget (DESIGN: p <= min(0.01, ...))."""
MS_PER_DAY = 86_400_000
CALM = frozenset({Aspect.VOLUME, Aspect.TIMELINESS})
"""Aspects that are never more than `info`: the data there is may well be good."""


class Severity(StrEnum):
    """The values are part of the contract; `rank` orders them."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0, 1, 2 from mild to bad."""
        return list(Severity).index(self)


class Budget(Protocol):
    """What alerting needs of a `Sensitivity`."""

    @property
    def max_alerts(self) -> str:
        """As written, e.g. `2/day`."""
        ...

    @property
    def alerts_per_day(self) -> float:
        """The same as a number a day."""
        ...

    def aspect_weight(self, aspect: str, /) -> float:
        """0 switches the aspect off."""
        ...

    def muted(self, at_ms: int, /) -> str | None:
        """Why nothing is published at that time; None if it is."""
        ...


def threshold_days(aspect: Aspect, window_ms: int, budget: Budget) -> float:
    """Return period in days from which the aspect alerts: the inverse of its share of the budget, and at least 100 windows."""
    weights = {other: max(0.0, budget.aspect_weight(other.value)) for other in Aspect}
    alerts_per_day = budget.alerts_per_day * weights[aspect] / (sum(weights.values()) or 1.0)
    shortest = window_ms / MS_PER_DAY / RAREST_CHANCE
    return max(shortest, 1.0 / alerts_per_day) if alerts_per_day > 0 else float("inf")


def alerts_a_day(window_ms: int, budget: Budget) -> float:
    """Alerts a day on healthy data that the budget comes to: fewer than `max_alerts` where windows are so long that 0.01 binds."""
    return sum(1.0 / threshold_days(aspect, window_ms, budget) for aspect in Aspect)


def severity_of(findings: Iterable[Finding], window_ms: int, budget: Budget) -> Severity:
    """Of one window's findings of one incident: `info` if all are of volume and timeliness, else the worst of the others.

    `critical` when an aspect is 30 times rarer than where it alerts, or at least half of the records are hit; else `warning`.
    """
    grave = [finding for finding in findings if finding.aspect not in CALM]
    if not grave:
        return Severity.INFO
    limits = {aspect: CRITICAL_RARITY * threshold_days(aspect, window_ms, budget) for aspect in {finding.aspect for finding in grave}}
    worst = any(finding.share >= CRITICAL_SHARE or finding.return_period_days >= limits[finding.aspect] for finding in grave)
    return Severity.CRITICAL if worst else Severity.WARNING
