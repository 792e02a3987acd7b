"""Judgements and sensitivities to feed the alerting tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_monitor.detection.verdict import Aspect, Finding, Judgement, Metric

MINUTE = 60_000
START = 1_795_356_240_000  # 2026-11-22T14:04:00Z


@dataclass
class Wish:
    """Stands for a Sensitivity."""

    max_alerts: str = "1/day"
    alerts_per_day: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    mute: tuple[int, int] = (0, 0)

    def aspect_weight(self, aspect: str, /) -> float:
        return self.weights.get(aspect, 1.0)

    def muted(self, at_ms: int, /) -> str | None:
        return "migration" if self.mute[0] <= at_ms < self.mute[1] else None


def finding(aspect=Aspect.COMPLETENESS, name="email", *, metric="null", observed=0.21, expected=(0.001, 0.004), days=45.2, share=math.nan,
            partitions=None, samples=((3, 991_234),)):
    return Finding(aspect, name, "control_chart", metric, observed, expected, days, share, partitions, samples)


def judgement(window, *findings, state="ready", topic="orders", records=500, alerting=None, aspects=None):
    start = START + window * MINUTE
    metrics = tuple(
        Metric(f.aspect, f.field, f.metric, f.detector, f.observed, records, f.expected, f.return_period_days) for f in findings
    )
    return Judgement(
        topic=topic, start_ms=start, end_ms=start + MINUTE, records=records, state=state,
        return_period_days=max((f.return_period_days for f in findings), default=0.01),
        aspects={f.aspect: f.return_period_days for f in findings}, alerting=bool(findings) if alerting is None else alerting,
        alerting_aspects=aspects or tuple(dict.fromkeys(f.aspect for f in findings)), findings=findings, metrics=metrics, reference=1,
    )
