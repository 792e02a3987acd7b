"""Rates: how surprising k of n is, given the counts of other windows.

The predictive distribution is beta-binomial: its mean is the pooled rate with a Jeffreys-like prior, its concentration
combines the over-dispersion seen between windows with the uncertainty of the pooled rate. So the first null in a field that
never had one is as surprising as the history is long, and several are more so. Over-dispersion is a robust Pearson chi
square, trusted only as far as there were events to see it by.
Cost: O(k) a metric and window for the tail, O(windows) for the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRIOR = 0.1
"""Pseudo-counts of each outcome: small, because most rates of a healthy field are exactly 0 or 1."""
CLIPPED = {0.99: 0.979, 0.95: 0.913}
"""Quantile at which chi squares are clipped, lest a few faults pass for over-dispersion -> what a chi square's mean is then."""
LN10 = 2.302585092994046


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """Predictive parameters, one a metric."""

    alpha: Floats
    beta: Floats

    @classmethod
    def fit(cls, k: Floats, n: Floats, clip: float = 0.99) -> BetaBinomial:
        """From the counts k of n, (windows, metrics), of healthy windows; `clip` 0.95 for suspicious ones. n = 0 teaches nothing."""
        k = np.nan_to_num(k)
        windows = max(len(k), 1)
        total_k, total_n = k.sum(0), n.sum(0)
        rate = (total_k + PRIOR) / (total_n + 2 * PRIOR)
        phi = _dispersion(k, n, rate, windows, clip)
        mean_n = np.maximum(total_n / windows, 1.0)
        between = np.where(phi > 1.0001, (mean_n - 1) / np.maximum(phi - 1, 1e-9) - 1, np.inf)
        concentration = 1 / (1 / np.maximum(between, 2.0) + 1 / (total_n + 2 * PRIOR))
        return cls(rate * concentration, (1 - rate) * concentration)

    def surprise(self, k: Floats, n: Floats, one_sided: NDArray[np.bool_]) -> Floats:
        """-log10 p of each (windows, metrics) count; two-sided unless told otherwise; 0 where n = 0."""
        k, n = np.minimum(np.nan_to_num(k), n), np.asarray(n, float)
        out = np.zeros(k.shape)
        _surprise(k, n, self.alpha, self.beta, out)
        usual = self.alpha / (self.alpha + self.beta)
        with np.errstate(invalid="ignore", divide="ignore"):
            less = one_sided & ~(k / n > usual)
        return np.where((n > 0) & ~less, out, 0.0)

    def limits(self, n: Floats, gate: float) -> tuple[Floats, Floats]:
        """Counts of n, (windows, metrics), about as surprising as `gate` (-log10 p): mean and variance, exponential tail."""
        a, b, n = self.alpha, self.beta, np.maximum(n, 1.0)
        mean = a / (a + b)
        spread = np.sqrt(n * mean * (1 - mean) * (a + b + n) / (a + b + 1))
        reach = gate * LN10 / 2
        return np.maximum(np.floor(n * mean - reach * spread), 0.0), np.minimum(np.ceil(n * mean + reach * spread), n)

    def expected(self, place: int, n: float, share: float = 0.005) -> tuple[float, float]:
        """Central range of the rate of metric `place` in a window of n, by the beta-binomial's mean and variance."""
        a, b, n = float(self.alpha[place]), float(self.beta[place]), max(n, 1.0)
        mean = a / (a + b)
        spread = (mean * (1 - mean) * (a + b + n) / (n * (a + b + 1))) ** 0.5
        reach = 2.6 if share == 0.005 else 2.0
        return max(mean - reach * spread, 0.0), min(mean + reach * spread, 1.0)


def _dispersion(k: Floats, n: Floats, rate: Floats, windows: int, clip: float) -> Floats:
    """Variance between windows over the binomial one, at least 1."""
    chi = (k - n * rate) ** 2 / np.maximum(n * rate * (1 - rate), 1e-12)
    clipped = np.minimum(chi, np.quantile(chi, clip, axis=0)) if len(chi) else chi
    phi = clipped.sum(0) / max(windows - 1, 1) / CLIPPED[clip]
    events = np.minimum(k.sum(0), (n - k).sum(0).clip(0) + windows)
    events = np.minimum(events, windows)
    phi = 1 + np.maximum(phi - 1, 0) * events / (events + 10.0)
    return np.where(phi < 1 + np.sqrt(2.0 / windows), 1.0, phi)


@njit(cache=True, nogil=True)
def tails(k: float, n: float, a: float, b: float) -> tuple[float, float]:
    """log10 P(K >= k) and log10 P(K <= k), by recurrence from k outwards until terms are negligible."""
    point = (
        lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + lgamma(k + a) + lgamma(n - k + b) - lgamma(n + a + b)
        + lgamma(a + b) - lgamma(a) - lgamma(b)
    )
    above, term, i = 1.0, 1.0, k
    while i < n:
        term *= (n - i) / (i + 1.0) * (i + a) / (n - i - 1 + b)
        above += term
        i += 1
        if term < 1e-14 * above:
            break
    below, term, i = 1.0, 1.0, k
    while i > 0:
        term *= i / (n - i + 1.0) * (n - i + b) / (i - 1 + a)
        below += term
        i -= 1
        if term < 1e-14 * below:
            break
    return (point + log(above)) / LN10, (point + log(below)) / LN10


@njit(cache=True, nogil=True)
def _surprise(k: Floats, n: Floats, a: Floats, b: Floats, out: Floats) -> None:
    for w in range(k.shape[0]):
        for m in range(k.shape[1]):
            if n[w, m] > 0:
                above, below = tails(k[w, m], n[w, m], a[m], b[m])
                out[w, m] = max(0.0, -(min(above, below) + 0.30103))
