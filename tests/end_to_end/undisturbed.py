"""The same deltas judged in one process that nothing happens to: what the installation must have said, to the letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_monitor.alerting.cloudevents import cloud_event_json
from stream_monitor.alerting.verdicts import verdict_json
from stream_monitor.config.sensitivity import Sensitivity
from stream_monitor.config.settings import Settings
from stream_monitor.errors import OverlapError
from stream_monitor.monitor import TopicMonitor
from stream_monitor.profiling.delta import Delta
from stream_monitor.streaming.detector_worker import monitor_factory


@dataclass
class Undisturbed:
    """What came of the deltas: as `Journal`."""

    settings: Settings
    offsets: Mapping[tuple[str, int], int | None] = field(default_factory=dict)
    """Topic and start of a window -> offset of the sensitivity document that was in force when it closed."""
    documents: Mapping[int | None, Sensitivity] = field(default_factory=dict)
    """By that offset."""
    verdicts: dict[tuple[str, int], Any] = field(default_factory=dict)
    alerts: dict[str, Any] = field(default_factory=dict)
    records: dict[tuple[str, int], int] = field(default_factory=dict)
    """Topic and start of a pane -> records in the deltas, late ones among them."""
    ranges: dict[tuple[str, int], set[tuple[int, int]]] = field(default_factory=dict)
    """Topic and source partition -> offset ranges of the deltas."""
    refused: int = 0
    _monitors: dict[str, TopicMonitor] = field(default_factory=dict)
    _next_ms: dict[str, int] = field(default_factory=dict)

    def judge(self, deltas: Iterable[Delta]) -> Undisturbed:
        """Takes deltas; those of a topic in the order of the log."""
        new = monitor_factory(self.settings).new
        for delta in deltas:
            self._count(delta)
            if delta.topic not in self._monitors:
                monitor = new(delta.topic)
                assert isinstance(monitor, TopicMonitor)
                self._monitors[delta.topic] = monitor
            self._merge(self._monitors[delta.topic], delta)
        return self

    def _count(self, delta: Delta) -> None:
        pane = (delta.topic, delta.pane_start_ms)
        self.records[pane] = self.records.get(pane, 0) + delta.profile.records + delta.profile.timing.late
        for source in delta.sources:
            if source.end > source.start:
                self.ranges.setdefault((delta.topic, source.partition), set()).add((source.start, source.end))

    def _merge(self, monitor: TopicMonitor, delta: Delta) -> None:
        try:
            monitor.merge(delta)
        except OverlapError:
            self.refused += 1
        # Windows follow each other without gaps, and those that close at once have the same document in force.
        following = self._next_ms.get(delta.topic, monitor.oldest_open_ms or 0)
        offset = self.offsets.get((delta.topic, following))
        outcome = monitor.advance(self.documents.get(offset, Sensitivity.of(None)), offset)
        for verdict in outcome.verdicts:
            self.verdicts[verdict.topic, verdict.start_ms] = orjson.loads(verdict_json(verdict, offset))
            self._next_ms[verdict.topic] = verdict.end_ms
        for change in outcome.changes:
            self.alerts[change.id] = orjson.loads(cloud_event_json(change))
