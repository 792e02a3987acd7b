"""Levels: how far a number lies from its usual place, in units of its usual spread.

Location is the median, moved by the hour of day where there is a rhythm (hour_of_day.py). Spread has a part that all windows
share and one that falls with the number of records a window rests on (variance = b + w / n, by least squares on the squared
deviations); each side has its own scale (the second moment about the median of the winsorised history), shrunk to the common
one when windows are few; the tail is Student's t with few degrees of freedom, by the history's kurtosis. A metric that never
varied has the scale of its floor, so that it can't be infinitely surprised by a trifle.
Cost: O(windows) a metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from stream_monitor.detection.hour_of_day import hour_effects, hours_of

Floats = NDArray[np.float64]

MOST_FREEDOM = 10.0
"""Degrees of freedom are never more: history is short, and healthy data has heavy tails."""
WINSOR = 0.01
VARIES = 0.2
"""Relative spread of n from which its part in the variance can be told."""
SIDE_WINDOWS = 50.0
"""Each side's own scale weighs windows / (windows + this)."""


@dataclass(frozen=True, slots=True)
class RobustT:
    """Location, scale of each side, and degrees of freedom, one a metric."""

    center: Floats
    hours: Floats
    """(24, metrics): what the hour of day adds."""
    shared: Floats
    """Share of the variance that does not depend on n."""
    usual_n: Floats
    below: Floats
    above: Floats
    freedom: Floats

    @classmethod
    def fit(cls, x: Floats, n: Floats, times_ms: NDArray[np.int64], floor: Floats) -> RobustT:
        """From the values x of n, (windows, metrics), of healthy windows; NaN teaches nothing."""
        center, there = _median(x), ~np.isnan(x)
        windows = np.maximum(there.sum(0), 1)
        hours = hour_effects(x - center, times_ms)
        x = x - hours[hours_of(times_ms)]
        shared, usual_n = _shares(np.where(there, x - center, np.nan), n)
        x = center + np.where(there, x - center, 0.0) / _widening(n, shared, usual_n)
        low, high = np.quantile(x, [WINSOR, 1 - WINSOR], axis=0)
        clipped = np.clip(x, low, high)
        mean = np.where(there, clipped, 0.0).sum(0) / windows
        variance = 1.04 * (np.where(there, clipped - mean, 0.0) ** 2).sum(0) / np.maximum(windows - 1, 1)
        away = np.where(there, clipped - center, 0.0)
        weight = windows / (windows + SIDE_WINDOWS)
        least = np.abs(x).mean(0) * 1e-4 + 1e-6 + floor
        wider = np.sqrt(1 + 1.57 / windows)
        sides = [
            np.sqrt(weight * _half_variance(away, side) + (1 - weight) * variance + least**2) * wider for side in (away < 0, away > 0)
        ]
        return cls(center, hours, shared, usual_n, sides[0], sides[1], _freedom(x, windows))

    def standard(self, x: Floats, n: Floats, times_ms: NDArray[np.int64]) -> Floats:
        """The values as if at no particular hour, and of the usual number of records."""
        return self.center + (x - self.hours[hours_of(times_ms)] - self.center) / _widening(n, self.shared, self.usual_n)

    def surprise(self, x: Floats, n: Floats, times_ms: NDArray[np.int64], one_sided: NDArray[np.bool_]) -> Floats:
        """-log10 p of each (windows, metrics) value; two-sided unless told otherwise; 0 for NaN."""
        x = self.standard(x, n, times_ms)
        z = (x - self.center) / np.where(x > self.center, self.above, self.below)
        out = -(student.logsf(np.abs(z), self.freedom) / np.log(10) + 0.30103)
        return np.where(np.isnan(x) | (one_sided & (x <= self.center)), 0.0, np.maximum(np.nan_to_num(out), 0.0))

    def limits(self, n: Floats, times_ms: NDArray[np.int64], gate: float) -> tuple[Floats, Floats]:
        """Values as surprising as `gate` (-log10 p) on either side."""
        reach = student.isf(10.0**-gate / 2, self.freedom) * _widening(n, self.shared, self.usual_n)
        center = self.center + self.hours[hours_of(times_ms)]
        return center - reach * self.below, center + reach * self.above

    def expected(self, place: int, n: float, time_ms: int) -> tuple[float, float]:
        """Central 99 % range of metric `place` in a window of n at a time."""
        wider = float(_widening(np.array([n]), self.shared[place : place + 1], self.usual_n[place : place + 1])[0])
        reach = float(student.ppf(0.995, self.freedom[place])) * wider
        center = float(self.center[place] + self.hours[int(hours_of(np.array([time_ms]))[0]), place])
        return center - reach * float(self.below[place]), center + reach * float(self.above[place])


def _median(x: Floats) -> Floats:
    with np.errstate(all="ignore"):
        hollow = np.isnan(x).all(0)
        center = np.median(x, axis=0)
        missing = np.isnan(center) & ~hollow
        if missing.any():
            center[missing] = np.nanmedian(x[:, missing], axis=0)
    return np.where(hollow, 0.0, center)


def _shares(away: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Share of the variance that all windows have alike, and the harmonic mean of n; all of it while n hardly varies."""
    there = ~np.isnan(away) & (n > 0)
    count = np.maximum(there.sum(0), 1)
    inverse = np.where(there, 1 / np.maximum(n, 1.0), 0.0)
    mean = inverse.sum(0) / count
    usual = 1 / np.maximum(mean, 1e-12)
    u = np.where(there, inverse * usual - 1, 0.0)  # 1 / n relative to its mean, less 1
    squares = np.where(there, np.nan_to_num(away) ** 2, 0.0)
    top = np.quantile(squares, 0.98, axis=0)
    squares = np.minimum(squares, top)
    level = squares.sum(0) / count
    slope = (u * squares).sum(0) / np.maximum((u * u).sum(0), 1e-12)
    varies = (u * u).sum(0) / count > VARIES**2
    falling = np.clip(slope / np.maximum(level, 1e-300), 0.0, 1.0)
    return np.where(varies & (level > 0), 1 - falling, 1.0), usual


def _widening(n: Floats, shared: Floats, usual_n: Floats) -> Floats:
    """Standard deviation in a window of n, relative to the usual one."""
    return np.asarray(np.sqrt(shared + (1 - shared) * usual_n / np.maximum(n, 1.0)))


def _half_variance(away: Floats, side: NDArray[np.bool_]) -> Floats:
    return np.asarray(1.04 * (np.where(side, away, 0.0) ** 2).sum(0) / np.maximum(side.sum(0), 1))


def _freedom(x: Floats, windows: NDArray[np.int64]) -> Floats:
    """Degrees of freedom whose kurtosis is the history's, beyond what chance explains."""
    z = (x - x.mean(0)) / (x.std(0) + 1e-12)
    excess = np.maximum((z**4).mean(0) - 3 - np.sqrt(24 / windows), 0.0)
    return np.asarray(np.minimum(np.clip(4 + 6 / np.maximum(excess, 1e-3), 5.0, MOST_FREEDOM), np.maximum(windows - 1, 1)))
