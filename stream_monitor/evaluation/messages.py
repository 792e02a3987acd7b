"""A message as demos and back-tests handle it, before it is bytes: a value that can still be changed, and where and when it goes.

Everything here is pure: a change makes a new message, and shares with the old one whatever was not changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

Value = Mapping[str, Any] | bytes
"""A JSON object, or bytes that need not be JSON any more."""


@dataclass(frozen=True, slots=True)
class Message:
    """One record to be produced."""

    value: Value
    timestamp_ms: int
    partition: int
    key: bytes | None = None

    def encoded(self) -> bytes:
        """The value as bytes: JSON of an object, bytes as they are."""
        return self.value if isinstance(self.value, bytes) else orjson.dumps(self.value)

    def get(self, path: str) -> Any:
        """The value at a dotted path; None when it is null, absent, or the message is no object any more."""
        node: Any = self.value
        for name in path.split("."):
            if not isinstance(node, Mapping):
                return None
            node = node.get(name)
        return node

    def has(self, path: str) -> bool:
        """Whether the path exists, be it null."""
        parent, _, name = path.rpartition(".")
        node = self.get(parent) if parent else self.value
        return isinstance(node, Mapping) and name in node

    def put(self, path: str, value: Any) -> Message:
        """A copy with `value` at the path (made if missing). Bytes stay as they are."""
        return self if isinstance(self.value, bytes) else replace(self, value=_put(self.value, path.split("."), value))

    def drop(self, path: str) -> Message:
        """A copy without the path."""
        if isinstance(self.value, bytes) or not self.has(path):
            return self
        parent, _, name = path.rpartition(".")
        node = self.get(parent) if parent else self.value
        left = {key: value for key, value in node.items() if key != name}
        return self.put(parent, left) if parent else replace(self, value=left)

    def moved(self, delta_ms: int) -> Message:
        """A copy whose timestamp is `delta_ms` later (earlier if negative); the value keeps its own dates."""
        return replace(self, timestamp_ms=self.timestamp_ms + delta_ms)


def _put(node: Mapping[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    if len(names) == 1:
        return {**node, names[0]: value}
    child = node.get(names[0])
    return {**node, names[0]: _put(child if isinstance(child, Mapping) else {}, names[1:], value)}
