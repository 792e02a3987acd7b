"""`stream-monitor tune`: changes the sensitivity of a topic, live, and answers incidents."""

from __future__ import annotations

import getpass
import socket
import uuid
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from stream_monitor.cli.config_log import Documents, current_incident, read_documents, send_command, write_document
from stream_monitor.cli.console import notes, output
from stream_monitor.cli.options import with_settings
from stream_monitor.cli.sensitivity_edits import Edits, apply_edits, describe_changes
from stream_monitor.cli.topic_reader import ensure
from stream_monitor.clock import SystemClock
from stream_monitor.config.commands import Action, Command
from stream_monitor.config.sensitivity import Sensitivity, SensitivityDocument, parse_sensitivity
from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent
from stream_monitor.errors import BrokerError, InputError, SensitivityError


@with_settings()
def tune(
    settings: Settings,
    topic: Annotated[str, typer.Argument(help="Monitored topic; '*' for the default of all.", metavar="TOPIC")],
    *,
    max_alerts: Annotated[str | None, typer.Option("--max-alerts", help="Alerts wanted on healthy data: 2/day.", metavar="N/UNIT")] = None,
    aspect: Annotated[list[str] | None, typer.Option("--aspect", help="Weight: completeness=3; 0 = off; repeat.", metavar="A=W")] = None,
    field: Annotated[list[str] | None, typer.Option("--field", help="email.completeness=5, debug.*.ignore=true.", metavar="F.A=W")] = None,
    mute: Annotated[str | None, typer.Option("--mute", help="No alerts for so long: 2h; or off.", metavar="DURATION")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why it is muted.")] = None,
    adaptation: Annotated[str | None, typer.Option("--adaptation", help="continuous, on-shift, scheduled or frozen.")] = None,
    fleet_max_alerts: Annotated[str | None, typer.Option("--fleet-max-alerts", help="For '*': all topics together.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Start from this document, not the current one.", metavar="S.json")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the default: takes the topic's document away.")] = False,
    accept: Annotated[str | None, typer.Option("--accept", help="This incident is the new normal: id, or current.", metavar="ID")] = None,
    reject: Annotated[str | None, typer.Option("--reject", help="This incident is never normal: id, or current.", metavar="ID")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was learned of the topic.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print what is in force, as JSON.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the acknowledgement.", metavar="S")] = 60.0,
) -> None:
    """Changes the sensitivity of a topic from its next window on. A value of `default` takes a key out.

    Example: `stream-monitor tune orders --max-alerts 2/day --aspect completeness=3 --field email.completeness=5 --mute 2h`
    """
    edits = Edits(max_alerts, fleet_max_alerts, tuple(aspect or ()), tuple(field or ()), mute, reason, adaptation)
    action = _action(topic, accept, reject, reset=reset)
    writes = edits.some or file is not None or default
    if not (writes or action or show):
        raise typer.BadParameter("nothing to do: give --max-alerts, --aspect, --field, --mute, --accept, --show… (see --help)")
    if default and (edits.some or file is not None):
        raise typer.BadParameter("--default takes the document away: it can't be combined with changes to it")
    if writes:
        _change(settings, topic, edits, file=file, default=default, wait_seconds=wait)
    if action:
        _command(settings, topic, *action, wait_seconds=wait)
    if show:
        _show(settings, topic)


def _change(settings: Settings, topic: str, edits: Edits, *, file: Path | None, default: bool, wait_seconds: float) -> None:
    ensure(settings, settings.names.config)
    current = read_documents(settings, topic)
    before = current.topic.to_dict() if current.topic else {}
    start = _read_file(file, topic).to_dict() if file else before
    after = parse_sensitivity({} if default else apply_edits(start, edits, SystemClock().now_ms()), topic)
    changes = describe_changes(before, after.to_dict())
    if not changes and not (default and current.topic):
        output().print(f"{topic}: nothing changes")
        return
    value = None if default else after.encode()
    event = write_document(settings, topic, value, read_to=current.end, wait_seconds=wait_seconds)
    _refuse_rejected(event)
    for line in changes:
        output().print(f"{topic}: {line}")
    _conclude(event, f"{settings.names.config}: the document is written", wait_seconds)


def _command(settings: Settings, topic: str, do: Action, incident: str | None, *, wait_seconds: float) -> None:
    if incident == "current":
        incident = current_incident(settings, topic)
    command = Command(do=do, incident=incident, id=str(uuid.uuid4()), who=_who())
    _, event = send_command(settings, topic, command.encode(), wait_seconds=wait_seconds)
    _refuse_rejected(event)
    output().print(f"{topic}: {do}{f' {incident}' if incident else ''}")
    _conclude(event, f"{settings.names.commands}: the command is written", wait_seconds)


def _refuse_rejected(event: StatusEvent | None) -> None:
    if event is not None and event.event.endswith(".rejected"):
        raise SensitivityError("", f"rejected by the detector: {event.message}")


def _conclude(event: StatusEvent | None, written: str, wait_seconds: float) -> None:
    """Tells that it is acknowledged; raises when nothing answered though that was waited for."""
    if event is not None:
        notes().print(event.message or "accepted; in force from the next window on")
    elif wait_seconds:
        raise BrokerError(f"{written}, but no detector answered in {wait_seconds:g} s: is one running? It takes effect when one does")
    else:
        notes().print(f"{written}; not waiting for the detector")


def _show(settings: Settings, topic: str) -> None:
    documents = read_documents(settings, topic)
    shown: dict[str, Any] = {
        "topic": topic,
        "document": documents.topic.to_dict() if documents.topic else None,
        "default": documents.default.to_dict() if documents.default else None,
        "in_force": _in_force(documents),
    }
    print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())


def _in_force(documents: Documents) -> dict[str, Any]:
    sensitivity = Sensitivity.of(documents.default, documents.topic)
    return {"max_alerts": sensitivity.max_alerts, "adaptation": sensitivity.adaptation, **sensitivity.to_dict()}


def _action(topic: str, accept: str | None, reject: str | None, *, reset: bool) -> tuple[Action, str | None] | None:
    wanted: list[tuple[Action, str | None]] = []
    if accept:
        wanted.append(("accept", accept))
    if reject:
        wanted.append(("reject", reject))
    if reset:
        wanted.append(("reset", None))
    if len(wanted) > 1:
        raise typer.BadParameter("one of --accept, --reject and --reset at a time")
    if wanted and topic == "*":
        raise typer.BadParameter("--accept, --reject and --reset are for one topic, not for '*'")
    return wanted[0] if wanted else None


def _read_file(file: Path, topic: str) -> SensitivityDocument:
    try:
        return parse_sensitivity(file.read_bytes(), topic)
    except OSError as error:
        raise InputError(f"{file}: can't be read: {error.strerror}") from error


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
