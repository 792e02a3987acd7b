from __future__ import annotations

import time

import pytest

from stream_monitor.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_tells_the_time() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 5_000
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_moves_only_when_told() -> None:
    clock: Clock = ManualClock(1_000)
    assert (clock.now_ms(), clock.monotonic()) == (1_000, 0.0)
    assert isinstance(clock, ManualClock)
    clock.advance(1.5)
    clock.set_wall(50)
    clock.advance(0.25)
    assert (clock.now_ms(), clock.monotonic()) == (300, 1.75)
    with pytest.raises(ValueError, match="seconds >= 0"):
        clock.advance(-1)
