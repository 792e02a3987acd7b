"""Event time read from a field of the value. A slow path: each value is parsed once more (0.5-1 us a narrow record)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray


def event_times(values: Sequence[bytes | None], path: str, otherwise_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Epoch ms (n,) from the field at dotted `path`: a number (s, ms, us or ns by its size), the same as a string, or ISO 8601 (UTC
    unless it says otherwise). `otherwise_ms` where the field is absent, null, or no time.
    """
    times = otherwise_ms.copy()
    keys = path.split(".")
    for place, value in enumerate(values):
        found = None if value is None else _field(value, path, keys)
        if found is not None:
            moment = to_epoch_ms(found)
            times[place] = times[place] if moment is None else moment
    return times


def to_epoch_ms(value: Any) -> int | None:
    """Epoch ms of a JSON value; None if it is no time, or before 1970.

    >>> to_epoch_ms(1_700_000_000), to_epoch_ms("2023-11-14T22:13:20Z"), to_epoch_ms("soon")
    (1700000000000, 1700000000000, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_number(value)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        try:
            return _from_number(float(value))
        except ValueError:
            return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _not_negative(math.floor(moment.timestamp() * 1000 + 1e-6))


def _from_number(number: float) -> int | None:
    """Seconds below 10^11 (year 5138), then ms, us, ns, each a thousand times further."""
    if not math.isfinite(number):
        return None
    for limit, scale in ((1e11, 1000), (1e14, 1), (1e17, 1e-3), (1e20, 1e-6)):
        if abs(number) < limit:
            return _not_negative(math.floor(number * scale))
    return None


def _not_negative(milliseconds: int) -> int | None:
    return milliseconds if milliseconds >= 0 else None


def _field(value: bytes, path: str, keys: list[str]) -> Any:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, dict) and path in found:
        return found[path]
    for key in keys:
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    return found
