"""`stream-monitor run`: everything on one machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stream_monitor.cli.console import notes
from stream_monitor.cli.options import with_settings
from stream_monitor.cli.stopping import stop_on_signals
from stream_monitor.cli.supervisor import Role, Supervisor
from stream_monitor.config.settings import Settings
from stream_monitor.errors import SettingsError, StreamMonitorError
from stream_monitor.events import configure_logging


@with_settings("topics", "window", "state")
def run(
    settings: Settings, profilers: Annotated[int, typer.Option(min=1, help="Profiler processes, at most one a partition.")] = 1
) -> None:
    """Monitor topics: profilers and a detector, as processes of this machine.

        stream-monitor run -b localhost:9092 -t orders -t payments

    A process that dies is started again. SIGTERM or Ctrl-C: all flush, commit and leave within 10 s, exit 0.
    """
    if not settings.topics:
        raise SettingsError("topics: expected at least one topic to monitor, got none; give --topic")
    # What is wrong with the broker is told here, once, and not by every child again and again.
    from stream_monitor.streaming.detector_worker import prepare_topics

    prepare_topics(settings)
    with stop_on_signals() as stop:
        _print_next(settings)
        Supervisor(roles(settings, profilers)).run(stop)


def roles(settings: Settings, profilers: int) -> list[Role]:
    """The processes of an installation on one machine. Each profiler has a stable name of its own: it fences what a killed one left."""
    names = [f"{settings.worker}-{number}" for number in range(1, profilers + 1)]
    wanted = [Role(f"profiler {name}", _profile, (settings.model_copy(update={"worker": name}),)) for name in names]
    return [*wanted, Role("detector", _detect, (settings,))]


def _profile(settings: Settings) -> None:
    from stream_monitor.streaming.profiler_process import run_profiler
    from stream_monitor.streaming.stop_signal import stop_on_signals as stop_even_inside_the_client

    stop = stop_even_inside_the_client()
    configure_logging(settings.log_level, settings.log_format)
    try:
        run_profiler(settings, stop)
    except StreamMonitorError as error:
        sys.exit(f"stream-monitor: {error}")


def _detect(settings: Settings) -> None:
    from stream_monitor.streaming.detector_worker import run_detector

    configure_logging(settings.log_level, settings.log_format)
    try:
        code = run_detector(settings)
    except StreamMonitorError as error:
        sys.exit(f"stream-monitor: {error}")
    sys.exit(code)


def _print_next(settings: Settings) -> None:
    console = notes()
    where = f"-b {settings.bootstrap_servers}" + (f" --prefix {settings.prefix}" if settings.prefix != "stream-monitor" else "")
    example = next((topic for topic in settings.topics if not topic.startswith("^")), "TOPIC")
    lines = (
        f"monitoring {', '.join(settings.topics)}",
        f"alerts go to the topic {settings.names.alerts} on {settings.bootstrap_servers}",
        "next, in another terminal:",
        f"  stream-monitor watch {where}",
        f"  stream-monitor tune {example} --max-alerts 2/day {where}",
        "stop with Ctrl-C",
    )
    for line in lines:
        console.print(line, soft_wrap=True)  # a command that is cut in two can't be pasted
