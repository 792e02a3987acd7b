"""Event times of records in files: as people write them, or made up where there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import orjson

from stream_monitor.errors import InputError

SPACED_START_MS = 946_684_800_000
"""2000-01-01T00:00Z: where time starts for records without any."""
SPACED_RECORDS = 500
"""Records a window for records without a time."""
ACCEPTED = "epoch seconds or milliseconds, ISO 8601, or YYYY-MM-DD HH:MM:SS (UTC unless it says otherwise)"


def parse_time(value: Any) -> int | None:
    """Epoch milliseconds of a time as found in data; None if it is none. What has no time zone is UTC.

    Numbers are seconds, milliseconds, microseconds or nanoseconds, by size: below 1e11, 1e14, 1e17, above.

    >>> [parse_time(value) for value in (1_404_172_800, 1_404_172_800_000, "1404172800.5")]
    [1404172800000, 1404172800000, 1404172800500]
    >>> [parse_time(value) for value in ("2014-07-01 00:00:00", "2014-07-01T02:00:00+02:00", "20140701")]
    [1404172800000, 1404172800000, 1404172800000]
    >>> [parse_time(value) for value in (None, True, "soon", float("nan"), {})]
    [None, None, None, None, None]
    """
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if isinstance(value, date):
        return parse_time(datetime.combine(value, time()))
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return _from_number(value)
    return None


def _from_number(value: float) -> int:
    size = abs(value)
    if size < 1e11:
        return round(value * 1000)
    return round(value) if size < 1e14 else round(value / 1e3) if size < 1e17 else round(value / 1e6)


def _from_text(text: str) -> int | None:
    try:  # eight digits are a date, more are an epoch
        return parse_time(datetime.fromisoformat(text.strip())) if len(text) < 9 or not text.isdigit() else _from_number(int(text))
    except (ValueError, OverflowError):
        pass
    try:
        number = float(text)
        return _from_number(number) if math.isfinite(number) else None
    except ValueError:
        return None


def value_at(record: Any, path: str) -> Any:
    """The value at a dotted path of a decoded record, None if there is none; a key that itself holds dots wins.

    >>> value_at({"meta": {"at": 5}}, "meta.at"), value_at({"meta.at": 6}, "meta.at"), value_at([1], "meta.at")
    (5, 6, None)
    """
    if not isinstance(record, Mapping):
        return None
    if path in record:
        return record[path]
    head, dot, rest = path.partition(".")
    return value_at(record.get(head), rest) if dot else None


def time_like_fields(value: bytes | None) -> list[str]:
    """Top-level fields of a JSON record that look like a time: what to propose when none was named."""
    try:
        record = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return []
    return [name for name, found in record.items() if _looks_like_time(found)] if isinstance(record, dict) else []


def _looks_like_time(value: Any) -> bool:
    if isinstance(value, str) and (len(value) < 10 or not value[:4].isdigit()):
        return False
    parsed = parse_time(value)
    return parsed is not None and 8e11 < parsed < 4e12 and (isinstance(value, str) or value > 8e8)


class EventTimes:
    """Gives each record of a stream its time: its own, else that of the record before it, else evenly spaced."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._last: int | None = None
        self._spaced = 0
        self.undated = 0
        """Records whose own time could not be read."""

    def own(self, found: Sequence[Any], field: str) -> list[int]:
        """Epoch milliseconds of times as found in the records.

        Raises:
            InputError: the first records have none, so `field` is not where times are.
        """
        times = [parse_time(value) for value in found]
        if self._last is None:
            self._last = next((one for one in times if one is not None), None)
            if self._last is None:
                came = next((f"{type(value).__name__} in them" for value in found if value is not None), "nothing there")
                raise InputError(f"--timestamp-field {field}: expected {ACCEPTED} in the first {len(found)} records, got {came}")
        filled = []
        for one in times:
            if one is None:
                self.undated += 1
            else:
                self._last = one
            filled.append(self._last)
        return filled

    def spaced(self, n: int) -> list[int]:
        """Of the next n records: SPACED_RECORDS a window, from 2000-01-01."""
        first = self._spaced
        self._spaced += n
        return [SPACED_START_MS + place * self._window_ms // SPACED_RECORDS for place in range(first, first + n)]
