"""An incident change as a CloudEvent 1.0, structured mode, JSON: what goes on the alerts topic.

`schemas/alert.json` describes the data. Publishing an event again gives the same bytes: ids are UUIDv5, the time is the window's end.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from stream_monitor.alerting.changes import IncidentChange
from stream_monitor.alerting.times import iso_time
from stream_monitor.detection.verdict import MAX_RETURN_PERIOD_DAYS, Finding

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
"""The `content-type` header of the Kafka message, by which consumers tell structured mode."""


def cloud_event_json(change: IncidentChange) -> bytes:
    """The event as UTF-8 JSON."""
    return orjson.dumps(cloud_event(change))


def cloud_event(change: IncidentChange) -> dict[str, Any]:
    """The event as plain types; NaN and infinities become null in JSON."""
    return {
        "specversion": "1.0",
        "id": change.id,
        "source": f"/stream-monitor/{change.prefix}",
        "type": change.type,
        "subject": change.topic,
        "time": iso_time(change.window.end_ms),
        "datacontenttype": "application/json",
        "data": alert_data(change),
    }


def alert_data(change: IncidentChange) -> dict[str, Any]:
    """The `data` of the event (schema: `schemas/alert.json`)."""
    window = change.window
    return {
        "incident": change.incident,
        "topic": change.topic,
        "status": change.status.value,
        "severity": change.severity.value,
        "window": {"start": iso_time(window.start_ms), "end": iso_time(window.end_ms), "records": window.records},
        "aspect": change.aspect.value,
        "return_period_days": days(change.return_period_days),
        "max_alerts": change.max_alerts,
        "opened": iso_time(change.opened_ms),
        "windows": change.windows,
        "reason": change.reason.value if change.reason else None,
        "findings": [_finding(finding) for finding in change.findings],
        "explanation": change.explanation,
    }


def days(return_period: float) -> float:
    """A return period as documents write it: at most 1e12 days."""
    return min(return_period, MAX_RETURN_PERIOD_DAYS)


def finite(value: float) -> float | None:
    """The number, or None where JSON has none."""
    return value if math.isfinite(value) else None


def _finding(finding: Finding) -> dict[str, Any]:
    data: dict[str, Any] = {
        "aspect": finding.aspect.value,
        "field": finding.field,
        "detector": finding.detector,
        "metric": finding.metric,
        "observed": finite(finding.observed),
        "expected": [finite(limit) for limit in finding.expected],
        "return_period_days": days(finding.return_period_days),
        "samples": [{"partition": partition, "offset": offset} for partition, offset in finding.samples],
    }
    if math.isfinite(finding.share):
        data["share"] = finding.share
    if finding.partitions is not None:
        data["partitions"] = list(finding.partitions)
    return data
