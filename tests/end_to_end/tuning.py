"""Turning the sensitivity of one topic while it is judged: four documents, one of them invalid, and windows under each."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from stream_monitor.cli.topic_reader import write
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
from tests.end_to_end.journal import committed_deltas
from tests.end_to_end.plans import WINDOW_MS
from tests.end_to_end.run import Run
from tests.end_to_end.undisturbed import Undisturbed

RARE, OFTEN = {"max_alerts": "0.1/day"}, {"max_alerts": "50/day"}
IN_FORCE: dict[str, dict[str, Any]] = {"rare": RARE, "invalid": RARE, "often": OFTEN, "blind": {**OFTEN, "aspects": {"conformity": 0}}}
"""Name of a document -> what is in force after it."""
WINDOWS = {"rare": 7, "invalid": 4, "often": 8, "blind": 4}
"""Name of a document -> windows produced after it."""


class Tuning:
    """Call `all` when everything produced is judged."""

    def __init__(self, run: Run, topic: str) -> None:
        self.topic = topic
        self.offsets: dict[str, int] = {}
        """Name of a document -> its offset on the config topic."""
        self._run = run
        self._windows: dict[str, range] = {}

    def all(self) -> None:
        """0.1/day; a document with a mistake; 50/day; an aspect off."""
        self._tune("rare", "--max-alerts", "0.1/day")
        self._write("invalid", b'{"max_alerts": "99/day", "aspects": {"completness": 0}}')
        self._tune("often", "--max-alerts", "50/day")
        self._tune("blind", "--aspect", "conformity=0")

    def verdicts(self, document: str) -> list[Any]:
        """Of the windows from the first that was judged after the answer to a document, up to the next document."""
        return [self._run.journal.verdicts[self.topic, number * WINDOW_MS] for number in self._windows[document]]

    def obeyed(self, document: str, days: float) -> bool:
        """Whether all of them name the document in force, and alert when their return period is at least so many days."""
        offset = self.offsets["rare" if document == "invalid" else document]
        return all(
            verdict["config_offset"] == offset and verdict["alerting"] == (verdict["return_period_days"] >= days)
            for verdict in self.verdicts(document)
        )

    def undisturbed(self) -> Undisturbed:
        """One process, fed with what the profilers committed, with the same documents in force at the same windows."""
        offsets = {window: verdict["config_offset"] for window, verdict in self._run.journal.verdicts.items()}
        documents = {offset: Sensitivity.of(None, parse_sensitivity(IN_FORCE[name])) for name, offset in self.offsets.items()}
        return Undisturbed(self._run.settings, offsets, documents).judge(committed_deltas(self._run.settings))

    def _tune(self, document: str, *arguments: str) -> None:
        settings = self._run.settings
        where = ["--bootstrap-servers", settings.bootstrap_servers, "--prefix", settings.prefix]
        answered = len(self._answers("config.accepted"))
        command = [sys.executable, "-m", "stream_monitor", "tune", self.topic, *where, "--wait", "90", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=150)
        self._run.hear(lambda: len(self._answers("config.accepted")) > answered)
        self._go_on(document, self._answers("config.accepted")[-1]["offset"])

    def _write(self, document: str, content: bytes) -> None:
        """As `tune` would not: it refuses mistakes itself."""
        offset = write(self._run.settings, self._run.settings.names.config, self.topic, content)
        self._run.hear(lambda: bool(self._answers("config.rejected")))
        self._go_on(document, offset)

    def _answers(self, event: str) -> list[Any]:
        return self._run.journal.said(event, self.topic)

    def _go_on(self, document: str, offset: int) -> None:
        run, began = self._run, self._run.next - 1  # the window that is still open is the next to be judged
        self.offsets[document] = offset
        run.produce(run.next + WINDOWS[document])
        run.settle()
        self._windows[document] = range(began, run.next - 1)
