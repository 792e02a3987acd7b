"""`stream-monitor doctor`: looks at settings, brokers, topics, permissions and clock, and says what to do."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import confluent_kafka
import msgspec
import typer
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]  # re-exported

from stream_monitor.cli import EXIT_FAILURE
from stream_monitor.cli.checks import (
    TIMEOUT_SECONDS,
    Check,
    Connection,
    Status,
    check_clock,
    check_cluster,
    check_groups,
    check_monitored,
    check_own_topics,
    check_permissions,
    connect,
)
from stream_monitor.cli.console import make_table, notes, output
from stream_monitor.cli.options import with_settings
from stream_monitor.clock import Clock, SystemClock
from stream_monitor.config.settings import Settings

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red", Status.SKIP: "dim"}


@with_settings("topics")
def doctor(
    settings: Settings,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The checks as JSON.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for a broker.")] = TIMEOUT_SECONDS,
) -> None:
    """Checks what the monitor needs, changes nothing, and exits with 1 when something needs doing before it can run."""
    notes().print(f"looking at {settings.bootstrap_servers}…")
    checks = list(examine(settings, SystemClock(), timeout))
    failures = sum(check.status is Status.FAIL for check in checks)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"ok": not failures, "checks": checks}), indent=2).decode())
    else:
        _print(checks, failures)
    if failures:
        raise typer.Exit(EXIT_FAILURE)


def examine(settings: Settings, clock: Clock, timeout: float = TIMEOUT_SECONDS) -> Iterator[Check]:
    """All checks, in the order in which one depends on another; those that need a broker that does not answer are left out."""
    yield Check("versions", Status.OK, _versions())
    yield Check("settings", Status.OK, f"valid; prefix {settings.prefix}, window {settings.window_seconds:g} s")
    check, ours = connect("broker", settings, clock, timeout)
    yield check
    if ours:
        yield check_cluster(ours)
        yield from check_own_topics(ours, settings)
        own = (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)
        yield from check_permissions(ours, settings.names, own)
    source = ours
    if settings.source:
        check, source = connect("source broker", settings.source, clock, timeout)
        yield check
        if source:
            yield check_cluster(source)
    if source:
        yield from _check_source(source, settings, clock)
    if ours:
        # The profilers' group is where the monitored topics are, the detector's where ours are.
        yield from check_groups(ours, [settings.detector_app])


def _check_source(source: Connection, settings: Settings, clock: Clock) -> Iterator[Check]:
    yield from check_monitored(source, settings)
    monitored = [name for name in source.topics if settings.monitors(name)]
    label = Connection("monitored topics'", source.cluster, source.admin, source.metadata)
    yield from check_permissions(label, monitored, (AclOperation.READ, AclOperation.DESCRIBE))
    yield check_clock(source, settings, clock)
    yield from check_groups(source, [settings.profiler_group])


def _print(checks: list[Check], failures: int) -> None:
    console = output()
    table = make_table("", "check", "found")
    for check in checks:
        table.add_row(check.status.value, check.name, check.found, style=None if check.status is Status.OK else _STYLES[check.status])
    console.print(table)
    remedies = [check for check in checks if check.remedy]
    if remedies:
        console.print("\nWhat to do", style="bold")
    for check in remedies:
        console.print(f"- {check.name}: {check.remedy}")
    warnings = sum(check.status is Status.WARN for check in checks)
    if failures or warnings:
        console.print(f"\n{failures} to repair, {warnings} to look at")
    else:
        console.print("\nall is well")


def _versions() -> str:
    try:
        own = version("stream-monitor")
    except PackageNotFoundError:
        own = "not installed"
    clients = f"confluent-kafka {confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}"
    return f"stream-monitor {own}, Python {platform.python_version()}, {clients}"
