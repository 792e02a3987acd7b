"""Alerts as lines for people: what, where, why, and what to type next; never wider than asked.

Field names come from the monitored data, so nothing that a terminal would obey is let through.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from stream_monitor.errors import FormatError

STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def alert_lines(event: Mapping[str, Any], width: int = 80) -> list[str]:
    """Lines for one event of the alerts topic; FormatError when it is none."""
    data = event.get("data")
    if not isinstance(data, Mapping) or "incident" not in data or "topic" not in data:
        raise FormatError("expected a CloudEvent with an incident in its data")
    head = f"{_time(event)}  {_text(data, 'severity').upper():<8}  {_text(data, 'topic')}: {_text(data, 'status')} - {_subject(data)}"
    lines = textwrap.wrap(printable(head), width, subsequent_indent="  ", break_long_words=True)
    lines += _indented(_text(data, "explanation"), width)
    if data.get("status") == "opened":
        lines += _indented(f"incident {_text(data, 'incident')}", width)
    return lines


def printable(text: str) -> str:
    r"""`text` with control characters (escape sequences, line ends, direction marks) replaced.

    >>> printable("a\x1b[2Jb")
    'a\ufffd[2Jb'
    """
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), width, initial_indent="  ", subsequent_indent="  ", break_long_words=True)


def _subject(data: Mapping[str, Any]) -> str:
    findings = data.get("findings")
    first = findings[0] if isinstance(findings, list) and findings and isinstance(findings[0], Mapping) else {}
    field = first.get("field")
    return f"{_text(data, 'aspect')}{f' of {field}' if field else ''}"


def _time(event: Mapping[str, Any]) -> str:
    return str(event.get("time", "?")).replace("T", " ").removesuffix(":00Z").removesuffix("Z")


def _text(data: Mapping[str, Any], key: str) -> str:
    return str(data.get(key, "?"))
