"""Small shifts that last: EWMA and CUSUM beside the Shewhart judgement of single windows.

Each metric's surprise is turned into a signed standard score, centred and scaled by its own history, and clipped, so that one
bad window can't ring on; what the centre may be wrong by (one standard error) counts for nothing. The exponentially weighted
mean (Roberts, 1959) of scores with weight w = 0.25 is normal with variance w / (2 - w); the cumulative sum (Page, 1954) with
allowance 1/2 exceeds h with a chance of about e^-h (Siegmund, 1985). A metric whose single window already passes the gate is
left to Shewhart and starts afresh.
Cost: O(metrics) a window.

>>> chart = Lasting(np.zeros(1), np.ones(1))
>>> [round(float(chart.update(np.array([1.5]), np.zeros(1, bool))[0]), 1) for _ in range(8)][-1] > 3
True
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

from stream_monitor.profiling.codec import array_bytes, read_array

Floats = NDArray[np.float64]

WEIGHT = 0.25
ALLOWANCE = 0.5
CLIP = 3.0
LEAST_WINDOWS = 30
"""Fewer give no scale for the scores: then these charts are silent."""
FOLLOWED = frozenset({
    "parse_error", "absent", "null", "empty", "disguised", "unseen_value", "length_mean", "duplicate_rows", "repeated_values",
    "mean", "spread", "rank_mean", "late", "disordered", "delay",
})
"""Metrics that a slow fault moves, one or two a kind of fault: following all of them would only add chance alarms."""
HIGH_SUM = 2.4
"""90 % quantile of the larger of two CUSUMs of independent standard normal scores."""
LN10 = 2.302585092994046


def scores(surprise: Floats, above: NDArray[np.bool_]) -> Floats:
    """Signed standard scores of two-sided surprises (-log10 p); `above`: the metric was higher than usual."""
    z = -ndtri(np.clip(10.0 ** -np.minimum(surprise, 30.0), 1e-30, 1.0) / 2)
    return np.asarray(np.where(above, z, -z))


@dataclass(slots=True)
class Lasting:
    """State of the two charts of every metric; `center` and `scale` of its scores on healthy data."""

    center: Floats
    scale: Floats
    mean: Floats = field(default_factory=lambda: np.zeros(0))
    high: Floats = field(default_factory=lambda: np.zeros(0))
    low: Floats = field(default_factory=lambda: np.zeros(0))
    doubt: float = 0.0
    """Standard error of the centres."""
    stretch: Floats = field(default_factory=lambda: np.zeros(0))
    """How much further than independent scores these charts wander on healthy data; at least 1."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.center):
            self.mean, self.high, self.low = (np.zeros(len(self.center)) for _ in range(3))
        if len(self.stretch) != len(self.center):
            self.stretch = np.ones(len(self.center))

    def aligned(self, places: NDArray[np.int64]) -> Lasting:
        """For metrics in another order: `places` of each in this one, -1 for new ones, which are silent."""
        new = places < 0

        def moved(array: Floats, nothing: float) -> Floats:
            return np.where(new, nothing, array[places]) if len(array) else np.full(len(places), nothing)

        zero = [moved(array, 0.0) for array in (self.center, self.mean, self.high, self.low)]
        return Lasting(zero[0], moved(self.scale, np.inf), zero[1], zero[2], zero[3], self.doubt, moved(self.stretch, 1.0))

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [[array_bytes(array) for array in (self.center, self.scale, self.mean, self.high, self.low, self.stretch)], self.doubt]

    @classmethod
    def from_state(cls, state: list[Any]) -> Lasting:
        """Inverse of `to_state`."""
        arrays, doubt = state
        center, scale, mean, high, low, stretch = (read_array(data, np.float64) for data in arrays)
        return cls(center, scale, mean, high, low, doubt, stretch)

    @classmethod
    def fit(cls, history: Floats, followed: NDArray[np.bool_]) -> Lasting:
        """From the scores (windows, metrics) of healthy windows; metrics not `followed` stay silent."""
        windows, metrics = history.shape
        if windows < LEAST_WINDOWS:
            return cls(np.zeros(metrics), np.full(metrics, np.inf))
        clipped = np.clip(history, -CLIP, CLIP)
        return cls(clipped.mean(0), np.where(followed, np.maximum(clipped.std(0), 0.3), np.inf), doubt=1 / windows**0.5)

    def update(self, z: Floats, gone: NDArray[np.bool_]) -> Floats:
        """Take in the scores (metrics,) of a window; gives -log10 p of the more surprised chart. `gone`: start afresh there."""
        z = np.clip((np.clip(z, -CLIP, CLIP) - self.center) / self.scale, -CLIP, CLIP)
        self.mean = np.where(gone, 0.0, (1 - WEIGHT) * self.mean + WEIGHT * z)
        self.high = np.where(gone, 0.0, np.maximum(self.high + z - ALLOWANCE - self.doubt, 0.0))
        self.low = np.where(gone, 0.0, np.maximum(self.low - z - ALLOWANCE - self.doubt, 0.0))
        return np.maximum(*self.surprises())

    def surprises(self) -> tuple[Floats, Floats]:
        """-log10 p now of the EWMA and of the CUSUM."""
        return self.judged(self.mean, np.maximum(self.high, self.low))

    def judged(self, mean: Floats, total: Floats) -> tuple[Floats, Floats]:
        """-log10 p of values of the EWMA and of the CUSUM."""
        spread = (WEIGHT / (2 - WEIGHT)) ** 0.5 * self.stretch
        ewma = -(log_ndtr(-np.maximum(np.abs(mean) - self.doubt, 0.0) / spread) / LN10 + 0.30103)
        cusum = total / self.stretch**2 * 2 * ALLOWANCE / LN10 - 0.30103
        return np.maximum(ewma, 0.0), np.maximum(cusum, 0.0)

    def learn_memory(self, means: Floats, sums: Floats) -> None:
        """Scores that depend on the ones before make both charts wander further: learn how much from their own history."""
        if len(means) < LEAST_WINDOWS:
            return
        spread = (WEIGHT / (2 - WEIGHT)) ** 0.5
        wander = means.std(0) / spread
        drift = np.sqrt(np.maximum(np.quantile(sums, 0.9, axis=0) / HIGH_SUM, 0.0))
        self.stretch = np.maximum(np.maximum(wander, drift), 1.0)


def run(history: Floats, surprise: Floats, followed: NDArray[np.bool_], gate: float) -> tuple[Lasting, Floats]:
    """Charts after going through the scores (windows, metrics) of history in order, and their surprise at each window."""
    chart = Lasting.fit(history, followed)
    out, means, sums = (np.zeros(history.shape) for _ in range(3))
    for place, z in enumerate(history):
        out[place] = chart.update(z, surprise[place] > gate)
        means[place], sums[place] = chart.mean, np.maximum(chart.high, chart.low)
    chart.learn_memory(means, sums)
    return chart, np.maximum(*chart.judged(means, sums)) if len(out) else out
