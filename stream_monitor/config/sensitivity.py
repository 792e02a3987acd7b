"""The sensitivity in force for a topic: its own document over that of `*` over the built-in defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from stream_monitor.config.moments import moment_ms
from stream_monitor.config.patterns import matches, specificity
from stream_monitor.config.sensitivity_document import (
    ASPECTS,
    DEFAULT_ADAPTATION,
    DEFAULT_MAX_ALERTS,
    DEFAULT_TOPIC,
    AspectWeights,
    FieldWeights,
    SensitivityDocument,
    alerts_per_day,
    parse_sensitivity,
)

__all__ = ["ASPECTS", "DEFAULT_TOPIC", "Sensitivity", "SensitivityDocument", "parse_sensitivity"]

StructT = TypeVar("StructT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Sensitivity:
    """What is in force for one topic; `document` is the merged one. Immutable, and equal when the documents are.

    >>> sensitivity = Sensitivity.of(None, parse_sensitivity({"aspects": {"volume": 0}, "fields": {"email": {"completeness": 5}}}))
    >>> sensitivity.alerts_per_day, sensitivity.aspect_weight("volume"), sensitivity.weight("completeness", "email")
    (1.0, 0.0, 5.0)
    """

    document: SensitivityDocument = field(default_factory=SensitivityDocument)
    _weights: dict[tuple[str, str], float] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, default: SensitivityDocument | None = None, topic: SensitivityDocument | None = None) -> Sensitivity:
        """`topic` over `default` (the document of `*`), key by key; either may be absent."""
        below, above = default or SensitivityDocument(), topic or SensitivityDocument()
        merged = msgspec.structs.replace(
            _over(below, above),
            aspects=_over(_or(below.aspects, AspectWeights()), _or(above.aspects, AspectWeights())),
            fields=_merge_fields(_or(below.fields, {}), _or(above.fields, {})),
            fleet_max_alerts=below.fleet_max_alerts,
        )
        return cls(merged)

    @property
    def max_alerts(self) -> str:
        """The budget as the user wrote it."""
        return str(_or(self.document.max_alerts, DEFAULT_MAX_ALERTS))

    @property
    def alerts_per_day(self) -> float:
        """The budget in alerts a day, > 0."""
        return alerts_per_day(self.max_alerts)

    @property
    def fleet_alerts_per_day(self) -> float | None:
        """The budget of all topics together, in alerts a day, when there is one."""
        return None if self.document.fleet_max_alerts is UNSET else alerts_per_day(str(self.document.fleet_max_alerts))

    @property
    def adaptation(self) -> str:
        """How the baseline learns: continuous, on-shift, scheduled or frozen."""
        return str(_or(self.document.adaptation, DEFAULT_ADAPTATION))

    def aspect_weight(self, aspect: str) -> float:
        """Weight of an aspect; 1 unless set, 0 is off."""
        return float(_or(getattr(_or(self.document.aspects, AspectWeights()), aspect, UNSET), 1.0))

    def weight(self, aspect: str, field: str | None = None) -> float:
        """Weight of an aspect in a field (None: of the record as a whole): aspect weight x field weight; 0 is off."""
        if field is None:
            return self.aspect_weight(aspect)
        key = (str(aspect), field)
        if key not in self._weights:
            self._weights[key] = self.aspect_weight(aspect) * self._field_weight(aspect, field)
        return self._weights[key]

    def without(self, aspect: str) -> Sensitivity:
        """The same with an aspect off.

        >>> Sensitivity().without("volume").aspect_weight("volume")
        0.0
        """
        weights = msgspec.structs.replace(_or(self.document.aspects, AspectWeights()), **{str(aspect): 0.0})
        return Sensitivity(msgspec.structs.replace(self.document, aspects=weights))

    def muted(self, at_ms: int) -> str | None:
        """Why the topic is quiet at that time (ms since the epoch): the reason of its mute or planned window; None when it is not."""
        mute = self.document.mute
        if mute is not UNSET and at_ms < moment_ms(mute.until):
            return mute.reason or "muted"
        for planned in _or(self.document.planned, ()):
            if planned.start_ms <= at_ms < planned.end_ms:
                return planned.reason or "planned"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and msgpack; `from_dict` reads it back."""
        return self.document.to_dict()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sensitivity:
        """Reads what `to_dict` wrote; SensitivityError when it is something else."""
        return cls(parse_sensitivity(values))

    def _field_weight(self, aspect: str, path: str) -> float:
        entries = _or(self.document.fields, {})
        matching = [entries[pattern] for pattern in sorted(entries, key=specificity, reverse=True) if matches(pattern, path)]
        if next((entry.ignore for entry in matching if entry.ignore is not UNSET), False):
            return 0.0
        weights = (getattr(entry, aspect, UNSET) for entry in matching)
        return float(next((weight for weight in weights if weight is not UNSET), 1.0))


def _or(value: Any, default: Any) -> Any:
    return default if value is UNSET else value


def _over(below: StructT, above: StructT) -> StructT:
    """`above` where it says something, else `below`."""
    said = {name: getattr(above, name) for name in above.__struct_fields__ if getattr(above, name) is not UNSET}
    return msgspec.structs.replace(below, **said)


def _merge_fields(below: Mapping[str, FieldWeights], above: Mapping[str, FieldWeights]) -> dict[str, FieldWeights]:
    merged = dict(below)
    for pattern, weights in above.items():
        merged[pattern] = _over(below.get(pattern, FieldWeights()), weights)
    return merged
