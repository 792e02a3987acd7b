"""Readings: the metrics of one window as arrays, each with the natural tail of its kind.

A metric is a rate (k of n), a level (a real number) or an energy (a non-negative statistic in nats, such as n times a
divergence). Every detector reads its metrics off a window into a `Readings`; charts judge them by kind, all at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.verdict import Aspect

Floats = NDArray[np.float64]


class Tail(IntEnum):
    """What kind of number a metric is, and so which tail it has."""

    RATE = 0
    LEVEL = 1
    ENERGY = 2


class Layer(IntEnum):
    """Causal order: a fault in an earlier layer explains surprises in the later ones."""

    RECORD = 0
    MISSING = 1
    FORM = 2
    DUPLICATE = 3
    RUN = 4
    VALUE = 5
    RELATION = 6
    FLOW = 7


class Spec(NamedTuple):
    """What a metric is."""

    aspect: Aspect
    field: str | None
    name: str
    detector: str
    layer: Layer
    tail: Tail
    one_sided: bool = False
    """Only more than usual is a fault."""
    floor: float = 0.0
    """Levels: differences of this size never matter."""
    other: str | None = None
    """The second field of a relation between two."""
    whole: bool = False
    """Read off all records of the window, by what profilers measured, instead of its sampled rows."""


@dataclass(slots=True)
class Readings:
    """Metrics of one window. `first` and `second` hold k and n of a rate, x and n of a level, e and n of an energy."""

    whole: bool = False
    """Of all metrics read: see `Spec.whole`."""
    specs: list[Spec] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)

    def rate(
        self, aspect: Aspect, path: str | None, name: str, k: float, n: float, layer: Layer, detector: str = "control_chart",
        *, one_sided: bool = False, other: str | None = None,
    ) -> None:
        """k of n; a rate of nothing (n = 0) says nothing."""
        self._add(Spec(aspect, path, name, detector, layer, Tail.RATE, one_sided, 0.0, other, self.whole), min(max(k, 0), n), n)

    def level(
        self, aspect: Aspect, path: str | None, name: str, x: float, n: float, layer: Layer, detector: str = "control_chart",
        *, floor: float, one_sided: bool = False, other: str | None = None,
    ) -> None:
        """A real number; NaN says nothing."""
        self._add(Spec(aspect, path, name, detector, layer, Tail.LEVEL, one_sided, floor, other, self.whole), x, n)

    def energy(
        self, aspect: Aspect, path: str | None, name: str, x: float, n: float, layer: Layer, detector: str = "control_chart"
    ) -> None:
        """A non-negative number in nats, so that healthy data exceeds x with a chance of about e^-x."""
        self._add(Spec(aspect, path, name, detector, layer, Tail.ENERGY, True, whole=self.whole), x, n)

    def _add(self, spec: Spec, first: float, second: float) -> None:
        self.specs.append(spec)
        self.first.append(first)
        self.second.append(second)


class Table:
    """Readings of several windows, aligned: `first` and `second` are (windows, metrics); what a window lacks is NaN, n = 0."""

    def __init__(self, specs: tuple[Spec, ...], times_ms: NDArray[np.int64], first: Floats, second: Floats) -> None:
        self.specs, self.times_ms, self.first, self.second = specs, times_ms, first, second

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def empty(cls) -> Table:
        """No windows, no metrics."""
        return cls((), np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros((0, 0)))

    @classmethod
    def of(cls, readings: Readings, time_ms: int) -> Table:
        """One window, that begins at `time_ms`."""
        first, second = (np.array([values], float) for values in (readings.first, readings.second))
        return cls(tuple(readings.specs), np.array([time_ms], np.int64), first, second)

    def columns(self, tail: Tail) -> NDArray[np.int64]:
        """Which metrics are of this kind."""
        return np.flatnonzero(np.fromiter((spec.tail == tail for spec in self.specs), np.bool_, len(self.specs)))

    def rows(self, keep: NDArray[np.bool_]) -> Table:
        """The windows where `keep` is true."""
        return Table(self.specs, self.times_ms[keep], self.first[keep], self.second[keep])

    def metrics(self, places: NDArray[np.int64]) -> Table:
        """The same windows with the metrics at these places only."""
        return Table(tuple(self.specs[place] for place in places.tolist()), self.times_ms, self.first[:, places], self.second[:, places])

    def without(self, specs: tuple[Spec, ...]) -> Table:
        """The same windows without the metrics `specs`."""
        known = set(specs)
        return self.metrics(np.array([place for place, spec in enumerate(self.specs) if spec not in known], np.int64))

    def aligned(self, specs: tuple[Spec, ...]) -> Table:
        """The same windows with the metrics `specs`, in their order."""
        if specs is self.specs or specs == self.specs:
            return Table(specs, self.times_ms, self.first, self.second)
        place = {spec: i for i, spec in enumerate(self.specs)}
        here = np.array([place.get(spec, -1) for spec in specs], np.int64)
        first, second = np.full((len(self), len(specs)), np.nan), np.zeros((len(self), len(specs)))
        found = here >= 0
        first[:, found], second[:, found] = self.first[:, here[found]], self.second[:, here[found]]
        return Table(specs, self.times_ms, first, second)

    def beside(self, other: Table) -> Table:
        """Both sets of metrics of the same windows."""
        first, second = np.hstack([self.first, other.first]), np.hstack([self.second, other.second])
        return Table(self.specs + other.specs, self.times_ms, first, second)

    def below(self, other: Table) -> Table:
        """The windows of both; metrics of either."""
        if not len(self):
            return other
        specs = self.specs
        if other.specs != specs:
            known = set(specs)
            specs = specs + tuple(spec for spec in other.specs if spec not in known)
        mine, theirs = self.aligned(specs), other.aligned(specs)
        times = np.concatenate([mine.times_ms, theirs.times_ms])
        return Table(specs, times, np.vstack([mine.first, theirs.first]), np.vstack([mine.second, theirs.second]))
