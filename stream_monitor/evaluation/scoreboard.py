"""Which alert caught which planting, after how long; and which alerts were about nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stream_monitor.detection.verdict import Aspect
from stream_monitor.evaluation.demo_plan import DemoPlan, Planting

AFTERMATH = 1
"""Windows after a planting in which an alert still counts as about it: some of it may arrive a little later."""
FORESHADOW = 1
"""Windows before a planting of late records that count too: a late record counts in the window where its partition's clock stands,
and the first of them come before any record has moved the clock on."""


@dataclass(frozen=True, slots=True)
class Catch:
    """A planting, and the alert that caught it."""

    planting: Planting
    incident: str
    aspect: str
    field: str | None
    severity: str
    explanation: str
    windows: int
    """Event time from the start of the planting to the end of the window that alerted, in windows (at least 1)."""
    seconds: float
    """Wall time from when the first message of the planting was produced to when the alert was read."""


@dataclass
class Scoreboard:
    """Told what is produced and what is alerted, it knows what was caught. Alerts are the `data` of the alerts topic's CloudEvents."""

    plan: DemoPlan
    catches: dict[int, Catch] = field(default_factory=dict)
    """By number of the planting's first window."""
    false: list[Mapping[str, Any]] = field(default_factory=list)
    """Alerts that opened an incident while nothing was planted."""
    _produced: dict[int, float] = field(default_factory=dict)

    def produced(self, number: int, at: float) -> None:
        """A window's first message is about to be produced, at `at` seconds of any steady clock."""
        self._produced[number] = at

    def alerted(self, alert: Mapping[str, Any], at: float) -> Catch | None:
        """Takes in an alert; what it caught, if it is the first to catch it."""
        number = window_number(alert, self.plan.stream.window_ms)
        planting = self._about(number)
        if alert["status"] == "resolved":
            return None
        if planting is None:
            if alert["status"] == "opened":
                self.false.append(alert)
            return None
        if planting.first in self.catches:
            return None
        leading = alert["findings"][0]
        catch = Catch(
            planting, alert["incident"], leading["aspect"], leading["field"], alert["severity"], alert["explanation"],
            max(1, number - planting.first + 1), at - self._produced.get(planting.first, at),
        )  # fmt: skip
        self.catches[planting.first] = catch
        return catch

    def _about(self, number: int) -> Planting | None:
        return next((p for p in self.plan.plantings if p.first - foreshadow(p) <= number <= p.last + AFTERMATH), None)

    @property
    def missed(self) -> tuple[Planting, ...]:
        """Plantings that no alert was about, so far."""
        return tuple(planting for planting in self.plan.plantings if planting.first not in self.catches)


def foreshadow(planting: Planting) -> int:
    """Windows before a planting in which an alert counts as about it."""
    return FORESHADOW if planting.corruption.aspect is Aspect.TIMELINESS else 0


def window_number(alert: Mapping[str, Any], window_ms: int) -> int:
    """Number of the last window that an alert is about (small windows may have been merged)."""
    end = datetime.fromisoformat(alert["window"]["end"])
    return (round(end.timestamp() * 1000) - 1) // window_ms
