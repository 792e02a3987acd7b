"""What is said about an incident at one window, and the ids that make saying it twice harmless."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

import orjson

from stream_monitor.alerting.severity import Severity
from stream_monitor.detection.verdict import Aspect, Finding

NAMESPACE = uuid.UUID("6d1f0a52-54f1-5b83-9a0e-3d1f5c2a7b60")
"""Of every id made here. Part of the contract: another one would give every incident another id."""


class Status(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why an incident was resolved."""

    QUIET = "quiet"
    ACCEPTED = "accepted"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Span:
    """A window as far as an alert tells of it."""

    start_ms: int
    end_ms: int
    records: int


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One incident opened, updated or resolved at the end of one window: what becomes one event on the alerts topic."""

    incident: str
    topic: str
    prefix: str
    status: Status
    reason: Reason | None
    """Why it was resolved; None while it is open."""
    severity: Severity
    """The worst since it opened, so that it can't flap."""
    window: Span
    opened_ms: int
    """Start of the incident's first window."""
    windows: int
    """Windows in which it was seen."""
    max_alerts: str
    findings: tuple[Finding, ...]
    """Ranked, the likeliest cause first; never empty. Those of the last window that had any, when resolved."""
    explanation: str

    @property
    def aspect(self) -> Aspect:
        """Of the likeliest cause."""
        return self.findings[0].aspect

    @property
    def field(self) -> str | None:
        """Of the likeliest cause; None if it is about whole records."""
        return self.findings[0].field

    @property
    def return_period_days(self) -> float:
        """Of the most surprising aspect, after calibration. The likeliest cause may be of another one."""
        return max(finding.return_period_days for finding in self.findings)

    @property
    def type(self) -> str:
        """The CloudEvent's type."""
        return f"stream-monitor.incident.{self.status.value}"

    @property
    def id(self) -> str:
        """The CloudEvent's id: UUIDv5 of incident, type and window."""
        return stable_id(self.incident, self.type, self.window.start_ms)


def stable_id(*parts: str | int | None) -> str:
    """UUIDv5 of the parts written as a JSON array, so that ("a", "b") and ("ab",) differ."""
    return str(uuid.uuid5(NAMESPACE, orjson.dumps(parts).decode()))
