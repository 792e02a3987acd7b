"""Durations as people type them: `90s`, `10m`, `2h`, `1d`, `1w`."""

from __future__ import annotations

import re

from stream_monitor.errors import SettingsError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", re.ASCII)


def parse_duration(text: str, *, name: str = "duration") -> float:
    """Seconds in `text`; a bare number is seconds. SettingsError names the option when it is not a positive duration.

    >>> parse_duration("2h"), parse_duration("1.5m"), parse_duration("45")
    (7200.0, 90.0, 45.0)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    if not 0.0 < seconds < float("inf"):
        raise SettingsError(f"{name}: expected a duration above zero such as 90s, 10m, 2h or 1d, got {text!r}")
    return seconds
