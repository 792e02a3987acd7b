"""Child processes that are kept alive: what `run` starts on one machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from stream_monitor.events import get_logger

_log = get_logger(__name__)

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
HEALTHY_S = 60.0
"""A child that lived this long is started again at once, as if it had never died."""
STOP_S = 9.0
"""Children have this long to end after a signal; then they are killed."""


@dataclass(frozen=True, slots=True)
class Role:
    """A process to keep alive: `target(*arguments)`, importable, with arguments that can be sent to another process."""

    name: str
    target: Callable[..., None]
    arguments: tuple[Any, ...] = ()


class _Child:
    """One role, and when to start it again."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.process: BaseProcess | None = None
        self.delay_s = 0.0
        self.due_at = 0.0
        self.started_at = 0.0

    def start(self, now: float) -> None:
        # A fresh interpreter: librdkafka and numba don't survive a fork.
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_child, args=(self.role,), name=self.role.name)
        self.process.start()
        self.started_at = now

    def ended(self, now: float) -> None:
        assert self.process is not None
        code, lived = self.process.exitcode, now - self.started_at
        self.process.join()
        self.process.close()
        self.process = None
        self.delay_s = 0.0 if lived >= HEALTHY_S else min(LONGEST_DELAY_S, max(FIRST_DELAY_S, 2 * self.delay_s))
        self.due_at = now + self.delay_s
        _log.warning("child.ended", role=self.role.name, exit_code=code, lived_s=round(lived, 1), again_in_s=self.delay_s)


    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def join(self, within_s: float) -> None:
        """Waits until it has ended; then kills it."""
        if self.process is None:
            return
        self.process.join(within_s)
        if self.process.is_alive():
            _log.warning("child.killed", role=self.role.name, after_s=STOP_S)
            self.process.kill()
            self.process.join()
        self.process = None


class Supervisor:
    """Keeps roles alive: one that ends, however, is started again, at first after 1 s, then after twice as long, at most 30 s."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self._children = [_Child(role) for role in roles]

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` was set and all children have ended: within `STOP_S` and a moment."""
        try:
            while not stop.is_set():
                self._start_due()
                running = {child.process.sentinel: child for child in self._children if child.process is not None}
                for sentinel in wait(list(running), timeout=0.2):
                    running[sentinel].ended(time.monotonic())  # type: ignore[index]
        finally:
            self._stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the roles that run."""
        return {child.role.name: child.process.pid or 0 for child in self._children if child.process is not None}

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and now >= child.due_at:
                child.start(now)

    def _stop(self) -> None:
        running = [child for child in self._children if child.process is not None]
        deadline = time.monotonic() + STOP_S
        for child in running:
            child.terminate()
        for child in running:
            child.join(max(0.0, deadline - time.monotonic()))


def _child(role: Role) -> None:
    """In the child: ends like the parent asks, and when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes it on as SIGTERM
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), name="follow-parent", daemon=True).start()
    role.target(*role.arguments)


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
