"""Stands for a Monitor: tumbling windows, and an alert when more than half of the values of `v` are null."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from stream_monitor.alerting.changes import IncidentChange
from stream_monitor.alerting.incidents import IncidentBook
from stream_monitor.alerting.verdicts import verdict_json
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
from stream_monitor.detection.verdict import Aspect, Finding, Judgement

COLD_WINDOWS = 2


@dataclass(frozen=True)
class VerdictDouble:
    judgement: Judgement
    changes: tuple[IncidentChange, ...]

    @property
    def score(self):
        return self.judgement.return_period_days

    def to_json(self):
        return verdict_json(self.judgement)


class MonitorDouble:
    def __init__(self, topic, window_seconds=60.0, sensitivity=None):
        self.book = IncidentBook(topic)
        self.sensitivity = Sensitivity.of(None, parse_sensitivity(sensitivity or {}))
        self.window_ms = round(window_seconds * 1000)
        self.pending = []
        self.start = None
        self.judged = 0

    def observe(self, values, timestamps_ms, *, partitions=None, offsets=None, keys=None):
        assert len(values) == len(timestamps_ms) == len(partitions) == len(offsets)
        verdicts = []
        for value, at in zip(values, timestamps_ms, strict=True):
            start = at // self.window_ms * self.window_ms
            if self.start is not None and start > self.start:
                verdicts += self.flush()
            self.start = start
            self.pending.append(json.loads(value).get("v") if value else None)
        return verdicts

    def flush(self):
        if not self.pending:
            return []
        share = sum(value is None for value in self.pending) / len(self.pending)
        alerting = share > 0.5
        found = Finding(Aspect.COMPLETENESS, "v", "control_chart", "null", share, (0.0, 0.1), 90.0, share, None, ())
        self.judged += 1
        judgement = Judgement(
            self.book.topic, self.start, self.start + self.window_ms, len(self.pending), "cold" if self.judged <= COLD_WINDOWS else "ready",
            90.0 if alerting else 0.01, {Aspect.COMPLETENESS: 90.0 if alerting else 0.01, Aspect.VOLUME: 0.001}, alerting,
            (Aspect.COMPLETENESS,) if alerting else (), (found,) if alerting else (), (), 1,
        )
        self.pending = []
        assert math.isfinite(share)
        return [VerdictDouble(judgement, tuple(self.book.update(judgement, self.sensitivity)))]
