"""How many records a window should have: hour of day and day of week, shrunk into each other, and what the last window said.

The forecast of log records is a mean, plus an effect of the time of day, plus one of the time of week, each shrunk by how
much of its variation is more than noise (empirical Bayes), plus an autoregressive term: with no season learned yet it follows
the stream, with a season it corrects the day. It learns after every window from a clipped error, so that a fault teaches little.
The error of the forecast, on the square root scale where counts have a steady spread, is what the chart judges.
Cost: O(slots of a week) a window; state 3 numbers a slot. Time zone: UTC slots follow the zone, as only its differences matter;
a change to daylight saving time is met by the autoregressive term.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.profiling.codec import array_bytes, read_array

Floats = NDArray[np.float64]

DAY_MS, WEEK_MS = 86_400_000, 604_800_000
MONDAY_MS = 4 * DAY_MS
"""The epoch was a Thursday."""
SLOT_MS = 1_800_000
FADE = 0.97
"""Weight that a slot's past keeps at each visit: about the last 30 count."""
MEMORY = 0.995
"""Weight that the autoregression's past keeps at each window."""
PRIOR_WINDOWS = 5.0
"""The autoregression is taken to be 0 with the weight of so many windows of the usual error: a trend must be followed within minutes."""
CLIP = 4.0
"""Errors teach up to this many mean absolute errors ..."""
KNOWN = 2.5
"""... where a slot was visited so often; before, nobody knows what is usual on a Sunday night."""


@dataclass(slots=True)
class VolumeForecast:
    """Forecast and state for windows of `window_ms`."""

    window_ms: int
    weight: Floats = field(init=False)
    total: Floats = field(init=False)
    square: Floats = field(init=False)
    slot: int = -1
    pending: list[float] = field(default_factory=list)
    """Log records of the windows of the slot under way."""
    product: float = 0.0
    power: float = 0.0
    spread: float = 0.5
    """Mean absolute error, in logs."""
    last: float = 0.0
    """Error against the season of the last window."""
    last_ms: int = -1
    level: float = 0.0
    windows: int = 0

    def __post_init__(self) -> None:
        self.weight, self.total, self.square = (np.zeros(self.slots) for _ in range(3))

    @property
    def slots(self) -> int:
        """Slots of a week."""
        return max(WEEK_MS // max(SLOT_MS, min(self.window_ms, DAY_MS)), 7)

    def error(self, start_ms: int, records: float) -> float:
        """2 sqrt(records) less its forecast; 0 for the very first window."""
        return 2 * sqrt(max(records, 0.0)) - 2 * sqrt(self.forecast(start_ms)) if self.windows else 0.0

    def forecast(self, start_ms: int) -> float:
        """Records expected in the window that begins at `start_ms`."""
        return max(exp(min(self._season(start_ms) + self._carry(start_ms), 50.0)) - 1, 0.0)

    def learn(self, start_ms: int, records: float) -> None:
        """Take in what came."""
        y = log(max(records, 0.0) + 1)
        if not self.windows:
            self.level = y
        expected = self._season(start_ms) + self._carry(start_ms)
        miss = min(max(y - expected, -CLIP * self.spread), CLIP * self.spread)
        error = expected + miss - self._season(start_ms)
        if start_ms - self.last_ms <= 2 * self.window_ms:
            self.product = MEMORY * self.product + self.last * error
            self.power = MEMORY * self.power + self.last**2
        self.last, self.last_ms = error, start_ms
        fade = 0.98 if self.windows > 20 else 0.8
        self.spread = max(fade * self.spread + (1 - fade) * abs(miss), 0.02)
        slot = self._slot(start_ms)
        self._visit(slot, expected + miss if self.weight[slot] >= KNOWN else y)
        self.windows += 1

    def _slot(self, at_ms: int) -> int:
        return int((at_ms - MONDAY_MS) % WEEK_MS * self.slots // WEEK_MS)

    def _visit(self, slot: int, y: float) -> None:
        """A slot's windows count as one observation: neighbours in time are alike."""
        if slot != self.slot and self.pending:
            mean = sum(self.pending) / len(self.pending)
            for array, value in ((self.weight, 1.0), (self.total, mean), (self.square, mean**2)):
                array[self.slot] = FADE * array[self.slot] + value
            self.pending.clear()
            seen = self.weight > 0
            self.level = float((self.total[seen] / self.weight[seen]).mean())
        self.slot = slot
        self.pending.append(y)
        if not (self.weight > 0).any():
            self.level = sum(self.pending) / len(self.pending)

    def _season(self, at_ms: int) -> float:
        """Level, time of day and time of week."""
        weight = self.weight.reshape(7, -1)
        slot = self._slot(at_ms)
        day, place = divmod(slot, weight.shape[1])
        by_day = weight.sum(0)
        if by_day.max() < 1.9:
            return self.level
        total, square = self.total.reshape(7, -1), self.square.reshape(7, -1)
        mean = total.sum(0) / np.maximum(by_day, 1e-9) - self.level
        within = (square.sum(0) - total.sum(0) ** 2 / np.maximum(by_day, 1e-9)).sum() / max((by_day - 1).clip(0).sum(), 1e-9)
        effect = _shrunk(mean, by_day, within)
        rest = total / np.maximum(weight, 1e-9) - self.level - mean
        if weight[day, place] < 1.9:
            return float(self.level + effect[place])
        inside = (square - total**2 / np.maximum(weight, 1e-9)).sum() / max((weight - 1).clip(0).sum(), 1e-9)
        return float(self.level + effect[place] + _shrunk(rest.ravel(), weight.ravel(), inside)[slot])

    def _carry(self, at_ms: int) -> float:
        """What the last error says of the next."""
        if self.last_ms < 0 or at_ms - self.last_ms > 2 * self.window_ms:
            return 0.0
        prior = PRIOR_WINDOWS * self.spread**2
        return min(max(self.product / (self.power + prior), 0.0), 0.98) * self.last

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [
            self.window_ms, array_bytes(self.weight), array_bytes(self.total), array_bytes(self.square), self.slot, self.pending,
            self.product, self.power, self.spread, self.last, self.last_ms, self.level, self.windows,
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> VolumeForecast:
        """Inverse of `to_state`."""
        window_ms, weight, total, square, slot, pending, *rest = state
        forecast = cls(window_ms)
        forecast.weight, forecast.total, forecast.square = (read_array(a, np.float64, forecast.slots) for a in (weight, total, square))
        forecast.slot, forecast.pending = slot, list(pending)
        forecast.product, forecast.power, forecast.spread, forecast.last, forecast.last_ms, forecast.level, forecast.windows = rest
        return forecast


def _shrunk(means: Floats, visits: Floats, noise: float) -> Floats:
    """Effects times the share of their variance that is not noise; 0 where nothing was seen."""
    seen = visits > 0
    if seen.sum() < 2:
        return np.zeros(len(means))
    wrong = noise / np.maximum(visits, 1e-9)
    between = max(float(np.mean(means[seen] ** 2 - wrong[seen])), 0.0)
    return np.asarray(np.where(seen, means * between / np.maximum(between + wrong, 1e-12), 0.0))
