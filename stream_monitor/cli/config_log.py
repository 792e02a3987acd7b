"""The config topic and the commands topic as a client sees them: read to the end, write, learn what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import OFFSET_END

from stream_monitor.cli.topic_reader import TIMEOUT_SECONDS, TopicReader, ensure, write
from stream_monitor.config.sensitivity import DEFAULT_TOPIC, SensitivityDocument, parse_sensitivity
from stream_monitor.config.settings import Settings
from stream_monitor.config.status import StatusEvent
from stream_monitor.errors import BrokerError, FormatError, SensitivityError, StreamMonitorError


class ConflictError(StreamMonitorError):
    """Somebody else changed the document between our reading and our writing."""


@dataclass(frozen=True)
class Documents:
    """What the config topic says of one topic, up to `end` (the next offset)."""

    topic: SensitivityDocument | None
    default: SensitivityDocument | None
    end: int


def read_documents(settings: Settings, topic: str) -> Documents:
    """The last valid documents of `topic` and of `*`; a rejected one leaves the one before in force, as the detector does."""
    found: dict[str, SensitivityDocument | None] = {}
    with TopicReader(settings, settings.names.config) as reader:
        for message in reader.to_end():
            key = (message.key() or b"").decode("utf-8", "replace")
            if key in (topic, DEFAULT_TOPIC):
                _take(found, key, message.value())
        return Documents(found.get(topic), found.get(DEFAULT_TOPIC), reader.next_offset)


def _take(found: dict[str, SensitivityDocument | None], key: str, value: bytes | None) -> None:
    if value is None:
        found[key] = None
        return
    try:
        found[key] = parse_sensitivity(value, key)
    except SensitivityError:
        return


def write_document(settings: Settings, topic: str, value: bytes | None, *, read_to: int, wait_seconds: float) -> StatusEvent | None:
    """Writes the document (None: back to default) read up to `read_to`, and waits for its acknowledgement: None when none came in time.

    Raises ConflictError when another document of the topic was written in between. That one is then written again, so that this call
    has changed nothing; of three writers at once, the last but one wins.
    """
    ensure(settings, settings.names.status)
    with TopicReader(settings, settings.names.status, start=OFFSET_END) as status:
        status.skip_to_end()
        offset = write(settings, settings.names.config, topic, value)
        others = _written_between(settings, topic, read_to, offset)
        if others:
            other_offset, other = others[-1]
            restored = write(settings, settings.names.config, topic, other)
            raise ConflictError(
                f"{topic}: the document changed in between (offset {other_offset} of {settings.names.config}); "
                f"that change is kept (offset {restored}) and yours is not made: run the command again"
            )
        return _await_answer(status, topic, offset, "config", wait_seconds)


def send_command(settings: Settings, topic: str, value: bytes, *, wait_seconds: float) -> tuple[int, StatusEvent | None]:
    """Writes a command and waits for what became of it: its offset, and the event, or None when none came in time."""
    ensure(settings, settings.names.status, settings.names.commands)
    with TopicReader(settings, settings.names.status, start=OFFSET_END) as status:
        status.skip_to_end()
        offset = write(settings, settings.names.commands, topic, value)
        return offset, _await_answer(status, topic, offset, "command", wait_seconds)


def _written_between(settings: Settings, topic: str, start: int, end: int) -> list[tuple[int, bytes | None]]:
    """(offset, value) of the records of `topic` in [start, end)."""
    if start >= end:
        return []
    found: list[tuple[int, bytes | None]] = []
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with TopicReader(settings, settings.names.config, start=start) as reader:
        while time.monotonic() < deadline:
            message = reader.poll()
            if message is None:
                continue
            offset = message.offset() or 0
            if offset >= end:
                return found
            if message.key() == topic.encode():
                found.append((offset, message.value()))
    raise BrokerError(f"{settings.names.config} could not be read up to offset {end} in {TIMEOUT_SECONDS:g} s; see `tune {topic} --show`")


def _await_answer(
    status: TopicReader, topic: str, offset: int, kind: str, seconds: float, monotonic: Callable[[], float] = time.monotonic
) -> StatusEvent | None:
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        message = status.poll()
        if message is None:
            continue
        try:
            event = StatusEvent.decode(message.value() or b"")
        except FormatError:
            continue
        if event.event.startswith(f"{kind}.") and event.offset == offset and event.topic in (topic, None):
            return event
    return None


def current_incident(settings: Settings, topic: str) -> str:
    """Id of the incident of `topic` that is open. Raises FormatError when none is, or when several are and one must be named."""
    open_incidents: dict[str, str] = {}
    with TopicReader(settings, settings.names.alerts) as reader:
        for message in reader.to_end():
            data = _incident(message.value())
            if data is None or data.get("topic") != topic:
                continue
            open_incidents.pop(str(data["incident"]), None)
            if data.get("status") != "resolved":
                open_incidents[str(data["incident"])] = str(data.get("explanation", ""))
    if not open_incidents:
        raise FormatError(f"{topic} has no open incident; `stream-monitor watch --from-beginning` shows the past ones with their ids")
    if len(open_incidents) > 1:
        raise FormatError(f"{topic} has {len(open_incidents)} open incidents, name one: {', '.join(open_incidents)}")
    return next(iter(open_incidents))


def _incident(value: bytes | None) -> dict[str, Any] | None:
    try:
        data = msgspec.json.decode(value or b"").get("data")
    except (msgspec.MsgspecError, ValueError, AttributeError, RecursionError):
        return None
    return data if isinstance(data, dict) and "incident" in data else None
