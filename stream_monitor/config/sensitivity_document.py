"""The sensitivity document: the one knob, turned live through the config topic.

    {"max_alerts": "2/day",
     "aspects": {"completeness": 3, "uniqueness": 0},
     "fields": {"email": {"completeness": 5}, "debug.*": {"ignore": true}},
     "mute": {"until": "2026-12-01T06:00:00Z", "reason": "migration"},
     "planned": [{"from": "2026-12-24", "to": "2026-12-26", "reason": "holidays"}],
     "adaptation": "continuous"}

Every key is optional. Precedence, from the most to the least specific:

- A topic's document overrides the document of `*` key by key, down into `aspects` (by aspect) and `fields` (by pattern and aspect).
  `mute` and `planned` override as a whole: `"planned": []` takes the default's away, and a `mute` that is over unmutes.
- Of several patterns that match a field, the most specific one that speaks of an aspect (or of `ignore`) decides: an exact path
  before a pattern, then the pattern with more literal characters. `*` is any run of characters, dots too; `?` is one.
- The weight of a metric is the aspect's weight times the field's; 0 is off.

Times: a bare date is the whole day, so `to` includes it; a date-time `to` is excluded. Without a zone, UTC; `mute.until` must have one.
A month is 30 days.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stream_monitor.config.moments import MOMENT, ZONED, moment_ms
from stream_monitor.config.strict import RefusalError, load_object, read_struct
from stream_monitor.errors import SensitivityError

ASPECTS = ("conformity", "uniqueness", "completeness", "integrity", "coherence", "volume", "timeliness")
DEFAULT_TOPIC = "*"
DEFAULT_MAX_ALERTS = "1/day"
DEFAULT_ADAPTATION = "continuous"

Adaptation = Literal["continuous", "on-shift", "scheduled", "frozen"]

_FREQUENCY = r"^[0-9]{1,9}(\.[0-9]{1,9})?/(hour|day|week|month)$"
_PER_DAY = {"hour": 24.0, "day": 1.0, "week": 1 / 7, "month": 1 / 30}

Frequency = Annotated[
    str,
    Meta(
        pattern=_FREQUENCY,
        description="Alerts wanted on healthy data, on average: <number>/<hour|day|week|month>.",
        examples=["2/day", "0.5/week"],
        extra={"expected": "<number above 0>/<hour|day|week|month> such as 2/day"},
    ),
]
Weight = Annotated[
    float, Meta(ge=0, le=1e6, description="1 is the default, 0 is off.", extra={"expected": "a weight: a number from 0 (off) to 1000000"})
]
Pattern = Annotated[str, Meta(min_length=1, max_length=500, extra={"expected": "a field or pattern of 1 to 500 characters"})]
Reason = Annotated[str, Meta(max_length=1000, extra={"expected": "a string of at most 1000 characters"})]
Zoned = Annotated[str, Meta(pattern=ZONED, extra={"expected": "an ISO 8601 time with its zone such as 2026-12-01T06:00:00Z"})]
Moment = Annotated[str, Meta(pattern=MOMENT, extra={"expected": "an ISO 8601 date or time such as 2026-12-24 or 2026-12-24T18:00:00Z"})]


def alerts_per_day(frequency: str) -> float:
    """Alerts a day in a text such as `2/day`; SensitivityError when it is none.

    >>> alerts_per_day("7/week"), alerts_per_day("1/hour")
    (1.0, 24.0)
    """
    expected = "<number above 0>/<hour|day|week|month> such as 2/day"
    if not re.fullmatch(_FREQUENCY, frequency):
        raise RefusalError("max_alerts", expected, frequency)
    number, _, unit = frequency.partition("/")
    if float(number) <= 0:
        raise RefusalError("max_alerts", expected, frequency, hint="weights of 0 or a mute switch alerts off")
    return float(number) * _PER_DAY[unit]


class AspectWeights(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """How much each aspect matters."""

    conformity: Weight | UnsetType = UNSET
    uniqueness: Weight | UnsetType = UNSET
    completeness: Weight | UnsetType = UNSET
    integrity: Weight | UnsetType = UNSET
    coherence: Weight | UnsetType = UNSET
    volume: Weight | UnsetType = UNSET
    timeliness: Weight | UnsetType = UNSET


class FieldWeights(AspectWeights, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """How much each aspect matters in the fields of a pattern."""

    ignore: bool | UnsetType = UNSET


class Mute(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """No alert is published and nothing is learned until then."""

    until: Zoned
    reason: Reason = "muted"

    def __post_init__(self) -> None:
        _moment("until", self.until)


class Planned(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """A stretch of time in which the data is known to be unusual."""

    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")
    reason: Reason = "planned"

    def __post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise RefusalError("to", f"a time after from ({self.start})", self.end)

    @property
    def start_ms(self) -> int:
        """First millisecond in it."""
        return _moment("from", self.start)

    @property
    def end_ms(self) -> int:
        """First millisecond after it."""
        return _moment("to", self.end, end=True)


class SensitivityDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    """What the config topic holds for a topic, or for `*`."""

    max_alerts: Frequency | UnsetType = UNSET
    aspects: AspectWeights | UnsetType = UNSET
    fields: dict[Pattern, FieldWeights] | UnsetType = UNSET
    mute: Mute | UnsetType = UNSET
    planned: tuple[Planned, ...] | UnsetType = UNSET
    adaptation: Adaptation | UnsetType = UNSET
    fleet_max_alerts: Frequency | UnsetType = UNSET

    def __post_init__(self) -> None:
        for key in ("max_alerts", "fleet_max_alerts"):
            frequency = getattr(self, key)
            if frequency is not UNSET:
                _frequency(key, frequency)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers: for JSON and msgpack; `parse_sensitivity` reads it back."""
        document: dict[str, Any] = msgspec.json.decode(self.encode())
        return document

    def encode(self) -> bytes:
        """JSON, for the config topic."""
        return msgspec.json.encode(self)


def parse_sensitivity(data: bytes | str | Mapping[str, Any], topic: str | None = None) -> SensitivityDocument:
    """The document in `data`, JSON or decoded JSON; `topic` (its key in the config topic), when known, is checked too.

    Raises SensitivityError, and nothing else, for the first thing wrong: it names the dotted key, what was expected and what came.

    >>> parse_sensitivity(b'{"max_alerts": "2/day"}').max_alerts
    '2/day'
    """
    document = read_struct(load_object(data), SensitivityDocument)
    if topic not in (None, DEFAULT_TOPIC) and document.fleet_max_alerts is not UNSET:
        raise SensitivityError("fleet_max_alerts", f"is shared by all topics: set it on {DEFAULT_TOPIC!r}, not on {topic!r}")
    return document


def _frequency(key: str, text: str) -> float:
    try:
        return alerts_per_day(text)
    except RefusalError as error:
        raise RefusalError(key, error.expected, text, hint=error.hint) from error


def _moment(key: str, text: str, *, end: bool = False) -> int:
    try:
        return moment_ms(text, end=end)
    except (ValueError, OverflowError) as error:
        raise RefusalError(key, "a time that exists", text, hint=str(error)) from error
