"""The profile of some records of a topic: what every detector looks at, and what profilers send.

Law: the profile of some records is the same bytes however they were split in batches, processes and flushes, and in whatever order the
parts were merged. Every part is integer counts, an exact sum, or a sketch whose content depends only on keyed hashes. Two conditions: order
statistics are compared after `sealed` (see `order_stats`); row hashes assume that decoders kept every field (no more than 1,000).

Size: 10-20 kB a field in a busy pane, compressed. Merging: about 0.1 ms a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import FormatError
from stream_monitor.profiling import codec
from stream_monitor.profiling.bottom_k import BottomK
from stream_monitor.profiling.field_profile import MINUS_K, FieldProfile
from stream_monitor.profiling.order_stats import OrderStats
from stream_monitor.profiling.row_sample import SAMPLE_SIZE, RowSample
from stream_monitor.profiling.salts import MAX_FIELDS, SAMPLED_FIELDS, TRACKED_FIELDS, lowest
from stream_monitor.profiling.timing import Timing

MAGIC, VERSION = b"SMPF", 1
MALFORMED_POSITIONS = 8

Blob = bytes
MalformedPosition = tuple[int, int, int, str]
"""(priority, partition, offset, reason)"""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A mergeable summary of records. Mappings are sorted by key."""

    records: int
    """Values read, malformed ones among them, tombstones and late records not."""
    bytes: int
    """Of those values."""
    tombstones: int
    malformed: Mapping[str, int]
    """Records that could not be decoded, by reason."""
    malformed_positions: tuple[MalformedPosition, ...]
    """The 8 with the smallest position hashes, sorted."""
    duplicate_keys: int
    """Records in which an object repeats a key."""
    dropped_values: int
    """Values left out by the caps on fields and depth."""
    fields: Mapping[str, FieldProfile]
    rows: BottomK
    """Hashes of whole well-formed records."""
    keys: BottomK
    """Hashes of Kafka keys (of records that have one)."""
    sample: RowSample
    order: OrderStats
    timing: Timing
    measured: Mapping[int, NDArray[np.int64]]
    """What `measure` counted, by version of the reference."""

    @classmethod
    def empty(cls, sample_size: int = SAMPLE_SIZE) -> Profile:
        """Of no records: the neutral element of `merge`."""
        return cls(
            0, 0, 0, {}, (), 0, 0, {}, BottomK.empty(), BottomK.empty(), RowSample.empty(sample_size),
            OrderStats.empty(), Timing.empty(), {},
        )

    @property
    def well_formed(self) -> int:
        """Records that could be decoded: what every per-record field has a value, or an absence, for."""
        return self.records - sum(self.malformed.values())

    @property
    def read(self) -> int:
        """Everything read: records, tombstones and late records."""
        return self.records + self.tombstones + self.timing.late

    def merge(self, other: Profile) -> Profile:
        """Of both. Associative, commutative, exact; raises FormatError when a reference version was measured in two shapes."""
        fields, dropped = _merged_fields(self, other)
        tracked = per_record(fields)
        return Profile(
            records=self.records + other.records,
            bytes=self.bytes + other.bytes,
            tombstones=self.tombstones + other.tombstones,
            malformed=_added(self.malformed, other.malformed),
            malformed_positions=tuple(sorted((*self.malformed_positions, *other.malformed_positions))[:MALFORMED_POSITIONS]),
            duplicate_keys=self.duplicate_keys + other.duplicate_keys,
            dropped_values=self.dropped_values + other.dropped_values + dropped,
            fields=fields,
            rows=self.rows.merge(other.rows),
            keys=self.keys.merge(other.keys),
            sample=self.sample.merge(other.sample).limited(lowest(tracked, SAMPLED_FIELDS)),
            order=self.order.merge(other.order).limited(lowest(tracked, TRACKED_FIELDS)),
            timing=self.timing.merge(other.timing),
            measured=_merged_measures(self.measured, other.measured),
        )

    def sealed(self) -> Profile:
        """With order statistics as they are once all of the pane is here."""
        return replace(self, order=self.order.sealed())

    def counting_late(self, late: int) -> Profile:
        """With so many more late records."""
        return replace(self, timing=replace(self.timing, late=self.timing.late + late))

    def to_bytes(self) -> Blob:
        """Versioned, canonical: equal profiles give equal bytes."""
        return codec.seal(MAGIC, VERSION, self.to_state())

    @classmethod
    def from_bytes(cls, blob: Blob) -> Profile:
        """Inverse of `to_bytes`; raises FormatError on anything else."""
        state = codec.unseal(MAGIC, VERSION, blob)
        try:
            return cls.from_state(state)
        except codec.MALFORMED_STATE as error:
            raise FormatError(f"expected the state of a profile, got another shape ({error!r}): the bytes are corrupt") from error

    def to_state(self) -> list[Any]:
        """What msgpack can write."""
        return [
            [self.records, self.bytes, self.tombstones, self.duplicate_keys, self.dropped_values],
            sorted(self.malformed.items()),
            self.malformed_positions,
            [[path.encode("utf-8", "surrogatepass"), field.to_state()] for path, field in sorted(self.fields.items())],
            self.rows.to_state(), self.keys.to_state(), self.sample.to_state(), self.order.to_state(), self.timing.to_state(),
            [[version, codec.array_bytes(counts)] for version, counts in sorted(self.measured.items())],
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> Profile:
        """Inverse of `to_state`."""
        records, size, tombstones, duplicate_keys, dropped = (int(count) for count in state[0])
        return cls(
            records, size, tombstones, {str(reason): int(count) for reason, count in state[1]},
            tuple((int(p), int(q), int(o), str(r)) for p, q, o, r in state[2]), duplicate_keys, dropped,
            {bytes(path).decode("utf-8", "surrogatepass"): FieldProfile.from_state(field) for path, field in state[3]},
            BottomK.from_state(state[4]), BottomK.from_state(state[5]), RowSample.from_state(state[6]),
            OrderStats.from_state(state[7]), Timing.from_state(state[8]),
            {int(version): codec.read_array(counts, np.int64) for version, counts in state[9]},
        )


def per_record(fields: Mapping[str, FieldProfile]) -> list[str]:
    """The paths that have one value a record."""
    return [path for path, field in fields.items() if not field.elements]


def _merged_fields(a: Profile, b: Profile) -> tuple[dict[str, FieldProfile], int]:
    """The fields of both under the cap, and how many values the cap dropped."""
    kept = lowest(a.fields.keys() | b.fields.keys(), MAX_FIELDS)
    dropped = sum(field.observed for side in (a, b) for path, field in side.fields.items() if path not in kept)
    merged: dict[str, FieldProfile] = {}
    records = a.well_formed + b.well_formed
    for path in sorted(kept):
        mine, theirs = a.fields.get(path), b.fields.get(path)
        field = mine.merge(theirs) if mine and theirs else mine or theirs
        assert field is not None
        merged[path] = field.among(records)
    tracked = lowest(per_record(merged), TRACKED_FIELDS)
    for path, field in merged.items():
        minus = _without(a, path).merge(_without(b, path)) if path in tracked else None
        if minus is not field.minus:
            merged[path] = replace(field, minus=minus)
    return merged, dropped


def _without(profile: Profile, path: str) -> BottomK:
    """Hashes of the records without a field; where no record has it, those of whole records."""
    field = profile.fields.get(path)
    return profile.rows.trimmed(MINUS_K) if field is None or field.minus is None else field.minus


def _added(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in sorted(a.keys() | b.keys())}


def _merged_measures(a: Mapping[int, NDArray[np.int64]], b: Mapping[int, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
    merged = {}
    for version in sorted(a.keys() | b.keys()):
        if version in a and version in b:
            if a[version].shape != b[version].shape:
                raise FormatError(f"reference {version} measured {a[version].size} and {b[version].size} counts: its profilers disagree")
            merged[version] = a[version] + b[version]
        else:
            merged[version] = a[version] if version in a else b[version]
    return merged
