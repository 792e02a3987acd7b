"""Stopping when asked: Ctrl-C and SIGTERM end a loop between two steps, and the command exits 0."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Event]:
    """An event that SIGINT or SIGTERM sets; a second one ends the process at once. Outside the main thread nothing is handled."""
    stopped = Event()
    if current_thread() is not main_thread():
        yield stopped
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()
        for kind in kinds:
            signal.signal(kind, signal.SIG_DFL)

    for kind in kinds:
        signal.signal(kind, stop)
    try:
        yield stopped
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
