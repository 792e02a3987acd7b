"""From the surprises of metrics to return periods of aspects and of the window.

Two levels, each judged against its own history (detection/level.py): the largest surprise of an aspect, then the largest
calibrated surprise over aspects, each handicapped by its share of the budget. Both series can be recomputed from the
remembered surprises, so a change of weights takes effect at once and needs no training. The series of *openings* is
calibrated, not that of windows: surprising windows come in runs, and one incident is one alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
from numpy.typing import NDArray

from stream_monitor.config.sensitivity import Sensitivity
from stream_monitor.detection.level import Level
from stream_monitor.detection.memory import Remembered, Surprise
from stream_monitor.detection.verdict import Aspect

Floats = NDArray[np.float64]

MOST_CHANCE = 0.01
"""An aspect never alerts on what happens in more than one window in a hundred, whatever the budget."""
HUSHED = 4.0
"""Surprise (-log10 p) from which a field that is switched off is taken to be at fault."""
WINDOW_SHRINK = 40.0
"""The second level starts from p-values that are calibrated already, doubt included: their scale is known beforehand."""
UNNOTED = 0.3
"""What stands for surprises too small to be remembered."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Calibrated -log10 p of a window: by aspect, handicapped, and over all."""

    aspects: Mapping[Aspect, float]
    handicapped: Mapping[Aspect, float]
    window: float


class Calibration:
    """Levels of every aspect and of the window, for one sensitivity."""

    def __init__(self, windows: Sequence[Remembered], sensitivity: Sensitivity) -> None:
        self.sensitivity = sensitivity
        weights = {aspect: sensitivity.aspect_weight(aspect) for aspect in Aspect}
        total = sum(weights.values())
        self.shares = {aspect: weight / total for aspect, weight in weights.items() if weight > 0} if total > 0 else {}
        series = {aspect: np.full(len(windows), UNNOTED) for aspect in self.shares}
        for place, window in enumerate(windows):
            for aspect, value in self.largest(window.surprises).items():
                series[aspect][place] = value
        self.levels = {aspect: Level.fit(values) for aspect, values in series.items()}
        over_all = np.full(len(windows), UNNOTED)
        if series:
            over_all = np.max([self.levels[a].surprise(values) + log10(self.shares[a]) for a, values in series.items()], axis=0)
        self.level = Level.fit(over_all, WINDOW_SHRINK)

    def largest(self, surprises: Sequence[Surprise]) -> dict[Aspect, float]:
        """The largest surprise of each aspect that has a share, fields weighted: a field of weight w is allowed w times the alerts."""
        out = dict.fromkeys(self.shares, UNNOTED)
        hushed = self.is_hushed(surprises)
        for surprise in surprises:
            aspect = surprise.aspect
            if aspect not in out or (hushed and aspect == Aspect.COHERENCE):
                continue
            weight = self.sensitivity.weight(aspect, surprise.field) / self.sensitivity.aspect_weight(aspect)
            if weight > 0:
                out[aspect] = max(out[aspect], surprise.value + log10(weight))
        return out

    def is_hushed(self, surprises: Sequence[Surprise]) -> bool:
        """Whether a field that is switched off is itself at fault: then relations are broken by it, and nobody wants to hear of that."""
        return any(s.value >= HUSHED and s.field is not None and self.sensitivity.weight(s.aspect, s.field) == 0 for s in surprises)

    def judge(self, surprises: Sequence[Surprise]) -> Calibrated:
        """Of a new window."""
        aspects = {aspect: float(self.levels[aspect].surprise(value)) for aspect, value in self.largest(surprises).items()}
        handicapped = {aspect: value + log10(self.shares[aspect]) for aspect, value in aspects.items()}
        window = float(self.level.surprise(max(handicapped.values()))) if handicapped else 0.0
        return Calibrated(aspects, handicapped, window)

    def chance(self, window_days: float) -> float:
        """The chance a window may have of alerting: the budget, an alert a window at most one in a hundred."""
        return min(MOST_CHANCE, self.sensitivity.alerts_per_day * window_days)

    def alerting(self, calibrated: Calibrated, window_days: float) -> tuple[Aspect, ...]:
        """The aspects that alert, the most surprising first; none unless the window as a whole is within the budget."""
        chance = self.chance(window_days)
        if not calibrated.handicapped or calibrated.window < -log10(chance):
            return ()
        least = self.level.threshold(chance)
        ranked = sorted(calibrated.handicapped.items(), key=lambda item: (-item[1], item[0]))
        return tuple(aspect for place, (aspect, value) in enumerate(ranked) if place == 0 or value >= least)
