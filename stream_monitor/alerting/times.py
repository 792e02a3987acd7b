"""Times as the documents write them."""

from __future__ import annotations

import numpy as np


def iso_time(ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, with milliseconds only where there are any. Any int64 will do, also beyond year 9999.

    >>> iso_time(1_795_356_240_000), iso_time(1_500)
    ('2026-11-22T14:04:00Z', '1970-01-01T00:00:01.500Z')
    """
    return f"{np.datetime64(ms, 'ms')}".removesuffix(".000") + "Z"


def clock_time(ms: int) -> str:
    """Epoch milliseconds for people, to the minute (to the second where there are seconds).

    >>> clock_time(1_795_356_240_000), clock_time(1_795_356_245_000)
    ('2026-11-22 14:04 UTC', '2026-11-22 14:04:05 UTC')
    """
    text = iso_time(ms - ms % 1000).removesuffix("Z").replace("T", " ")
    return text.removesuffix(":00") + " UTC"
