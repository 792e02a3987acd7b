"""`stream-monitor detect`: one detector."""

from __future__ import annotations

import sys

from stream_monitor.cli.options import with_settings
from stream_monitor.config.settings import Settings
from stream_monitor.streaming.detector_worker import run_detector


@with_settings("window", "state")
def detect(settings: Settings) -> None:
    """One detector: merges profiles into panes, judges them, publishes verdicts, alerts and references.

    Start as many as there are monitored topics, if one core is not enough:

        stream-monitor detect -b kafka:9092 --set worker=detector-1

    SIGTERM: leaves the group, exit 0 within 10 s; nothing is lost however it ends. Exit code 1 when Kafka refuses, or nothing moved for
    `watchdog_seconds`: let a supervisor start it again. Window and lateness must be those of the profilers.
    """
    sys.exit(run_detector(settings))
