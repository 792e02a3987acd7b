"""Charts of metrics that were not all read in the same windows.

Metrics of the sampled rows have all of history. Those of all records (`Spec.whole`) begin anew with every reference, so they
are judged by charts of just the windows that have them, and only once there are enough of these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.charts import Charts
from stream_monitor.detection.readings import Table

Floats = NDArray[np.float64]

LEAST_WINDOWS = 30


class ScopedCharts:
    """Limits of every metric; the interface of `Charts`."""

    def __init__(self, history: Table) -> None:
        self.specs = history.specs
        whole = np.fromiter((spec.whole for spec in history.specs), np.bool_, len(history.specs))
        self._scopes = [(np.flatnonzero(~whole), Charts(history.metrics(np.flatnonzero(~whole))))]
        windows = np.asarray((history.second[:, whole] > 0).any(1))
        if windows.sum() >= LEAST_WINDOWS:
            places = np.flatnonzero(whole)
            self._scopes.append((places, Charts(history.rows(windows).metrics(places))))

    def surprise(self, windows: Table) -> Floats:
        """-log10 p, (windows, metrics); 0 where there is no chart yet."""
        out = np.zeros(windows.first.shape)
        for places, charts in self._scopes:
            out[:, places] = charts.surprise(windows.metrics(places))
        return out

    def above(self, windows: Table) -> NDArray[np.bool_]:
        """(windows, metrics) whether a metric is higher than usual."""
        out = np.zeros(windows.first.shape, np.bool_)
        for places, charts in self._scopes:
            out[:, places] = charts.above(windows.metrics(places))
        return out

    def expected(self, metric: int, n: float, time_ms: int) -> tuple[float, float]:
        """Central 99 % range of the metric at place `metric`, in a window of n at a time; NaN where there is no chart yet."""
        for places, charts in self._scopes:
            place = int(np.searchsorted(places, metric))
            if place < len(places) and places[place] == metric:
                return charts.expected(place, n, time_ms)
        return float("nan"), float("nan")

    def censored(self, windows: Table, gate: float) -> Table:
        """The windows with every value clipped where its surprise passes the gate (-log10 p)."""
        first = windows.first.copy()
        for places, charts in self._scopes:
            first[:, places] = charts.censored(windows.metrics(places), gate).first
        return Table(windows.specs, windows.times_ms, first, windows.second)
