"""Points in time as operators write them in documents: ISO 8601 dates and date-times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"
ZONED = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_ms(text: str, *, end: bool = False) -> int:
    """Milliseconds since the epoch of `text`, UTC where it names no zone. ValueError when there is no such moment.

    A bare date is midnight at its start; with `end`, at its end, so that "to 2026-12-26" includes the 26th.

    >>> moment_ms("1970-01-02"), moment_ms("1970-01-02", end=True), moment_ms("1970-01-01T01:00+01:00")
    (86400000, 172800000, 0)
    """
    if not re.fullmatch(MOMENT, text):
        raise ValueError(f"expected an ISO 8601 date or date-time, got {text!r}")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    if end and len(text) == len("2026-12-26"):
        since += timedelta(days=1)
    return since // timedelta(milliseconds=1)
