"""What the options of `tune` change in a sensitivity document, and how the change is told. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import typer

from stream_monitor.cli.options import duration_option
from stream_monitor.config.status import iso_utc

UNSET_WORD = "default"


@dataclass(frozen=True)
class Edits:
    """The options of `tune` that change the document; None and empty change nothing, the word `default` takes a key out."""

    max_alerts: str | None = None
    fleet_max_alerts: str | None = None
    aspects: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    mute: str | None = None
    reason: str | None = None
    adaptation: str | None = None

    @property
    def some(self) -> bool:
        """Whether anything is to change."""
        return any((self.max_alerts, self.fleet_max_alerts, self.aspects, self.fields, self.mute, self.adaptation))


def apply_edits(document: Mapping[str, Any], edits: Edits, now_ms: int) -> dict[str, Any]:
    """`document` with the edits made; not yet validated. Raises a usage error for options that can't be read."""
    changed = copy.deepcopy(dict(document))
    for key in ("max_alerts", "fleet_max_alerts", "adaptation"):
        _put(changed, key, getattr(edits, key))
    for text in edits.aspects:
        aspect, value = _assignment("--aspect", text, "completeness=3")
        _put(changed.setdefault("aspects", {}), aspect, value)
    for text in edits.fields:
        path, value = _assignment("--field", text, "email.completeness=5")
        pattern, dot, aspect = path.rpartition(".")
        if not dot or not pattern:
            raise typer.BadParameter(f"--field: expected FIELD.ASPECT=WEIGHT such as email.completeness=5, got {text!r}")
        _put(changed.setdefault("fields", {}).setdefault(pattern, {}), aspect, value)
    _mute(changed, edits, now_ms)
    return _without_empty(changed)


def describe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line for each key that differs: `aspects.volume: 1 -> 0`; keys that are not set are at their default.

    >>> describe_changes({"max_alerts": "1/day"}, {"max_alerts": "2/day", "aspects": {"volume": 0}})
    ['max_alerts: 1/day -> 2/day', 'aspects.volume: default -> 0']
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    keys = [*old, *(key for key in new if key not in old)]
    return [f"{key}: {old.get(key, UNSET_WORD)} -> {new.get(key, UNSET_WORD)}" for key in keys if old.get(key) != new.get(key)]


def _mute(document: dict[str, Any], edits: Edits, now_ms: int) -> None:
    if edits.mute in ("off", UNSET_WORD):
        document.pop("mute", None)
    elif edits.mute:
        until = iso_utc(now_ms + round(duration_option(edits.mute, "--mute") * 1000))
        document["mute"] = {"until": until, **({"reason": edits.reason} if edits.reason else {})}


def _put(target: dict[str, Any], key: str, value: Any) -> None:
    if value == UNSET_WORD:
        target.pop(key, None)
    elif value is not None:
        target[key] = value


def _assignment(option: str, text: str, example: str) -> tuple[str, Any]:
    key, separator, value = text.rpartition("=")
    if not separator or not key or not value:
        raise typer.BadParameter(f"{option}: expected NAME=VALUE such as {example}, got {text!r}")
    try:
        return key, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return key, value


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    fields = {pattern: weights for pattern, weights in document.get("fields", {}).items() if weights}
    trimmed = {**document, "fields": fields}
    return {key: value for key, value in trimmed.items() if value != {}}


def _flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [entry for key, item in value.items() for entry in _flat(item, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [(path, msgspec.json.encode(value).decode())]
    if isinstance(value, float):
        return [(path, f"{value:g}")]
    return [(path, str(value).lower() if isinstance(value, bool) else str(value))]
