"""Hour of day: how a level differs at each hour, shrunk by how sure that is.

Empirical Bayes: with B the variance between hours beyond what noise explains and W the variance within them, an hour seen
n times is worth B / (B + W / n) of its mean. Without a daily rhythm B is 0 and nothing is taken off; with little history
nothing either. Hours are UTC: a zone only names them differently. Cost: O(windows) a metric.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_MS, HOURS = 3_600_000, 24
LEAST_SPAN_MS = 3 * 86_400_000
"""Less history can't tell a rhythm from a day."""


def hours_of(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hour of day, 0..23."""
    return times_ms // HOUR_MS % HOURS


def hour_effects(x: Floats, times_ms: NDArray[np.int64]) -> Floats:
    """(24, metrics) what to take off the values x (windows, metrics; centred on 0; NaN says nothing) at each hour."""
    nothing = np.zeros((HOURS, x.shape[1]))
    if len(x) < 2 * HOURS or times_ms.max() - times_ms.min() < LEAST_SPAN_MS:
        return nothing
    low, high = np.nanquantile(np.nan_to_num(x), [0.02, 0.98], axis=0)
    there = ~np.isnan(x)
    x = np.clip(np.nan_to_num(x), low, high)
    member = np.zeros((HOURS, len(x)))
    member[hours_of(times_ms), np.arange(len(x))] = 1.0
    visits = member @ there.astype(float)
    sums, squares = member @ np.where(there, x, 0.0), member @ np.where(there, x * x, 0.0)
    means = sums / np.maximum(visits, 1)
    free = np.maximum(visits - 1, 0).sum(0)
    within = (squares - visits * means**2).sum(0) / np.maximum(free, 1)
    seen = visits > 0
    noise = within / np.maximum(visits, 1)
    between = (np.where(seen, means**2 - noise, 0.0)).sum(0) / np.maximum(seen.sum(0), 1)
    worth = np.maximum(between, 0.0) / np.maximum(np.maximum(between, 0.0) + noise, 1e-300)
    real = (between > 2 * (2 / HOURS) ** 0.5 * within / np.maximum(visits.mean(0), 1)) & (free >= HOURS)
    return np.asarray(np.where(seen & real, means * worth, 0.0))
