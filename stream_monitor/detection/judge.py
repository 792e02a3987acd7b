"""The judge of one topic: windows in, judgements out, learning as it goes.

A window's metrics are judged by charts (detection/charts.py), their largest surprises are calibrated to return periods
(calibration.py), and causes are named (attribution.py). Then the window is remembered: clipped at a fixed gate, so that it
teaches without leading, and its rows teach the next reference except for the fields under suspicion. References are
re-trained on a geometric schedule (training.py). Pure: no clock, no randomness but the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import exp, log10

import numpy as np
from numpy.typing import NDArray

from stream_monitor.config.sensitivity import Sensitivity
from stream_monitor.detection.attribution import Cause, attribute
from stream_monitor.detection.calibration import Calibration
from stream_monitor.detection.diagnosis import Symptoms, aspect_of
from stream_monitor.detection.findings import findings, listed, readable
from stream_monitor.detection.lasting import Lasting, scores
from stream_monitor.detection.memory import Memory, Remembered
from stream_monitor.detection.pool import PaneRows
from stream_monitor.detection.profile_metrics import read_profile
from stream_monitor.detection.readings import Layer, Readings, Spec, Table
from stream_monitor.detection.samples import Witnesses
from stream_monitor.detection.schedule import first_training, next_training
from stream_monitor.detection.scoped_charts import ScopedCharts
from stream_monitor.detection.shift import ShiftTracker
from stream_monitor.detection.training import measure_rows, measure_whole, notable, retrain
from stream_monitor.detection.verdict import Aspect, Judgement
from stream_monitor.detection.volume import VolumeForecast
from stream_monitor.profiling.panes import Window
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.reference import Reference

Floats = NDArray[np.float64]

DAY_MS = 86_400_000
WHOLE_FROM = 1.5
"""Windows with so many times the judged rows are measured as a whole too: for faults too rare for a sample."""
JUDGED_ROWS = 640
"""Rows of the sample that are measured against the reference, in history and live alike."""
MOST_PATHS = 256
"""Fields with metrics; the most often seen ones."""
GATE = 4.0
"""-log10 p from which a metric is clipped before it teaches, and its field's rows don't teach the reference. Independent of the budget."""
MOST_SIGHTED = 4096
"""Paths counted, for choosing those that get metrics."""
SIGHTED_SHARE = 0.05
"""A field seen in fewer windows is still unknown: one renamed field in history must not become healthy."""
EXACT_EXPONENT = 300.0
"""Return periods beyond 10^300 days are squeezed below the largest float, in order."""
NEVER = 2**62
READY = 30
"""Windows of history from which limits are no longer called wide."""


class Judge:
    """Everything known about one topic's healthy data."""

    def __init__(self, topic: str, window_ms: int, seed: int = 0) -> None:
        self.topic, self.window_ms, self.seed = topic, window_ms, seed
        self.memory = Memory()
        self.reference: Reference | None = None
        self.patterns: dict[int, str] = {}
        self.paths: tuple[str, ...] = ()
        self.sightings: Counter[str] = Counter()
        self.judged = 0
        self.train_at = first_training()
        self.trained_ms = 0
        self.fitted = -1
        """Number of the last window that the charts in force have learned from."""
        self.left_out = -1
        """Number of the first window of the streak that was under way then, and must not teach before it is over or accepted."""
        self.shift = ShiftTracker()
        self.volume = VolumeForecast(window_ms)
        self.lasting = Lasting(np.zeros(0), np.zeros(0))
        self.lasting_specs: tuple[Spec, ...] = ()
        self.absorbed: frozenset[str | None] = frozenset()
        """Fields whose shift the last window made the new normal."""
        self._charts: ScopedCharts | None = None
        self._calibration: Calibration | None = None

    @property
    def state(self) -> str:
        """`cold`, `warming` or `ready`."""
        if self.reference is None:
            return "cold"
        return "ready" if len(self.memory) >= READY else "warming"

    @property
    def wants_whole(self) -> bool:
        """Whether windows usually hold so many records that profilers should measure all of them."""
        return (self.usual_records or 0.0) >= WHOLE_FROM * JUDGED_ROWS

    @property
    def usual_records(self) -> float | None:
        """Records that a healthy window has, in the middle of them; None while nothing is known."""
        return exp(self.volume.level) - 1 if self.reference is not None else None

    @property
    def window_days(self) -> float:
        """Length of a window."""
        return self.window_ms / DAY_MS

    def judge(self, window: Window, sensitivity: Sensitivity, *, learn: bool = True) -> Judgement:
        """Conclude about the next window, and learn from it unless told not to. About 10 ms for 15 fields; a re-training takes seconds."""
        self.absorbed = frozenset()
        rows = sampled_rows(window.profile)
        metrics = self._read(window, rows)
        if self.reference is None:
            judgement = self._unjudged(window)
            surprise = np.zeros(len(metrics.specs))
        else:
            charts, calibration = self._fit(sensitivity)
            read, metrics = metrics, metrics.aligned(charts.specs)
            surprise = charts.surprise(metrics)[0]
            slow = self._follow(metrics, surprise, charts, learn=learn)
            surprise, slower = np.maximum(surprise, slow), slow > surprise
            judgement = self._conclude(window, metrics, surprise, charts, calibration, slower)
            suspended = judgement.alerting or self.shift.since >= 0  # kept as it is until it is known what it is
            metrics = (metrics if suspended else charts.censored(metrics, GATE)).beside(read.without(charts.specs))
        if learn and sensitivity.adaptation != "frozen":
            self._learn(window, rows, metrics, surprise, judgement, sensitivity)
        return judgement

    @contextmanager
    def training_once(self) -> Iterator[None]:
        """While many past windows are judged: trains once, at the end, instead of again and again as they come."""
        due, self.train_at = self.train_at, NEVER
        try:
            yield
        finally:
            self.train_at = due
        if self.judged >= due and self.memory.windows:
            self._train(self.memory.windows[-1].start_ms + self.window_ms)

    def accept(self, fields: frozenset[str | None], since_ms: int, now_ms: int) -> None:
        """Take what `fields` do since `since_ms` as the new normal, and train anew."""
        since = next((window.number for window in self.memory.windows if window.start_ms >= since_ms), self.judged)
        self.memory.accept_shift(fields, since)
        self.shift.clear()
        self._accept_volume(fields)
        if self.reference is not None:
            self._train(now_ms, keep_schedule=True)

    def _accept_volume(self, fields: frozenset[str | None]) -> None:
        if None in fields:
            self.volume = VolumeForecast(self.window_ms)

    def reject(self, fields: frozenset[str | None], since_ms: int) -> None:
        """What `fields` did since `since_ms` was a fault: it never teaches."""
        self.memory.forget(fields, since_ms)
        self.shift.clear()
        self._refit()

    def _read(self, window: Window, rows: PaneRows) -> Table:
        readings = Readings()
        error = self.volume.error(window.start_ms, self._rate(window))
        read_profile(readings, window.profile, self.paths or sorted(window.profile.fields)[:MOST_PATHS], error, self._repeating())
        own = Table.of(readings, window.start_ms)
        if self.reference is None:
            return own
        table = own.beside(measure_rows(rows, self.reference, window.start_ms))
        vector = window.profile.measured.get(self.reference.version)
        if vector is None or vector[0] < WHOLE_FROM * JUDGED_ROWS:
            return table
        return table.beside(measure_whole(vector, self.reference, window.start_ms))

    def _repeating(self) -> frozenset[str]:
        return frozenset(f.path for f in self.reference.structure.fields if f.repeating) if self.reference else frozenset()

    def _rate(self, window: Window) -> float:
        """Records in a window of the usual length."""
        return window.profile.records * self.window_ms / max(window.end_ms - window.start_ms, self.window_ms)

    def _fit(self, sensitivity: Sensitivity) -> tuple[ScopedCharts, Calibration]:
        """Charts and calibration of the windows up to `fitted`; the same after a restore."""
        streak = self.left_out if self.left_out >= 0 else NEVER
        upto = np.array([window.number <= self.fitted and window.number < streak for window in self.memory.windows], np.bool_)
        if self._charts is None:
            self._charts = ScopedCharts(self.memory.lessons(self.memory.table).rows(upto))
        if self._calibration is None or self._calibration.sensitivity != sensitivity:
            known = [window for window, kept in zip(self.memory.windows, upto, strict=True) if kept]
            self._calibration = Calibration(known, sensitivity)
        return self._charts, self._calibration

    def _follow(self, metrics: Table, surprise: Floats, charts: ScopedCharts, *, learn: bool) -> Floats:
        """What EWMA and CUSUM say after this window."""
        if self.lasting_specs is not charts.specs:
            place = {spec: i for i, spec in enumerate(self.lasting_specs)}
            self.lasting = self.lasting.aligned(np.array([place.get(spec, -1) for spec in charts.specs], np.int64))
            self.lasting_specs = charts.specs
        chart = self.lasting if learn else replace(self.lasting)
        return chart.update(scores(surprise, charts.above(metrics)[0]), surprise > GATE)

    def _conclude(
        self, window: Window, metrics: Table, surprise: Floats, charts: ScopedCharts, calibration: Calibration, slow: NDArray[np.bool_]
    ) -> Judgement:
        noted = notable(charts.specs, surprise)
        found = calibration.judge(noted)
        hushed = calibration.is_hushed(noted)
        alerting = calibration.alerting(found, self.window_days)
        usable = np.array([
            calibration.sensitivity.weight(spec.aspect, spec.field) > 0
            and (spec.other is None or calibration.sensitivity.weight(spec.aspect, spec.other) > 0)
            and not (hushed and spec.layer == Layer.RELATION)
            for spec in charts.specs
        ])
        aspects = {aspect: self._days(value) for aspect, value in found.aspects.items()}
        causes = self._causes(window, metrics, np.where(usable, surprise, 0.0), alerting) if alerting else []
        causes = [replace(cause, detector="ewma_cusum") if slow[cause.metric] else cause for cause in causes]
        named = findings(causes, metrics, charts, aspects, Witnesses(window.profile, self.reference))
        leading = tuple(dict.fromkeys([*(finding.aspect for finding in named[:1]), *alerting]))
        return Judgement(
            topic=self.topic, start_ms=window.start_ms, end_ms=window.end_ms, records=window.profile.records, state=self.state,
            return_period_days=self._days(found.window), aspects=aspects, alerting=bool(alerting), alerting_aspects=leading,
            findings=named, metrics=listed(metrics, surprise, charts, self.window_days, self.reference),
            reference=self.reference.version if self.reference else 0,
        )

    def _causes(self, window: Window, metrics: Table, surprise: Floats, alerting: tuple[Aspect, ...]) -> list[Cause]:
        """Named in readable metrics, with the aspect that the symptoms of the field speak for."""
        out = []
        for cause in attribute(metrics.specs, surprise, alerting):
            spec = metrics.specs[cause.metric]
            aspect = spec.aspect
            if cause.field is not None and spec.layer not in (Layer.RECORD, Layer.FLOW):
                columns = window.profile.sample.columns
                symptoms = Symptoms(cause.field, metrics.specs, surprise, metrics.first[0], columns, self.reference, self._texts(window))
                aspect = aspect_of(symptoms, spec.layer)
            path = self._stranger(window) if spec.name == "unknown_field" else cause.field
            out.append(replace(cause, aspect=aspect, field=path, metric=readable(metrics.specs, surprise, cause.metric)))
        return out

    def _stranger(self, window: Window) -> str | None:
        """The unknown field that most records have."""
        seen = {path: field.observed for path, field in window.profile.fields.items() if path not in self.paths and not field.elements}
        return max(sorted(seen), key=lambda path: seen[path], default=None)

    def _texts(self, window: Window) -> dict[int, str]:
        """Pattern texts, those that are new in this window among them."""
        return self.patterns | {mask: text for field in window.profile.fields.values() for mask, text in field.patterns.texts.items()}

    def _days(self, surprise: float) -> float:
        """Return period of a calibrated surprise; strictly monotone up to the largest float."""
        exponent = surprise + log10(self.window_days)
        over = max(exponent - EXACT_EXPONENT, 0.0)
        return float(10.0 ** (min(exponent, EXACT_EXPONENT) + 7 * over / (over + 1000)))

    def _unjudged(self, window: Window) -> Judgement:
        return Judgement(
            topic=self.topic, start_ms=window.start_ms, end_ms=window.end_ms, records=window.profile.records, state=self.state,
            return_period_days=0.0, aspects={}, alerting=False, alerting_aspects=(), findings=(), metrics=(), reference=0,
        )

    def _learn(
        self, window: Window, rows: PaneRows, metrics: Table, surprise: Floats, judgement: Judgement, sensitivity: Sensitivity
    ) -> None:
        odd = (metrics.specs[place].field for place in np.flatnonzero(surprise > GATE).tolist())
        suspects = frozenset(path for path in odd if path is not None)
        found = notable(metrics.specs, surprise) if len(surprise) else ()
        self.memory.remember(Remembered(self.judged, window.start_ms, found, rows.to_bytes(), suspects), metrics)
        for path, field in window.profile.fields.items():
            if path in self.sightings or len(self.sightings) < MOST_SIGHTED:
                self.sightings[path] += 1
            if len(self.patterns) < 10_000:
                self.patterns.update(field.patterns.texts)
        self.volume.learn(window.start_ms, self._rate(window))
        self.judged += 1
        streak = self.shift.since
        accepted = self.shift.update(judgement, self.judged - 1)
        if streak >= 0 and self.shift.since < 0 and accepted is None:
            self._clip(streak)
        if accepted is not None and sensitivity.adaptation != "scheduled":
            self.absorbed = accepted.fields
            self._accept_volume(accepted.fields)
            self.memory.accept_shift(accepted.fields, accepted.since)
            self._train(window.end_ms, keep_schedule=True)
        elif self._is_due(window.end_ms, sensitivity.adaptation):
            self._train(window.end_ms)
        elif self.reference is not None and self.judged - 1 - self.fitted > len(self.memory) // 25:
            self.memory.thin()
            self._refit()

    def _clip(self, since: int) -> None:
        """A streak is over, so it was a fault: its windows teach clipped, as all others."""
        if self._charts is None:
            return
        late = np.array([window.number >= since for window in self.memory.windows], np.bool_)
        table = self.memory.table
        known = table.aligned(self._charts.specs)
        first = table.first.copy()
        first[np.ix_(late, np.arange(len(self._charts.specs)))] = self._charts.censored(known.rows(late), GATE).first
        self.memory.table = Table(table.specs, table.times_ms, first, table.second)

    def _is_due(self, now_ms: int, adaptation: str) -> bool:
        """Whether it is time for a new reference."""
        if self.reference is None or adaptation == "continuous":
            return self.judged >= self.train_at
        return adaptation == "scheduled" and now_ms - self.trained_ms >= DAY_MS and len(self.memory) > 1

    def _refit(self) -> None:
        self.fitted, self.left_out, self._charts, self._calibration = self.judged - 1, self.shift.since, None, None

    def _train(self, now_ms: int, *, keep_schedule: bool = False) -> None:
        """Learn a new reference, in force from the next pane but one."""
        self.memory.thin()
        self.paths = self._known_paths()
        own = self._own_metrics()
        version = (self.reference.version if self.reference else 0) + 1
        trained = retrain(
            self.memory, own, self.patterns, version=version, effective_from_ms=now_ms + self.window_ms, seed=self.seed, gate=GATE
        )
        self.reference, self.memory.table = trained.reference, trained.table
        self.memory.rejudge(trained.surprises)
        self.lasting, self.lasting_specs = trained.lasting, trained.table.specs
        self.trained_ms = now_ms
        if not keep_schedule:
            self.train_at = next_training(self.judged)
        self._refit()

    def _known_paths(self) -> tuple[str, ...]:
        least = max(2.0, SIGHTED_SHARE * self.judged)
        known = [path for path, windows in self.sightings.items() if windows >= least]
        return tuple(sorted(sorted(known, key=lambda path: (-self.sightings[path], path))[:MOST_PATHS]))

    def _own_metrics(self) -> Table:
        """The remembered metrics that need no reference, of the known fields."""
        measured: set[Spec] = set()
        if self.reference is not None:
            measured = set(measure_rows(PaneRows(0, {}), self.reference, 0).specs)
        known = {None, *self.paths}
        specs = self.memory.table.specs
        return self.memory.table.aligned(tuple(s for s in specs if s not in measured and not s.whole and s.field in known))


def sampled_rows(profile: Profile) -> PaneRows:
    """The rows that are measured against the reference: those with the smallest priorities."""
    rows = np.arange(min(len(profile.sample), JUDGED_ROWS))
    return PaneRows(len(rows), {path: column.take(rows) for path, column in profile.sample.columns.items()})
