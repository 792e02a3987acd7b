"""Streams of records for the tests of profiling: small, awkward, and the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from stream_monitor.profiling.delta import Delta
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.stream_profiler import StreamProfiler

BASE_MS = 1_700_000_040_000
"""Start of a pane of 60 s."""


@dataclass(frozen=True)
class Record:
    value: bytes | None
    timestamp_ms: int
    partition: int
    offset: int
    key: bytes | None


def awkward_values(rng: random.Random) -> bytes | None:
    kind = rng.random()
    if kind < 0.04:
        return None
    if kind < 0.10:
        return rng.choice([b"{", b"nonsense", b'{"a":\xff}', b""])
    record: dict[str, object] = {}
    if rng.random() < 0.9:
        record["id"] = rng.randrange(40)
    if rng.random() < 0.8:
        record["amount"] = rng.choice([0.1, -0.0, 1e300, 5e-324, 12.34, 7, 2**60, rng.gauss(0, 1e6)])
    if rng.random() < 0.7:
        record["name"] = rng.choice(["Ann", " Bob ", "N/A", "", "zoë", "2024-01-05", None])
    if rng.random() < 0.4:
        record["geo"] = rng.choice([{"lat": rng.randrange(90), "lon": 2.5}, {}, None, "none"])
    if rng.random() < 0.4:
        record["items"] = [rng.choice([{"price": rng.randrange(9)}, {"sku": "x"}, 3, None]) for _ in range(rng.randrange(4))]
    if rng.random() < 0.05:
        record[f"rare{rng.randrange(5)}"] = rng.random() < 0.5
    return orjson.dumps(record)


def awkward_stream(seed: int, size: int, partitions: int = 3, seconds: int = 200) -> list[Record]:
    """Values of every kind, out of order, some late, some absurdly early or late, some without a time."""
    rng = random.Random(seed)
    offsets = [rng.randrange(1000) for _ in range(partitions)]
    records = []
    for at in range(size):
        partition = rng.randrange(partitions)
        offsets[partition] += 1 if rng.random() < 0.9 else rng.randrange(2, 9)
        timestamp = BASE_MS + at * seconds * 1000 // size + rng.randrange(-5000, 5000)
        odd = rng.random()
        if odd < 0.03:
            timestamp -= rng.randrange(90_000)
        elif odd < 0.05:
            timestamp += 10**9
        elif odd < 0.06:
            timestamp = -1
        key = rng.choice([None, b"a", b"b", str(rng.randrange(50)).encode()])
        records.append(Record(awkward_values(rng), timestamp, partition, offsets[partition], key))
    return records


def feed(profiler: StreamProfiler, records: Sequence[Record]) -> None:
    profiler.add(
        [record.value for record in records], [record.timestamp_ms for record in records], [record.partition for record in records],
        [record.offset for record in records], keys=[record.key for record in records],
    )


def panes_of(deltas: Iterable[Delta]) -> dict[int, Profile]:
    """Merged and sealed, by pane; those that hold nothing left out."""
    panes: dict[int, Profile] = {}
    for delta in deltas:
        if delta.profile.read:
            before = panes.get(delta.pane_start_ms)
            panes[delta.pane_start_ms] = delta.profile if before is None else before.merge(delta.profile)
    return {start: profile.sealed() for start, profile in sorted(panes.items())}


def profiled(records: Sequence[Record], **options: object) -> dict[int, Profile]:
    """In one go."""
    profiler = StreamProfiler("t", **options)  # type: ignore[arg-type]
    feed(profiler, records)
    return panes_of(profiler.drain())
