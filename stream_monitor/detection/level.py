"""Calibration: a series of largest surprises judged against its own history.

The largest of many dependent p-values is no p-value. Its history says what it usually is: an empirical body, and above the
80 % quantile an exponential tail whose scale is uncertain, which makes the predictive tail Lomax (Pareto II). It is strictly
monotone however extreme the surprise, so return periods go beyond the longest history; with few windows it is wider, so that
the promise holds. The top 5 % of windows are censored when the scale is learned, and wild ones are left out: real faults in the
history must not widen it, or a bad day would make the monitor blind for the next fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARE = 0.2
CENSORED = 0.05
WILD = 8.0
"""A window whose surprise lies so many robust scales above the tail's start is no healthy one (e^-8 on an exponential tail)."""
MOST_WILD = 0.1
"""Runs of wild windows, as a share of all windows, up to which they are taken for faults."""
SHRINK = 6.0
PRIOR_SCALE = 0.4343
"""1 / ln 10: the scale if the surprise were the -log10 of an honest p-value."""


@dataclass(frozen=True, slots=True)
class Level:
    """The calibrated distribution of a series of surprises."""

    history: Floats
    """Sorted."""
    start: float
    scale: float
    weight: float

    @classmethod
    def fit(cls, series: Floats, shrink: float = SHRINK) -> Level:
        """From one surprise (-log10) a window, in order of time. `shrink`: exceedances that the prior scale is worth.

        >>> rng = np.random.default_rng(0)
        >>> level = Level.fit(rng.exponential(0.4343, 200))
        >>> bool(0.5 < level.chance(2.0) / 0.01 < 2)
        True
        """
        ordered = np.sort(_tame(series))
        if not len(ordered):
            return cls(ordered, -PRIOR_SCALE * float(np.log(SHARE)), PRIOR_SCALE, shrink)
        start = float(np.quantile(ordered, 1 - SHARE))
        over = ordered[ordered > start] - start
        seen = len(over) - int(CENSORED * len(ordered))
        if seen <= 0:
            return cls(ordered, start, PRIOR_SCALE, shrink)
        total = over[:seen].sum() + (len(over) - seen) * over[seen - 1]  # type II censoring (Epstein and Sobel, 1953)
        return cls(ordered, start, float(total + shrink * PRIOR_SCALE) / (seen + shrink), seen + shrink)

    def surprise(self, x: Floats | float) -> Floats:
        """Calibrated -log10 p of each surprise."""
        x = np.asarray(x, float)
        above = len(self.history) - np.searchsorted(self.history, x, side="left")
        body = -np.log10((above + 0.5) / (len(self.history) + 1))
        tail = -np.log10(SHARE) + (self.weight + 1) * np.log1p(np.maximum(x - self.start, 0) / (self.weight * self.scale)) / np.log(10)
        return np.asarray(np.where(x > self.start, tail, np.minimum(body, -np.log10(SHARE))))

    def chance(self, x: float) -> float:
        """Calibrated p."""
        return float(10.0 ** -self.surprise(x))

    def threshold(self, chance: float) -> float:
        """The surprise that healthy windows exceed with this chance (below the share of the tail)."""
        reach = np.log(SHARE / min(chance, SHARE)) / (self.weight + 1)
        return float(self.start + self.weight * self.scale * np.expm1(reach))


def _tame(series: Floats) -> Floats:
    """A series without its wild windows, if they come in few runs; else with them: what happens again and again is no fault."""
    if not len(series):
        return series
    # Quantiles far enough down that faults don't reach them; of an exponential body they are ln(1.5) scales apart.
    low, high = np.quantile(series, (0.4, 0.6)).tolist()
    spread = max(PRIOR_SCALE, (high - low) / float(np.log(1.5)))
    wild = series > high + WILD * spread
    return series[~wild] if count_runs(wild) <= MOST_WILD * len(series) else series


def count_runs(marks: NDArray[np.bool_]) -> int:
    """Runs of true marks: a fault that lasts is one fault.

    >>> count_runs(np.array([True, True, False, True]))
    2
    """
    return int(np.count_nonzero(marks & ~np.concatenate([[False], marks[:-1]])))
