"""Time as a parameter: what needs the time is given a Clock, so that tests and replays own it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back. For time-outs and rates."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin."""
        return time.monotonic()


class ManualClock:
    """A clock that only moves when told to.

    >>> clock = ManualClock(1_000)
    >>> clock.advance(seconds=2.5)
    >>> clock.now_ms(), clock.monotonic()
    (3500, 2.5)
    """

    def __init__(self, now_ms: int = 0) -> None:
        self._start_ms = now_ms
        self._elapsed = 0.0

    def advance(self, seconds: float) -> None:
        """Let `seconds` (>= 0) go by."""
        if seconds < 0:
            raise ValueError(f"expected seconds >= 0, got {seconds}; use set_wall for a clock that is set back")
        self._elapsed += seconds

    def set_wall(self, now_ms: int) -> None:
        """Set the wall clock, as an operator or NTP would; the monotonic clock goes on."""
        self._start_ms = now_ms - round(self._elapsed * 1000)

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return self._start_ms + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed
