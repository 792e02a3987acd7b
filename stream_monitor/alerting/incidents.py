"""Incidents: runs of alerting windows of one topic with one cause, told as few changes as a person needs.

What joins what. A *cause* is (aspect, field). A finding whose cause an open incident knows belongs to it. The first finding of an
alerting aspect that no incident knows joins the incident that has the same field, else the youngest one opened at most 2 windows ago,
else it opens a new one; the aspect's other unknown findings follow it, and those of aspects that do not alert follow the first of
all. So a renamed field, seen as absent, unknown and of a new type within two windows, is one incident, while nulls that begin
elsewhere an hour later are another.

What is published. The opening; an update when the severity rises, when a cause leads that has not led before, and otherwise every 10
windows; the resolution after 3 windows without a finding. The severity of an incident is the worst so far.

Muted windows are skipped: they neither open nor update nor resolve, and don't count as quiet. An incident that was open when the mute
began stays open, silently; after the mute it goes on or is resolved after 3 quiet windows, so that consumers always get an end.
Back-filled windows and those of a cold start never open one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_monitor.alerting.changes import IncidentChange, Reason, Span, Status, stable_id
from stream_monitor.alerting.explanation import explain
from stream_monitor.alerting.severity import Budget, Severity, severity_of
from stream_monitor.detection.verdict import Aspect, Finding, Judgement
from stream_monitor.errors import FormatError, SensitivityError

__all__ = ["Cause", "Incident", "IncidentBook", "IncidentChange"]

JOIN_WINDOWS = 2
"""Aspects that alert within so many windows of an opening join it."""
UPDATE_WINDOWS = 10
"""An open incident that does not change is told again after so many windows."""
QUIET_WINDOWS = 3
"""Resolved after so many windows without a finding."""
VERSION = 1
"""Of the snapshot."""

Cause = tuple[Aspect, str | None]


@dataclass(slots=True)
class Incident:
    """An open incident. Windows are counted by the book, from 1."""

    id: str
    opened_ms: int
    opened_at: int
    """The window it opened in."""
    published_at: int
    """The window of its last event."""
    severity: Severity
    findings: tuple[Finding, ...]
    """Of the last window that had any."""
    causes: list[Cause] = field(default_factory=list)
    led: list[Cause] = field(default_factory=list)
    """Causes that have led: two that take turns are no news."""
    windows: int = 0
    quiet: int = 0
    rejected: bool = False
    """A user said that this is a fault, not the new normal."""


class IncidentBook:
    """The incidents of one topic. Pure: the same judgements and sensitivities give the same changes and ids.

    Cost: O(findings x open incidents) a window; open incidents are few, as each needs a cause of its own.
    """

    def __init__(self, topic: str, prefix: str = "stream-monitor") -> None:
        self.topic = topic
        self.prefix = prefix
        self._window = 0
        self._span = Span(0, 0, 0)
        self._max_alerts = ""
        self._open: dict[str, Incident] = {}

    @property
    def open(self) -> tuple[Incident, ...]:
        """Open incidents, oldest first."""
        return tuple(self._open.values())

    def update(self, judgement: Judgement, sensitivity: Budget, *, backfill: bool = False) -> list[IncidentChange]:
        """What to publish after this window (windows come in order of time)."""
        self._window += 1
        self._span = Span(judgement.start_ms, judgement.end_ms, judgement.records)
        self._max_alerts = sensitivity.max_alerts
        if backfill or sensitivity.muted(judgement.start_ms) or sensitivity.muted(judgement.end_ms - 1):
            return []
        alerting = judgement.alerting and judgement.state != "cold"
        homes, fresh = self._sort(judgement.findings if alerting else (), judgement.alerting_aspects)
        changes = [self._go_on(incident, homes.get(incident.id, []), sensitivity) for incident in self.open]
        if fresh:
            changes.append(self._start(fresh, sensitivity))
        return [change for change in changes if change]

    def accept(self, incident: str) -> IncidentChange:
        """Resolve it as the new normal, at the last window. What the baseline learns from it is the judge's matter (`causes`).

        Raises:
            SensitivityError: no such incident is open.
        """
        return self._resolve(self.find(incident), Reason.ACCEPTED)

    def reject(self, incident: str) -> Incident:
        """Note that it is a fault; it stays open until the data is back to usual. Raises SensitivityError as `accept`."""
        found = self.find(incident)
        found.rejected = True
        return found

    def clear(self) -> list[IncidentChange]:
        """Resolve all, because the baseline was reset."""
        return [self._resolve(incident, Reason.RESET) for incident in self.open]

    def find(self, incident: str) -> Incident:
        """The open incident with this id. Raises SensitivityError, naming those that are open, if there is none."""
        if incident not in self._open:
            known = ", ".join(list(self._open)[:5]) or "none"
            raise SensitivityError("incident", f"expected the id of an open incident of {self.topic} (open: {known}), got {incident!r}")
        return self._open[incident]

    # ------------------------------------------------------------------------------------------------------------ sorting
    def _sort(self, findings: Sequence[Finding], alerting: Sequence[Aspect]) -> tuple[dict[str, list[Finding]], list[Finding]]:
        """Findings by the incident they belong to, and those of a new one; rank is kept."""
        owners = {cause: incident.id for incident in self.open for cause in incident.causes}
        leads: dict[Aspect, str | None] = {}
        homes: dict[str, list[Finding]] = {}
        fresh: list[Finding] = []
        for finding in findings:
            home = owners.get((finding.aspect, finding.field))
            if home is None:
                may_open = not leads or finding.aspect in alerting
                first = next(iter(leads.values()), None)
                home = leads[finding.aspect] if finding.aspect in leads else self._kin(finding) if may_open else first
            leads.setdefault(finding.aspect, home)
            (fresh if home is None else homes.setdefault(home, [])).append(finding)
        return homes, fresh

    def _kin(self, finding: Finding) -> str | None:
        """The incident that a finding of an unknown cause joins, if any."""
        for incident in self.open:
            if finding.field is not None and any(name == finding.field for _, name in incident.causes):
                return incident.id
        young = [incident for incident in self.open if self._window - incident.opened_at <= JOIN_WINDOWS]
        return young[-1].id if young else None

    # ------------------------------------------------------------------------------------------------------------ changing
    def _start(self, findings: list[Finding], sensitivity: Budget) -> IncidentChange:
        lead = findings[0]
        incident = Incident(
            id=stable_id(self.topic, self._span.start_ms, lead.aspect.value, lead.field),
            opened_ms=self._span.start_ms, opened_at=self._window, published_at=self._window,
            severity=self._severity(findings, sensitivity), findings=tuple(findings),
        )
        self._open[incident.id] = incident
        self._note(incident, findings)
        return self._change(incident, Status.OPENED)

    def _go_on(self, incident: Incident, findings: list[Finding], sensitivity: Budget) -> IncidentChange | None:
        if not findings:
            incident.quiet += 1
            return self._resolve(incident, Reason.QUIET) if incident.quiet >= QUIET_WINDOWS else None
        severity = max(incident.severity, self._severity(findings, sensitivity), key=lambda one: one.rank)
        news = severity is not incident.severity or (findings[0].aspect, findings[0].field) not in incident.led
        incident.severity = severity
        self._note(incident, findings)
        if not news and self._window - incident.published_at < UPDATE_WINDOWS:
            return None
        incident.published_at = self._window
        return self._change(incident, Status.UPDATED)

    def _note(self, incident: Incident, findings: list[Finding]) -> None:
        """Remember what was found; lesser findings become causes only while the incident is young, lest it swallow everything."""
        incident.findings, incident.quiet = tuple(findings), 0
        incident.windows += 1
        young = self._window - incident.opened_at <= JOIN_WINDOWS
        seen: set[Aspect] = set()
        for finding in findings:
            cause = (finding.aspect, finding.field)
            if cause not in incident.causes and (young or finding.aspect not in seen):
                incident.causes.append(cause)
            seen.add(finding.aspect)
        lead = (findings[0].aspect, findings[0].field)
        if lead not in incident.led:
            incident.led.append(lead)

    def _severity(self, findings: list[Finding], sensitivity: Budget) -> Severity:
        return severity_of(findings, self._span.end_ms - self._span.start_ms, sensitivity)

    def _resolve(self, incident: Incident, reason: Reason) -> IncidentChange:
        del self._open[incident.id]
        return self._change(incident, Status.RESOLVED, reason)

    def _change(self, incident: Incident, status: Status, reason: Reason | None = None) -> IncidentChange:
        since = None if status is Status.OPENED else incident.opened_ms
        return IncidentChange(
            incident=incident.id, topic=self.topic, prefix=self.prefix, status=status, reason=reason, severity=incident.severity,
            window=self._span, opened_ms=incident.opened_ms, windows=incident.windows, max_alerts=self._max_alerts,
            findings=incident.findings,
            explanation=explain(self.topic, incident.findings, since_ms=since, windows=incident.windows, reason=reason),
        )

    # --------------------------------------------------------------------------------------------------------------- state
    def snapshot(self) -> dict[str, Any]:
        """All of it, in types that msgpack writes."""
        return {
            "version": VERSION, "topic": self.topic, "prefix": self.prefix, "window": self._window, "max_alerts": self._max_alerts,
            "span": msgspec.to_builtins(self._span), "open": [msgspec.to_builtins(incident) for incident in self.open],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> IncidentBook:
        """The book that `snapshot` wrote, with the same future.

        Raises:
            FormatError: it is of a newer version, or not a snapshot.
        """
        if state.get("version") != VERSION:
            came = state.get("version")
            raise FormatError(f"expected incidents of version {VERSION}, got {came!r}: upgrade stream-monitor, or reset the topic")
        try:
            book = cls(state["topic"], state["prefix"])
            book._window, book._max_alerts = int(state["window"]), str(state["max_alerts"])
            book._span = msgspec.convert(state["span"], Span)
            book._open = {incident.id: incident for incident in msgspec.convert(state["open"], list[Incident])}
        except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
            raise FormatError(f"expected the incidents of a topic, got something else ({error}): reset the topic") from error
        return book
