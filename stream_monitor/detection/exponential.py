"""Energies: statistics in nats (n times a divergence, a log-likelihood ratio, a run length times its log-odds).

By large-deviation theory their tails fall like e^-x, so only the scale is learned: the mean excess over the 85 % quantile,
shrunk towards 1 with the weight of 8 exceedances, never below 0.8. The tail is predictive (Lomax: exponential with an
uncertain scale).
Cost: O(windows) a metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARE = 0.15
SHRINK = 8.0
LEAST_SCALE = 0.8


@dataclass(frozen=True, slots=True)
class Exponential:
    """Start of the tail, its scale, and how much history the scale rests on; one a metric."""

    start: Floats
    scale: Floats
    weight: Floats

    @classmethod
    def fit(cls, x: Floats) -> Exponential:
        """From the energies x, (windows, metrics), of healthy windows; NaN counts as none."""
        x = np.nan_to_num(x)
        start = np.quantile(x, 1 - SHARE, axis=0)
        beyond = x > start
        excess = np.where(beyond, x - start, 0.0).sum(0)
        weight = beyond.sum(0) + SHRINK
        return cls(start, np.maximum((excess + SHRINK) / weight, LEAST_SCALE), weight.astype(np.float64))

    def surprise(self, x: Floats) -> Floats:
        """-log10 p of each (windows, metrics) energy; at most 0.3 below the start of the tail; 0 for NaN."""
        over = np.maximum(x - self.start, 0.0)
        tail = -np.log10(SHARE) + (self.weight + 1) * np.log1p(over / (self.scale * self.weight)) / np.log(10)
        return np.where(np.isnan(x), 0.0, np.where(x > self.start, tail, 0.3))

    def limits(self, gate: float) -> tuple[Floats, Floats]:
        """From 0 to the energy as surprising as `gate` (-log10 p)."""
        return np.zeros(len(self.start)), self.start + self.scale * (gate * np.log(10) + np.log(SHARE))

    def expected(self, place: int) -> tuple[float, float]:
        """From 0 to the 99 % quantile of metric `place`."""
        return 0.0, float(self.start[place] + self.scale[place] * np.log(SHARE / 0.01))
