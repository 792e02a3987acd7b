"""Control charts of all metrics at once: each judged by the natural tail of its kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.beta_binomial import BetaBinomial
from stream_monitor.detection.exponential import Exponential
from stream_monitor.detection.readings import Table, Tail
from stream_monitor.detection.robust_t import RobustT

Floats = NDArray[np.float64]


class Charts:
    """Limits of every metric, learned from the windows of a table."""

    def __init__(self, history: Table, clip: float = 0.99) -> None:
        self.specs = history.specs
        self._places = {tail: history.columns(tail) for tail in Tail}
        self._one_sided = np.array([spec.one_sided for spec in history.specs], np.bool_)
        self._costs = run_costs(history)[self._places[Tail.ENERGY]]
        floors = np.array([spec.floor for spec in history.specs])
        rates, levels, energies = (self._places[tail] for tail in Tail)
        self.rates = BetaBinomial.fit(history.first[:, rates], history.second[:, rates], clip)
        self.levels = RobustT.fit(history.first[:, levels], history.second[:, levels], history.times_ms, floors[levels])
        self.energies = Exponential.fit(history.first[:, energies] * self._costs)

    def surprise(self, windows: Table) -> Floats:
        """-log10 p, (windows, metrics). The table must have the charts' metrics (`Table.aligned`)."""
        rates, levels, energies = (self._places[tail] for tail in Tail)
        out = np.zeros(windows.first.shape)
        out[:, rates] = self.rates.surprise(windows.first[:, rates], windows.second[:, rates], self._one_sided[rates])
        x, n = windows.first[:, levels], windows.second[:, levels]
        out[:, levels] = self.levels.surprise(x, n, windows.times_ms, self._one_sided[levels])
        out[:, energies] = self.energies.surprise(windows.first[:, energies] * self._costs)
        return out

    def above(self, windows: Table) -> NDArray[np.bool_]:
        """(windows, metrics) whether a metric is higher than usual."""
        rates, levels, energies = (self._places[tail] for tail in Tail)
        out = np.zeros(windows.first.shape, np.bool_)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[:, rates] = windows.first[:, rates] / windows.second[:, rates] > self.rates.alpha / (self.rates.alpha + self.rates.beta)
            x, n = windows.first[:, levels], windows.second[:, levels]
            out[:, levels] = self.levels.standard(x, n, windows.times_ms) > self.levels.center
            out[:, energies] = windows.first[:, energies] * self._costs > self.energies.start
        return out

    def expected(self, metric: int, n: float, time_ms: int) -> tuple[float, float]:
        """Central 99 % range of the metric at place `metric`, in a window of n that begins at a time."""
        tail = self.specs[metric].tail
        place = int(np.searchsorted(self._places[tail], metric))
        if tail == Tail.RATE:
            return self.rates.expected(place, n)
        if tail == Tail.LEVEL:
            return self.levels.expected(place, n, time_ms)
        low, high = self.energies.expected(place)
        return low / float(self._costs[place]), high / float(self._costs[place])

    def censored(self, windows: Table, gate: float) -> Table:
        """The windows with every value clipped where its surprise passes the gate (-log10 p): learned from, but not led by."""
        first = windows.first.copy()
        rates, levels, energies = (self._places[tail] for tail in Tail)
        least, most = self.energies.limits(gate)
        for places, (low, high) in (
            (rates, self.rates.limits(windows.second[:, rates], gate)),
            (levels, self.levels.limits(windows.second[:, levels], windows.times_ms, gate)),
            (energies, (least / self._costs, most / self._costs)),
        ):
            first[:, places] = np.clip(first[:, places], low, high)
        return Table(windows.specs, windows.times_ms, first, windows.second)


def run_costs(history: Table) -> Floats:
    """What each energy is multiplied by: a further value in a run of equals is worth -log of the rate of adjacent equals, in nats."""
    costs = np.ones(len(history.specs))
    equals = {spec.field: i for i, spec in enumerate(history.specs) if spec.name == "adjacent_equal"}
    for i, spec in enumerate(history.specs):
        if spec.name == "longest_run" and spec.field in equals:
            counts, pairs = history.first[:, equals[spec.field]], history.second[:, equals[spec.field]]
            costs[i] = -np.log(np.clip(np.nansum(counts) / max(pairs.sum(), 1.0), 1e-3, 0.98))
    return costs
