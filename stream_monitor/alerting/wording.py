"""Numbers, ranges and names as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

MAX_NAME = 120
"""Characters of a field name that are printed."""
DAYS_PER_YEAR = 365.25

Formatter = Callable[[float, int], str]
"""A number and the significant digits to show -> text without a unit."""


def printable(name: str) -> str:
    r"""A field or topic name that can't drive a terminal: what isn't printable (controls, text direction) is escaped, what is long is cut.

    >>> printable("a\x1b[31mb\u202e")
    'a\\x1b[31mb\\u202e'
    """
    text = "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in name[: MAX_NAME + 1])
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def percent(share: float, digits: int = 2) -> str:
    """A fraction in percent, without the sign; all of the digits count from the nearer end, so that 99.97 % is not 100 %.

    >>> [percent(share) for share in (0, 0.00304, 0.0666, 0.213, 0.99902, 0.99968, 1)]
    ['0', '0.3', '6.7', '21', '99.9', '99.97', '100']
    """
    value = 100 * share
    if 99 < value < 100:
        places = digits - 2 - math.floor(math.log10(100 - value))
        return _short(f"{value:.{min(12, max(0, places))}f}")
    return number(value, digits if abs(value) < 10 else max(digits, 2))


def number(value: float, digits: int = 3) -> str:
    """Significant digits, thousands apart, no exponent between 1e-4 and 1e15; integers below 100,000 in full.

    >>> [number(value) for value in (0, 1234, 1234567, 0.12345, -12.5, 3e-9, 2e18)]
    ['0', '1,234', '1,230,000', '0.123', '-12.5', '3e-09', '2e+18']
    """
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else ("-" if value < 0 else "") + "infinity"
    if value == 0 or (value == int(value) and abs(value) < 1e5 and digits >= 3):
        return f"{value:,.0f}"
    size = math.floor(math.log10(abs(value)))
    if not -5 < size < 15:
        return f"{value:.{digits}g}"
    rounded = round(value, digits - 1 - size)
    text = f"{rounded:,.{max(0, digits - 1 - size)}f}"
    return _short(text)


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(ms: float, digits: int = 2) -> str:
    """Milliseconds in the unit that suits.

    >>> [duration(ms) for ms in (0, 350, 12_000, 90_000, 7_200_000, 86_400_000, 200_000_000)]
    ['0 ms', '350 ms', '12 s', '1.5 min', '2 h', '1 day', '2.3 days']
    """
    if ms == 8.64e7:
        return "1 day"
    for limit, size, unit in ((1e3, 1, "ms"), (6e4, 1e3, "s"), (3.6e6, 6e4, "min"), (8.64e7, 3.6e6, "h"), (math.inf, 8.64e7, "days")):
        if abs(ms) < limit:
            return f"{number(ms / size, digits)} {unit}"
    return "unknown"


def told_apart(observed: float, expected: tuple[float, float], write: Formatter, digits: int) -> tuple[str, str, str]:
    """Observed, low and high as text, with as many digits as it takes to tell the observed one from the limits."""
    low, high = expected
    for more in range(digits, digits + 4):
        texts = write(observed, more), write(low, more), write(high, more)
        if all(texts[0] != text or observed == limit for text, limit in zip(texts[1:], expected, strict=True)):
            break
    return texts


def usual(low: float, high: float, low_text: str, high_text: str, unit: str = "") -> str:
    """What is usual, as a clause; empty if neither limit is finite."""
    tail = f"{unit} is usual"
    if math.isfinite(low) and math.isfinite(high):
        if low_text == high_text:
            return f"{low_text}{tail}"
        if low_text == "0":
            return f"up to {high_text}{tail}"
        joint = " to " if "-" in low_text + high_text or " " in low_text + high_text else "-"
        return f"{low_text}{joint}{high_text}{tail}"
    if math.isfinite(high):
        return f"up to {high_text}{tail}"
    return f"at least {low_text}{tail}" if math.isfinite(low) else ""


def how_often(days: float) -> str:
    """A return period in words.

    >>> [how_often(days) for days in (0.1, 1.0, 45.2, 900)]
    ['about every 2 hours', 'about once a day', 'about once in 45 days', 'about once in 2 years']
    >>> [how_often(days) for days in (1e6, 1e12, 0.02, 0)]
    ['less than once in a century', 'practically never', 'about every 29 minutes', 'all the time']
    """
    if math.isnan(days) or days <= 0:
        return "all the time"
    if days >= 1e9:
        return "practically never"
    if days >= 100 * DAYS_PER_YEAR:
        return "less than once in a century"
    if days >= 2 * DAYS_PER_YEAR:
        return f"about once in {days / DAYS_PER_YEAR:.0f} years"
    if days >= 1.5:
        return f"about once in {days:.0f} days"
    if days >= 0.75:
        return "about once a day"
    for unit, size in (("hours", 24), ("minutes", 1440)):
        if size * days >= 1.5:
            return f"about every {size * days:.0f} {unit}"
    return "all the time"


def listing(names: Sequence[str], most: int = 5) -> str:
    """Names in a row.

    >>> listing(["a"]), listing(["a", "b", "c"]), listing(list("abcdefgh"), 3)
    ('a', 'a, b and c', 'a, b, c and 5 more')
    """
    shown = list(names[:most])
    last = [f"{len(names) - most} more"] if len(names) > most else [shown.pop()]
    return " and ".join(filter(None, [", ".join(shown), *last]))
