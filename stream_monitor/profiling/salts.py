"""Which fields a cap keeps: those whose paths have the smallest keyed hashes, so that everybody keeps the same."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from stream_monitor.decoding.hashing import salt

MAX_FIELDS = 1000
"""Fields in a profile. Part of the profile's format, like the limits below."""
TRACKED_FIELDS = 64
"""Per-record fields with order statistics and hashes of the record without the field."""
SAMPLED_FIELDS = 128
"""Per-record fields in the row sample."""


@lru_cache(maxsize=65_536)
def path_salt(path: str) -> int:
    """`hashing.salt`, remembered."""
    return int(salt(path))


def lowest(paths: Iterable[str], limit: int) -> set[str]:
    """The `limit` paths with the smallest salts. What is among them in a union is among them in every part that has it."""
    known = list(paths)
    if len(known) <= limit:
        return set(known)
    return set(sorted(known, key=lambda path: (path_salt(path), path))[:limit])
