"""Levels: how far a number lies from its usual place, in units of its usual spread.

Location is the median; each side has its own scale (the second moment about the median of the winsorised history), shrunk
to the common one when windows are few; the tail is Student's t with few degrees of freedom, by the history's kurtosis. A
metric that never varied has the scale of its floor, so that it can't be infinitely surprised by a trifle.
Cost: O(windows) a metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]

MOST_FREEDOM = 10.0
"""Degrees of freedom are never more: history is short, and healthy data has heavy tails."""
WINSOR = 0.01
SIDE_WINDOWS = 50.0
"""Each side's own scale weighs windows / (windows + this)."""


@dataclass(frozen=True, slots=True)
class RobustT:
    """Location, scale of each side, and degrees of freedom, one a metric."""

    center: Floats
    below: Floats
    above: Floats
    freedom: Floats

    @classmethod
    def fit(cls, x: Floats, floor: Floats) -> RobustT:
        """From the values x, (windows, metrics), of healthy windows; NaN teaches nothing."""
        center, there = _median(x), ~np.isnan(x)
        windows = np.maximum(there.sum(0), 1)
        x = np.where(there, x, center)
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
        return cls(center, sides[0], sides[1], _freedom(x, windows))

    def surprise(self, x: Floats, one_sided: NDArray[np.bool_]) -> Floats:
        """-log10 p of each (windows, metrics) value; two-sided unless told otherwise; 0 for NaN."""
        z = (x - self.center) / np.where(x > self.center, self.above, self.below)
        out = -(student.logsf(np.abs(z), self.freedom) / np.log(10) + 0.30103)
        return np.where(np.isnan(x) | (one_sided & (x <= self.center)), 0.0, np.maximum(np.nan_to_num(out), 0.0))

    def limits(self, gate: float) -> tuple[Floats, Floats]:
        """Values as surprising as `gate` (-log10 p) on either side."""
        reach = student.isf(10.0**-gate / 2, self.freedom)
        return self.center - reach * self.below, self.center + reach * self.above

    def expected(self, place: int) -> tuple[float, float]:
        """Central 99 % range of metric `place`."""
        reach = float(student.ppf(0.995, self.freedom[place]))
        return float(self.center[place] - reach * self.below[place]), float(self.center[place] + reach * self.above[place])


def _median(x: Floats) -> Floats:
    with np.errstate(all="ignore"):
        hollow = np.isnan(x).all(0)
        center = np.median(x, axis=0)
        missing = np.isnan(center) & ~hollow
        if missing.any():
            center[missing] = np.nanmedian(x[:, missing], axis=0)
    return np.where(hollow, 0.0, center)


def _half_variance(away: Floats, side: NDArray[np.bool_]) -> Floats:
    return np.asarray(1.04 * (np.where(side, away, 0.0) ** 2).sum(0) / np.maximum(side.sum(0), 1))


def _freedom(x: Floats, windows: NDArray[np.int64]) -> Floats:
    """Degrees of freedom whose kurtosis is the history's, beyond what chance explains."""
    z = (x - x.mean(0)) / (x.std(0) + 1e-12)
    excess = np.maximum((z**4).mean(0) - 3 - np.sqrt(24 / windows), 0.0)
    return np.asarray(np.minimum(np.clip(4 + 6 / np.maximum(excess, 1e-3), 5.0, MOST_FREEDOM), np.maximum(windows - 1, 1)))
