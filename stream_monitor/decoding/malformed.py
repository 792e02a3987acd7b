"""Why a value is not a record: a small fixed set of reasons, found only for the values that failed."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Reasons why a value can't be decoded as JSON."""

    EMPTY = "empty"  # no bytes, or nothing but white space
    TOO_LARGE = "too_large"  # more bytes than the decoder's max_bytes; not looked at
    TOO_DEEP = "too_deep"  # over 1,024 levels of nesting, which is the parser's own limit
    TRUNCATED = "truncated"  # the bytes end before the value does
    INVALID_UTF8 = "invalid_utf8"
    BYTE_ORDER_MARK = "byte_order_mark"  # JSON behind a UTF-8 byte order mark
    LONE_SURROGATE = "lone_surrogate"  # half of a \\ud83d\\ude00 pair: no text has it
    NAN_LITERAL = "nan_literal"  # JSON but for NaN, Infinity or -Infinity
    NUMBER_RANGE = "number_range"  # a number beyond float64, e.g. 1e400
    INVALID_JSON = "invalid_json"  # everything else


# What orjson says, since it tells kinds of failures apart by text alone. The tests pin each of them.
_SAID = (
    ("unexpected end of data", Reason.TRUNCATED),
    ("depth limit", Reason.TOO_DEEP),
    ("surrogate in string", Reason.LONE_SURROGATE),
    ("number is infinity", Reason.NUMBER_RANGE),
    ("byte order mark", Reason.BYTE_ORDER_MARK),
)


def why(value: bytes, error: ValueError) -> Reason:
    """The reason that orjson refused `value` with `error`. Some microseconds, and 10-20 ns a byte where NaN is suspected."""
    if not value.strip(b" \t\r\n"):
        return Reason.EMPTY
    if not _is_utf8(value):
        return Reason.INVALID_UTF8
    said = str(error)
    for words, reason in _SAID:
        if words in said:
            return reason
    return Reason.NAN_LITERAL if _has_only_nan_wrong(value) else Reason.INVALID_JSON


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_only_nan_wrong(value: bytes) -> bool:
    """Whether Python's parser, which takes NaN and Infinity for numbers, reads it."""
    if b"NaN" not in value and b"Infinity" not in value:
        return False
    found: list[str] = []

    def note(literal: str) -> Any:
        found.append(literal)

    try:
        json.loads(value, parse_constant=note)
    except (ValueError, RecursionError):
        return False
    return bool(found)
