"""Metrics of all records are judged by the windows that have them, once there are enough."""

import math

import numpy as np

from stream_monitor.detection.charts import Charts
from stream_monitor.detection.readings import Layer, Readings, Table
from stream_monitor.detection.scoped_charts import LEAST_WINDOWS, ScopedCharts
from stream_monitor.detection.verdict import Aspect


def row(number, rng=None, *, whole=True, null=0.01, mean=None):
    """One window: a rate and a level of its sampled rows, and the same of all its records."""
    rng = rng or np.random.default_rng(10_000 + number)
    out = Table.empty()
    for wide, n in ((False, 100), (True, 5000)):
        readings = Readings(whole=wide)
        readings.rate(Aspect.COMPLETENESS, "a", "null", rng.binomial(n, null), n, Layer.MISSING)
        x = rng.normal(0, n**-0.5) if mean is None else mean
        readings.level(Aspect.INTEGRITY, "a", "mean", x, n, Layer.VALUE, floor=0.001)
        if not wide:
            out = Table.of(readings, number * 60_000)
        elif whole:
            out = out.beside(Table.of(readings, number * 60_000))
    return out


def history(windows, wholes):
    """Only the last `wholes` windows were measured as a whole."""
    table = Table.empty()
    for number in range(windows):
        table = table.below(row(number, whole=number >= windows - wholes))
    return table


FAULT = {"null": 0.5, "mean": 5.0}


def judged(table, **fault):
    charts = ScopedCharts(table)
    return dict(zip(((s.whole, s.name) for s in charts.specs), charts.surprise(row(999, **fault).aligned(charts.specs))[0], strict=True))


def test_metrics_of_whole_windows_are_silent_until_thirty_windows_have_them():
    before, after = judged(history(80, LEAST_WINDOWS - 1), **FAULT), judged(history(80, LEAST_WINDOWS), **FAULT)
    assert before[True, "null"] == before[True, "mean"] == 0
    assert min(after.values()) > 5
    for name in ("null", "mean"):
        assert before[False, name] == after[False, name] > 5


def test_where_there_is_no_chart_nothing_is_expected_and_nothing_clipped():
    charts = ScopedCharts(history(60, 5))
    window = row(999, **FAULT).aligned(charts.specs)
    clipped = charts.censored(window, 4.0)
    for place, spec in enumerate(charts.specs):
        assert all(map(math.isnan, charts.expected(place, 100, 0))) == spec.whole
        assert (clipped.first[0, place] == window.first[0, place]) == spec.whole


def test_each_metric_is_judged_as_by_the_charts_of_the_windows_that_have_it():
    table = history(90, 40)
    charts, window = ScopedCharts(table), row(999, null=0.03, mean=0.1).aligned(table.specs)
    for whole, rows in ((False, np.ones(90, np.bool_)), (True, np.arange(90) >= 50)):
        places = np.array([place for place, spec in enumerate(table.specs) if spec.whole == whole])
        own = Charts(table.rows(rows).metrics(places))
        part = window.metrics(places)
        assert np.array_equal(charts.surprise(window)[:, places], own.surprise(part))
        assert np.array_equal(charts.above(window)[:, places], own.above(part))
        assert [charts.expected(place, 100, 0) for place in places.tolist()] == [own.expected(i, 100, 0) for i in range(len(places))]


def test_a_history_without_whole_windows_has_charts_of_the_rest():
    charts = ScopedCharts(history(40, 0))
    assert not any(spec.whole for spec in charts.specs)
    assert charts.surprise(row(999, **FAULT).aligned(charts.specs)).min() > 5
