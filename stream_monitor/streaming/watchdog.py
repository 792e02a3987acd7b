"""A watchdog: a process that stops making progress ends itself, so that whoever supervises it starts it again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from stream_monitor.events import get_logger

_log = get_logger(__name__)


class Watchdog:
    """Calls `on_expire` when `feed` was not called for `limit_s` seconds.

    It has its own thread, because what it watches for is a main thread stuck inside a client library. By default it ends the process with
    exit code 1 at once: a stuck client can't be closed, and transactions and groups time out on the broker's side.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        what: str,
        monotonic: Callable[[], float] = time.monotonic,
        on_expire: Callable[[], None] = lambda: os._exit(1),
    ) -> None:
        self._limit_s = limit_s
        self._what = what
        self._monotonic = monotonic
        self._on_expire = on_expire
        self._fed_at = monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Starts to count from now."""
        self.feed()
        self._thread.start()

    def feed(self) -> None:
        """There was progress."""
        self._fed_at = self._monotonic()

    def stop(self) -> None:
        """Stops watching; bounded by one tick."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    @property
    def silent_s(self) -> float:
        """Seconds since the last progress."""
        return self._monotonic() - self._fed_at

    def _watch(self) -> None:
        tick = min(1.0, self._limit_s / 4)
        while not self._stop.wait(tick):
            if self.silent_s > self._limit_s:
                _log.error("watchdog.expired", what=self._what, silent_s=round(self.silent_s, 1), limit_s=self._limit_s)
                self._on_expire()
                return
