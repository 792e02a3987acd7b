"""Events of the status topic: what happened to the monitor itself, as opposed to the data it watches."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from stream_monitor.errors import FormatError


class StatusKind(StrEnum):
    """What happened. Readers must let unknown kinds pass: newer versions add some."""

    CONFIG_ACCEPTED = "config.accepted"
    CONFIG_REJECTED = "config.rejected"
    COMMAND_ACCEPTED = "command.accepted"
    COMMAND_REJECTED = "command.rejected"
    BASELINE_CHANGED = "baseline.changed"
    COLD_START_DONE = "cold-start.done"
    JOINED = "joined"
    BLIND = "blind"
    PANE_FORCED = "pane.forced"


class StatusEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event; its Kafka key is `source`.

    event:   a `StatusKind`, or one of a newer version.
    at:      ISO 8601, UTC.
    topic:   the monitored topic, `*` for the default document, absent when it concerns all.
    source:  who says it: a worker (`detector@host`, `profiler-1@host`) or a monitored topic.
    offset:  of the record in the config or the commands topic that this answers.
    message: one line for people; a rejection names the key and what was expected.
    details: anything more, by name.
    """

    event: str
    at: str
    topic: str | None = None
    source: str = ""
    offset: int | None = None
    message: str = ""
    details: dict[str, Any] = {}

    @classmethod
    def at_ms(cls, event: StatusKind | str, now_ms: int, **values: Any) -> StatusEvent:
        """An event at `now_ms` (milliseconds since the epoch); the other fields by name."""
        return cls(event=str(event), at=iso_utc(now_ms), **values)

    def encode(self) -> bytes:
        """JSON, for the value of the Kafka record."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> StatusEvent:
        """Reads what `encode` wrote, and what newer versions add; FormatError on anything else."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(f"status event: expected JSON with 'event' and 'at', got {data[:80]!r} ({error})") from error


def iso_utc(at_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC, with milliseconds only when there are some.

    >>> iso_utc(0), iso_utc(1_500)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500Z')
    """
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")
