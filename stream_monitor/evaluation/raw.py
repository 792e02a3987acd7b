"""What a reader of one file format gives: some records, with what the file itself says about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK_RECORDS = 4096
"""Records read at a time: enough for vectorised work, little enough for a lively progress bar."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Some records in file order; the sequences have one entry a record."""

    values: Sequence[bytes | None]
    times: Sequence[Any] | None = None
    """As found; None if the file has none, or none were asked for."""
    partitions: Sequence[int] | None = None
    offsets: Sequence[int] | None = None
    keys: Sequence[bytes | None] | None = None
    topics: Sequence[str] | None = None
    skipped: int = 0
    """Lines of an envelope file that are no envelopes, and so have no position."""

    def take(self, places: Sequence[int]) -> Raw:
        """The records at these places."""
        return Raw(
            [self.values[place] for place in places], _pick(self.times, places), _pick(self.partitions, places),
            _pick(self.offsets, places), _pick(self.keys, places), _pick(self.topics, places), self.skipped,
        )


def _pick(those: Sequence[T] | None, places: Sequence[int]) -> list[T] | None:
    return None if those is None else [those[place] for place in places]
