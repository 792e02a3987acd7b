"""Profilers and detectors as processes of their own, which can be killed, started again and asked to leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

LEAVING_SECONDS = 15.0


class Roles:
    """The processes of an installation by name, e.g. `profiler-1`, `detector-2`: the name says the role, and is that of the worker.

    Their logs and local state are in `folder`. As a context manager it kills at the end what still runs.
    """

    def __init__(self, bootstrap: str, prefix: str, topics: Sequence[str], folder: Path, *, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self._shared = ["--bootstrap-servers", bootstrap, "--prefix", prefix, "--log-format", "json", *options]
        self._topics = [argument for topic in topics for argument in ("--topic", topic)]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    @property
    def running(self) -> tuple[str, ...]:
        """Names of those that were started and not ended by us."""
        return tuple(self._running)

    def start(self, name: str) -> None:
        """Starts one; its log goes on in the file that it had before."""
        command = [sys.executable, "-m", "stream_monitor", *self._arguments(name), "--set", f"worker={name}", *self._shared]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAM_MONITOR_")}
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def kill(self, name: str) -> None:
        """SIGKILL, and it is gone when this returns."""
        process = self._running.pop(name)
        process.kill()
        process.wait(10)

    def leave(self) -> dict[str, tuple[int, float]]:
        """SIGTERM to all; exit code and seconds of each."""
        began, left, codes = time.monotonic(), dict(self._running), {}
        for process in left.values():
            process.send_signal(signal.SIGTERM)
        while left and time.monotonic() - began < LEAVING_SECONDS:
            for name in [name for name, process in left.items() if process.poll() is not None]:
                codes[name] = (left.pop(name).returncode, time.monotonic() - began)
            time.sleep(0.05)
        assert not left, f"{sorted(left)} did not leave in {LEAVING_SECONDS} s: {self.last_words(next(iter(left)))}"
        self._running.clear()
        return codes

    def check(self) -> None:
        """Fails with its last words if one has ended by itself."""
        for name, process in self._running.items():
            assert process.poll() is None, f"{name} ended with exit code {process.returncode}:\n{self.last_words(name)}"

    def log(self, name: str) -> Path:
        """What it printed, over all its starts."""
        return self.folder / f"{name}.log"

    def last_words(self, name: str) -> str:
        """The end of its log."""
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-15:])

    def _arguments(self, name: str) -> list[str]:
        if name.startswith("profiler"):
            return ["profile", *self._topics]
        return ["detect", "--state-directory", str(self.folder / f"{name}.state")]
