"""A judgement as the JSON document on the verdicts topic (schema: `schemas/verdict.json`)."""

from __future__ import annotations

from typing import Any

import orjson

from stream_monitor.alerting.cloudevents import days, finite
from stream_monitor.alerting.times import iso_time
from stream_monitor.detection.verdict import Judgement, Metric


def verdict_json(judgement: Judgement, config_offset: int | None = None) -> bytes:
    """The document as UTF-8 JSON; `config_offset` is that of the sensitivity document in force, None for the defaults."""
    return orjson.dumps(verdict(judgement, config_offset))


def verdict(judgement: Judgement, config_offset: int | None = None) -> dict[str, Any]:
    """The document as plain types."""
    return {
        "topic": judgement.topic,
        "window": {"start": iso_time(judgement.start_ms), "end": iso_time(judgement.end_ms), "records": judgement.records},
        "return_period_days": days(judgement.return_period_days),
        "aspects": {aspect.value: days(period) for aspect, period in judgement.aspects.items()},
        "alerting": judgement.alerting,
        "metrics": [_metric(metric) for metric in judgement.metrics],
        "reference": judgement.reference,
        "config_offset": config_offset,
        "state": judgement.state,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "aspect": metric.aspect.value,
        "field": metric.field,
        "name": metric.name,
        "value": finite(metric.value),
        "n": metric.n,
        "expected": [finite(limit) for limit in metric.expected],
        "return_period_days": days(metric.return_period_days),
    }
