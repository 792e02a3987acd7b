"""`stream-monitor watch`: follows the alerts topic."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Message

from stream_monitor.cli.alert_lines import STYLES, alert_lines
from stream_monitor.cli.console import notes, output
from stream_monitor.cli.options import with_settings
from stream_monitor.cli.stopping import stop_on_signals
from stream_monitor.cli.topic_reader import TopicReader
from stream_monitor.config.settings import Settings
from stream_monitor.errors import FormatError


@with_settings("topics")
def watch(
    settings: Settings,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The events as they are, one a line.")] = False,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="All that the topic still has, then what comes.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many alerts.", metavar="N")] = None,
) -> None:
    """Follows the alerts: one paragraph each, as they are published; --topic shows those of some topics only. Ctrl-C ends it."""
    start = OFFSET_BEGINNING if from_beginning else OFFSET_END
    shown = 0
    with TopicReader(settings, settings.names.alerts, start=start) as reader, stop_on_signals() as stopped:
        notes().print(f"watching {settings.names.alerts} on {settings.bootstrap_servers}; Ctrl-C ends it")
        while not stopped.is_set() and (limit is None or shown < limit):
            message = reader.poll()
            if message is not None and _wanted(message, settings):
                shown += _show(message, as_json=as_json)


def _wanted(message: Message, settings: Settings) -> bool:
    return not settings.topics or settings.monitors((message.key() or b"").decode("utf-8", "replace"))


def _show(message: Message, *, as_json: bool) -> bool:
    """Prints one event; whether it was one."""
    console = output()
    try:
        event = _decode(message.value())
        lines = alert_lines(event, console.width)
    except FormatError as error:
        notes().print(f"skipped {message.topic()}[{message.partition()}]@{message.offset()}: {error}")
        return False
    if as_json:
        print(msgspec.json.encode(event).decode(), flush=True)
        return True
    severity = str(event["data"].get("severity"))
    for number, line in enumerate(lines):
        console.print(line, style=STYLES.get(severity, "") if number == 0 else "", soft_wrap=True)
    return True


def _decode(value: bytes | None) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FormatError(f"expected JSON ({error})") from error
    if not isinstance(event, dict):
        raise FormatError("expected a JSON object")
    return event
