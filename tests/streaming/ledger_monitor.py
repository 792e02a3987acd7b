"""A stand-in for `TopicMonitor` that keeps the books: every pane knows which records it was given, and how often.

A delta is JSON here: {"topic", "pane", "records": [ids], "watermark"}. A pane closes when the watermark is past its end. Its verdict says
how many records it had and their sum, so that a record lost, repeated or put in another pane shows. Every third pane opens an incident.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_monitor.alerting.changes import IncidentChange, Span, Status, stable_id
from stream_monitor.alerting.severity import Severity
from stream_monitor.config.commands import Command
from stream_monitor.detection.verdict import Aspect, Finding, Judgement, Metric
from stream_monitor.errors import FormatError
from stream_monitor.streaming.monitoring import Factory

WINDOW_MS = 1000
PADDING = b"\x00" * 700_000


@dataclass(frozen=True)
class LedgerDelta:
    topic: str
    pane_start_ms: int
    records: tuple[int, ...]
    watermark_ms: int
    sources: tuple[Any, ...] = ()

    def to_bytes(self) -> bytes:
        return json.dumps(
            {"topic": self.topic, "pane": self.pane_start_ms, "records": self.records, "watermark": self.watermark_ms}
        ).encode()


class LedgerAssembler:
    """Deltas are whole, but for the value b"half", which waits for one more."""

    def __init__(self) -> None:
        self.pending = 0

    def add(self, chunk: bytes) -> LedgerDelta | None:
        if chunk == b"half":
            self.pending = 1
            return None
        self.pending = 0
        try:
            fields = json.loads(chunk)
            return LedgerDelta(fields["topic"], fields["pane"], tuple(fields["records"]), fields["watermark"])
        except (ValueError, KeyError) as error:
            raise FormatError(f"expected a delta, got {len(chunk)} bytes of something else") from error


@dataclass
class LedgerOutcome:
    verdicts: list[Judgement] = field(default_factory=list)
    changes: list[IncidentChange] = field(default_factory=list)
    reference: Any = None
    statuses: list[dict[str, Any]] = field(default_factory=list)


class LedgerMonitor:
    def __init__(self, topic: str, closed: int = 0, watermark_ms: int = 0, resets: int = 0) -> None:
        self.topic = topic
        self.closed = closed
        self.watermark_ms = watermark_ms
        self.resets = resets
        self.panes: dict[int, list[int]] = {}
        self.run = ""
        self.history: list[int] = []

    @property
    def oldest_open_ms(self) -> int | None:
        return min(self.panes, default=None)

    partition_count = 1

    def forget(self, partition: int) -> None:
        raise AssertionError("a ledger's only partition is always there")

    def merge_history(self, delta: LedgerDelta, run: str) -> None:
        if run != self.run:
            self.run, self.history = run, []
        self.history.extend(delta.records)

    def end_history(self, sensitivity: Any, run: str) -> LedgerOutcome:
        assert run == self.run
        self.run = ""
        return LedgerOutcome(statuses=[{"event": "learned", "message": str(sorted(self.history))}])

    def merge(self, delta: LedgerDelta) -> None:
        if 666 in delta.records:
            raise RuntimeError("a fault in the judging")
        self.watermark_ms = max(self.watermark_ms, delta.watermark_ms)
        if delta.records:
            self.panes.setdefault(delta.pane_start_ms, []).extend(delta.records)

    def advance(self, sensitivity: Any, config_offset: int | None, *, flush: bool = False, backfill: bool = False) -> LedgerOutcome:
        outcome = LedgerOutcome()
        for start in sorted(pane for pane in self.panes if pane + WINDOW_MS <= self.watermark_ms):
            verdict = self._judge(start, self.panes.pop(start), sensitivity)
            outcome.verdicts.append(verdict)
            self.closed += 1
            if self.closed % 3 == 0:
                outcome.changes.append(self._incident(verdict, sensitivity))
        return outcome

    def command(self, command: Command) -> list[dict[str, Any]]:
        self.resets += command.do == "reset"
        return [{"event": "command.accepted", "message": f"reset {self.resets}"}]

    def snapshot_sections(self) -> dict[str, bytes]:
        books = {"topic": self.topic, "closed": self.closed, "watermark": self.watermark_ms, "resets": self.resets}
        return {"books": json.dumps(books).encode(), "padding": PADDING}

    @staticmethod
    def restore(topic: str, sections: Mapping[str, bytes]) -> LedgerMonitor:
        assert sections["padding"] == PADDING
        books = json.loads(sections["books"])
        return LedgerMonitor(topic, books["closed"], books["watermark"], books["resets"])

    def _judge(self, start: int, records: list[int], sensitivity: Any) -> Judgement:
        metric = Metric(Aspect.VOLUME, None, "sum", "ledger", float(sum(records)), len(records), (0.0, 1.0), 1.0)
        period = sensitivity.alerts_per_day
        return Judgement(
            self.topic, start, start + WINDOW_MS, len(records), "ready", period, {}, False, (), (), (metric,), self.closed
        )

    def _incident(self, verdict: Judgement, sensitivity: Any) -> IncidentChange:
        finding = Finding(Aspect.VOLUME, None, "ledger", "sum", 1.0, (0.0, 0.5), 9.0, 1.0, None, ())
        incident = stable_id(self.topic, verdict.start_ms)
        span = Span(verdict.start_ms, verdict.end_ms, verdict.records)
        budget = sensitivity.max_alerts
        return IncidentChange(
            incident, self.topic, "p", Status.OPENED, None, Severity.INFO, span, verdict.start_ms, 1, budget, (finding,), "x"
        )


def ledger_factory() -> Factory:
    return Factory(LedgerMonitor, LedgerMonitor.restore, LedgerAssembler)
