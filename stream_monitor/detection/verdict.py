"""What is concluded about a window: metrics, findings, judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_RETURN_PERIOD_DAYS = 1e12
"""What an infinite return period is written as."""


class Aspect(StrEnum):
    """The aspects of data quality. The values are part of the contract."""

    CONFORMITY = "conformity"
    UNIQUENESS = "uniqueness"
    COMPLETENESS = "completeness"
    INTEGRITY = "integrity"
    COHERENCE = "coherence"
    VOLUME = "volume"
    TIMELINESS = "timeliness"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number read off a window, and how surprising it is on its own."""

    aspect: Aspect
    field: str | None
    name: str
    detector: str
    value: float
    n: int
    """Records (or values) that the number is about."""
    expected: tuple[float, float]
    """The central 99 % range on healthy data."""
    return_period_days: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One surprising metric of an alerting aspect."""

    aspect: Aspect
    field: str | None
    detector: str
    metric: str
    observed: float
    expected: tuple[float, float]
    return_period_days: float
    """The aspect's, after calibration."""
    share: float
    """Fraction of the window's records that are hit; NaN where it can't be known."""
    partitions: tuple[int, ...] | None
    """Source partitions that are hit, when only some are."""
    samples: tuple[tuple[int, int], ...]
    """(partition, offset) of some of the records hit."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that is concluded about one window of one topic."""

    topic: str
    start_ms: int
    end_ms: int
    records: int
    state: str
    """`cold` (no limits yet), `warming` (few windows of history, wide limits) or `ready`."""
    return_period_days: float
    aspects: Mapping[Aspect, float]
    """Return period in days of each aspect."""
    alerting: bool
    alerting_aspects: tuple[Aspect, ...]
    findings: tuple[Finding, ...]
    """Ranked, the likeliest cause first; of the alerting aspects only."""
    metrics: tuple[Metric, ...]
    """The most surprising ones, most surprising first."""
    reference: int
    """Version of the reference in force."""
