"""What a profiler has read of one pane since the last drain: values not yet decoded, columns not yet profiled, and the profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.columns import Batch
from stream_monitor.decoding.hashing import hash_all, hash_positions
from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.profiling.bottom_k import BottomK
from stream_monitor.profiling.chunk_profile import Chunk, profile_chunk
from stream_monitor.profiling.column_rows import concatenated
from stream_monitor.profiling.profile import MALFORMED_POSITIONS, MalformedPosition, Profile
from stream_monitor.profiling.reference import Reference
from stream_monitor.profiling.timing import Timing

DECODE_AT = 1024
"""Values decoded at once: more is slower (cache)."""
PROFILE_AT = 8192
"""Records profiled at once: less is slower (calls of numpy)."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Records of one pane, as read. Arrays are (n,)."""

    values: Sequence[bytes | None]
    partitions: NDArray[np.int32]
    offsets: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Records:
        """Records `start` to `stop`."""
        cut = slice(start, stop)
        return Records(self.values[cut], self.partitions[cut], self.offsets[cut], self.timestamps_ms[cut])

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Records:
        """All of them, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            [value for part in parts for value in part.values], np.concatenate([part.partitions for part in parts]),
            np.concatenate([part.offsets for part in parts]), np.concatenate([part.timestamps_ms for part in parts]),
        )


class PaneBuffer:
    """Not thread-safe. Memory: `waiting_bytes` of values and a few times that in columns, and one profile."""

    def __init__(self, decoder: JsonDecoder, references: Sequence[Reference], sample_size: int) -> None:
        self.references = references
        """To measure with."""
        self.waiting_bytes = 0
        """Of values that are not in the profile yet."""
        self._decoder = decoder
        self._profile = Profile.empty(sample_size)
        self._timing = Timing.empty()
        self._waiting: list[Records] = []
        self._waiting_records = 0
        self._decoded: list[tuple[Batch, Records]] = []
        self._decoded_records = 0
        self._covered: dict[int, int] = {}

    def add(self, records: Records, key_hashes: NDArray[np.uint64], starts: dict[int, int]) -> None:
        """Takes in records whose timestamps are judged; those of a partition in offset order. `starts`: where the reading of each
        partition began.
        """
        self._waiting.append(records)
        self._waiting_records += len(records.values)
        self.waiting_bytes += sum(map(len, filter(None, records.values)))
        if key_hashes.size:
            keys = BottomK.from_hashes(key_hashes, below=self._profile.keys.threshold)
            self._profile = replace(self._profile, keys=self._profile.keys.merge(keys))
        if self._waiting_records >= DECODE_AT:
            self._decode(starts)

    def note(self, timing: Timing) -> None:
        """Counts what the clock said of records."""
        self._timing = self._timing.merge(timing)

    def compress(self, starts: dict[int, int]) -> None:
        """Profiles everything that waits."""
        self._decode(starts)
        self._compile(starts)

    def leave(self, partition: int, end: int, starts: dict[int, int]) -> None:
        """A partition was read up to `end` and is not read on from there."""
        self.compress(starts)
        self._profile = replace(self._profile, order=self._profile.order.extended(partition, end))
        self._covered.pop(partition, None)

    def finish(self, starts: dict[int, int], ends: dict[int, int]) -> Profile:
        """The profile of everything added; `starts` and `ends`: the offsets between which each partition was read."""
        self.compress(starts)
        order = self._profile.order
        for partition, end in ends.items():
            order = order.extended(partition, end)
        return replace(self._profile, order=order, timing=self._profile.timing.merge(self._timing))

    def _decode(self, starts: dict[int, int]) -> None:
        if not self._waiting:
            return
        records = Records.joined(self._waiting)
        self._waiting, self._waiting_records = [], 0
        for start in range(0, len(records.values), DECODE_AT):
            part = records.part(start, start + DECODE_AT)
            batch = self._decoder.decode(part.values)
            self._decoded.append((batch, part))
            self._decoded_records += len(part.values)
            if self._decoded_records >= PROFILE_AT:
                self._compile(starts)

    def _compile(self, starts: dict[int, int]) -> None:
        if not self._decoded:
            return
        batches, self._decoded, self._decoded_records = self._decoded, [], 0
        self.waiting_bytes -= sum(len(value) for _, part in batches for value in part.values if value is not None)
        counts = _counts(batches, self._profile.sample.k)
        self._profile = profile_chunk(self._chunk(batches, starts), self._profile, counts, self.references)

    def _chunk(self, batches: Sequence[tuple[Batch, Records]], starts: dict[int, int]) -> Chunk:
        paths = sorted({path for batch, _ in batches for path in batch.columns})
        columns = {path: concatenated([(batch.columns.get(path), len(batch.rows)) for batch, _ in batches]) for path in paths}
        partitions = np.concatenate([part.partitions[batch.rows] for batch, part in batches])
        offsets = np.concatenate([part.offsets[batch.rows] for batch, part in batches])
        times = np.concatenate([part.timestamps_ms[batch.rows] for batch, part in batches])
        patterns = {mask: text for book in _books(batches) for mask, text in book.items()}
        ranges = {}
        for partition in np.unique(partitions).tolist():
            end = int(offsets[partitions == partition].max()) + 1
            ranges[partition] = (self._covered.get(partition, starts[partition]), end)
            self._covered[partition] = end
        return Chunk(columns, partitions, offsets, times, patterns, ranges)


def key_hashes(keys: Iterable[bytes | None]) -> NDArray[np.uint64]:
    """Of the keys that are there."""
    there = [key for key in keys if key is not None]
    return hash_all(there) if there else np.empty(0, dtype=np.uint64)


def _books(batches: Sequence[tuple[Batch, Records]]) -> list[dict[int, str]]:
    """The different pattern books: decoders give the same one with every batch."""
    return [dict(book) for book in {id(batch.patterns): batch.patterns for batch, _ in batches}.values()]


def _counts(batches: Sequence[tuple[Batch, Records]], sample_size: int) -> Profile:
    """All that is counted apart from well-formed records."""
    malformed: Counter[str] = Counter()
    places: list[MalformedPosition] = []
    for batch, part in batches:
        for bad in batch.malformed:
            malformed[str(bad.reason)] += 1
            partition, offset = int(part.partitions[bad.index]), int(part.offsets[bad.index])
            priority = int(hash_positions(partition, np.array([offset], dtype=np.int64))[0])
            places.append((priority, partition, offset, str(bad.reason)))
        places = sorted(places)[:MALFORMED_POSITIONS]
    return replace(
        Profile.empty(sample_size),
        records=sum(malformed.values()),
        bytes=sum(len(value) for _, part in batches for value in part.values if value is not None),
        tombstones=sum(len(batch.tombstones) for batch, _ in batches),
        malformed=dict(sorted(malformed.items())),
        malformed_positions=tuple(places),
        duplicate_keys=sum(len(batch.duplicate_keys) for batch, _ in batches),
        dropped_values=sum(batch.dropped_values for batch, _ in batches),
    )
