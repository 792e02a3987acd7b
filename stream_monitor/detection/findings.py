"""Findings: causes in the units that people read, with the usual range, the share of records hit, and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, nan, sinh, sqrt

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.attribution import Cause
from stream_monitor.detection.readings import Spec, Table, Tail
from stream_monitor.detection.samples import Witnesses
from stream_monitor.detection.scoped_charts import ScopedCharts
from stream_monitor.detection.units import in_units
from stream_monitor.detection.verdict import MAX_RETURN_PERIOD_DAYS, Aspect, Finding, Metric
from stream_monitor.profiling.reference import Reference

Floats = NDArray[np.float64]

LISTED = 20
"""Metrics listed in a verdict."""
READABLE = 0.6
"""A rate with this share of the best surprise is told instead of a statistic: people read rates."""


def findings(
    causes: Sequence[Cause], metrics: Table, charts: ScopedCharts, aspects: Mapping[Aspect, float], witnesses: Witnesses
) -> tuple[Finding, ...]:
    """One finding a cause, in the order given; `metrics` is the one-row table of the window, `aspects` the return periods."""
    out = []
    for cause in causes:
        spec = metrics.specs[cause.metric]
        observed, expected = _told(spec, metrics, cause.metric, charts, witnesses.reference)
        middle = (expected[0] + expected[1]) / 2
        samples, partitions = witnesses.of(spec, more=observed > middle)
        out.append(Finding(
            aspect=cause.aspect, field=cause.field, detector=cause.detector or spec.detector, metric=_name(spec, cause.field),
            observed=observed, expected=expected, return_period_days=max(aspects.get(cause.aspect, 0.0), aspects.get(spec.aspect, 0.0)),
            share=abs(observed - middle) if spec.tail == Tail.RATE else nan, partitions=partitions, samples=samples,
        ))
    return tuple(out)


def listed(
    metrics: Table, surprise: Floats, charts: ScopedCharts, window_days: float, reference: Reference | None = None
) -> tuple[Metric, ...]:
    """The most surprising metrics, most surprising first; their return periods are each metric's own, uncalibrated."""
    out = []
    for place in np.argsort(-surprise, kind="stable")[:LISTED].tolist():
        spec = metrics.specs[place]
        value, expected = _told(spec, metrics, place, charts, reference)
        if surprise[place] <= 0 or not np.isfinite([value, *expected]).all():
            continue
        days = min(10.0 ** min(float(surprise[place]), 300.0) * window_days, MAX_RETURN_PERIOD_DAYS)
        out.append(Metric(spec.aspect, spec.field, spec.name, spec.detector, value, int(metrics.second[0, place]), expected, days))
    return tuple(out)


def readable(specs: Sequence[Spec], surprise: Floats, place: int) -> int:
    """A rate of the same field, aspect and layer that speaks nearly as loudly, or the metric itself."""
    spec = specs[place]
    if spec.tail == Tail.RATE:
        return place
    rates = [
        i for i, other in enumerate(specs)
        if other.tail == Tail.RATE and (other.aspect, other.field, other.layer) == (spec.aspect, spec.field, spec.layer)
        and surprise[i] >= READABLE * surprise[place]
    ]
    return max(rates, key=lambda i: surprise[i], default=place)


def _name(spec: Spec, path: str | None) -> str:
    """The metric's name as seen from the field blamed: a relation names the other end."""
    if spec.other is None or path != spec.other:
        return spec.name
    return f"{spec.name.split(':')[0]}:{spec.field}"


def _told(spec: Spec, metrics: Table, place: int, charts: ScopedCharts, reference: Reference | None) -> tuple[float, tuple[float, float]]:
    """Value and expected range in readable units."""
    x, n = float(metrics.first[0, place]), float(metrics.second[0, place])
    low, high = charts.expected(place, n, int(metrics.times_ms[0]))
    if spec.name == "records":  # x is the error of a forecast on the scale of 2 sqrt(records)
        forecast = 2 * sqrt(n) - x
        return n, (max(forecast + low, 0.0) ** 2 / 4, max(forecast + high, 0.0) ** 2 / 4)
    if spec.tail == Tail.RATE:
        return (x / n if n else 0.0), (low, high)
    natural = [_natural(spec, value, n, reference) for value in (x, low, high)]
    return natural[0], (min(natural[1:]), max(natural[1:]))


def _natural(spec: Spec, x: float, n: float, reference: Reference | None) -> float:
    """Undoes the transformations that make levels alike."""
    field = _field(spec, reference) if spec.name in ("mean", "spread") else None
    if field is None or n <= 0:
        return in_units(spec.name, x, n)
    center, scale = field
    if spec.name == "mean":
        return center + scale * sinh(min(max(x, -20.0), 20.0)) / 5
    return scale * max(exp(min(x, 60.0)) - 1e-3, 0.0)


def _field(spec: Spec, reference: Reference | None) -> tuple[float, float] | None:
    if reference is None or spec.field not in reference.paths:
        return None
    field = reference.structure.fields[reference.paths.index(spec.field)]
    return field.center, field.scale

