"""`stream-monitor profile`: one profiler."""

from __future__ import annotations

from stream_monitor.cli.options import with_settings
from stream_monitor.config.settings import Settings
from stream_monitor.streaming.profiler_process import run_profiler
from stream_monitor.streaming.stop_signal import stop_on_signals


@with_settings("topics", "window")
def profile(settings: Settings) -> None:
    """One profiler: reads monitored topics, sends their profiles to the detectors.

    Start as many as there are partitions, each with a name of its own:

        stream-monitor profile -b kafka:9092 -t orders -t '^payments[.].*' --set worker=profiler-1

    SIGTERM: flush, commit, leave the group, exit 0 within 10 s. Exit code 1 when Kafka refuses, another worker has the same name,
    or nothing could be committed for `watchdog_seconds`: let a supervisor start it again.
    """
    run_profiler(settings, stop_on_signals())
