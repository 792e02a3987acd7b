"""From records to deltas: the hot loop of a profiler, without Kafka.

Records are judged by the clock of their partition (`partition_clock`), sorted into panes, decoded and profiled in large chunks
(`pane_buffer`). `drain` gives the deltas of the panes touched since the last one, and clears memory; nothing but the clocks outlives it.

Law: the deltas of some records, merged, are the same profiles however the records were split in batches, drains, and partitions in
processes; a record counts exactly once: in `records`, `tombstones` or `timing.late`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.decoding.json_records import JsonDecoder
from stream_monitor.errors import OverlapError
from stream_monitor.profiling.delta import Delta, SourceRange
from stream_monitor.profiling.event_time import event_times
from stream_monitor.profiling.pane_buffer import PaneBuffer, Records, key_hashes
from stream_monitor.profiling.partition_clock import NO_TIME, Judged, PartitionClock
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.reference import Reference
from stream_monitor.profiling.row_sample import SAMPLE_SIZE
from stream_monitor.profiling.timing import Timing

MAX_WAITING_BYTES = 32 * 2**20
"""Of values not in a profile yet, over all panes."""

Integers = Sequence[int] | NDArray[np.int64] | NDArray[np.int32]


class StreamProfiler:
    """Profiles one topic, or the partitions of it that were assigned. Not thread-safe.

    Args:
        topic: its name, for the deltas.
        window_ms: length of a pane.
        allowed_lateness_ms: how long after the end of a pane, by the watermark of their partition, records still belong to it.
        timestamp_field: dotted path of the event time in the values; None: the records' timestamps (`event_time`: slow path).
        decoder: of the values.
        sample_size: rows kept in the sample of a pane.
        partition_count: partitions of the topic; None: one more than the largest number seen.

    Cost: 1.0-1.5 us a narrow record (8 fields) besides decoding and measuring. Memory: `MAX_WAITING_BYTES` of values with their columns,
    and one profile for each pane touched since the last drain.
    """

    def __init__(
        self,
        topic: str,
        *,
        window_ms: int = 60_000,
        allowed_lateness_ms: int = 10_000,
        timestamp_field: str | None = None,
        decoder: JsonDecoder | None = None,
        sample_size: int = SAMPLE_SIZE,
        partition_count: int | None = None,
    ) -> None:
        if window_ms <= 0 or allowed_lateness_ms < 0:
            raise ValueError(f"expected a positive window and no negative lateness, got {window_ms} and {allowed_lateness_ms} ms")
        self.topic = topic
        self.window_ms = window_ms
        self.allowed_lateness_ms = allowed_lateness_ms
        self.timestamp_field = timestamp_field
        self.partition_count = partition_count
        self.partitions: dict[int, PartitionClock] = {}
        """Clock and position of each partition assigned."""
        self._decoder = decoder or JsonDecoder()
        self._sample_size = sample_size
        self._references: list[Reference] = []
        self._panes: dict[int, PaneBuffer] = {}
        self._leaving: dict[int, SourceRange] = {}

    # -- partitions ---------------------------------------------------------------------------------------------------
    def assign(self, partition: int, next_offset: int = 0, metadata: str = "", *, max_timestamp_ms: int | None = None) -> None:
        """Reading of `partition` goes on at `next_offset`, with the clock in `metadata` (empty: a new one, from `max_timestamp_ms` if any).

        Raises FormatError for metadata that `metadata()` did not write.
        """
        clock = PartitionClock(self.window_ms, self.allowed_lateness_ms, next_offset=next_offset, watermark_ms=max_timestamp_ms)
        clock.restore(metadata)
        self.revoke(partition)
        self.partitions[partition] = clock

    def revoke(self, partition: int) -> None:
        """Forgets a partition. What was read of it and not drained still goes out with the next drain: drain first, or `discard`."""
        clock = self.partitions.pop(partition, None)
        if clock is not None and clock.next_offset > clock.drained_offset:
            starts = self._starts() | {partition: clock.drained_offset}
            for buffer in self._panes.values():
                buffer.leave(partition, clock.next_offset, starts)
            self._leaving[partition] = _source(partition, clock, new=True)

    def discard(self) -> None:
        """Forgets everything not drained, and all partitions: they must be assigned again from what was committed."""
        self._panes.clear()
        self._leaving.clear()
        self.partitions.clear()

    def metadata(self, partition: int) -> str:
        """The clock of `partition` as text, to be committed with its position after a drain; KeyError if it is not assigned."""
        return self.partitions[partition].metadata()

    def mark_caught_up(self, partition: int, idle_ms: int) -> None:
        """All there is of `partition` was read, and nothing new has come for `idle_ms`; holds until a record comes."""
        clock = self.partitions.get(partition)
        if clock is not None:
            clock.caught_up, clock.idle_ms = True, max(0, idle_ms)

    # -- references ---------------------------------------------------------------------------------------------------
    def use(self, reference: Reference) -> None:
        """Measures panes from `effective_from_ms` on with `reference`; panes before it with the one used before. Panes under way
        keep theirs until the next drain.
        """
        others = [known for known in self._references if known.version != reference.version]
        self._references = sorted([*others, reference], key=lambda known: known.version)[-2:]

    def _references_of(self, pane_ms: int) -> list[Reference]:
        return [known for known in self._references if known.effective_from_ms <= pane_ms][-1:]

    # -- records ------------------------------------------------------------------------------------------------------
    def add(
        self,
        values: Sequence[bytes | None],
        timestamps_ms: Integers,
        partitions: Integers,
        offsets: Integers,
        *,
        keys: Sequence[bytes | None] | None = None,
        arrivals_ms: Integers | None = None,
    ) -> None:
        """Takes in records (n,), those of a partition in offset order. Timestamps below 0: none.

        Partitions that were not assigned start at their first record. Raises OverlapError, before anything is taken in, when offsets
        are not beyond those read: `assign` first to go back.
        """
        if not values:
            return
        if not len(values) == len(timestamps_ms) == len(partitions) == len(offsets):
            raise ValueError(f"expected as many timestamps, partitions and offsets as values, {len(values)}")
        times, numbers = np.asarray(timestamps_ms, dtype=np.int64), np.asarray(partitions, dtype=np.int32)
        places, arrivals = np.asarray(offsets, dtype=np.int64), None if arrivals_ms is None else np.asarray(arrivals_ms, dtype=np.int64)
        if self.timestamp_field is not None:
            times = event_times(values, self.timestamp_field, times)
        by_partition = _rows_by(numbers)
        for partition, rows in by_partition:
            self._check(partition, places[rows])
        judged = self._judge(by_partition, times, arrivals, places)
        self._sort_in(_Arrived(values, numbers, places, keys, arrivals), judged)
        self._bound_memory()

    def _check(self, partition: int, offsets: NDArray[np.int64]) -> None:
        clock = self.partitions.get(partition)
        first = 0 if clock is None else clock.next_offset
        if int(offsets[0]) < first or bool(np.any(offsets[1:] <= offsets[:-1])):
            raise OverlapError(
                f"expected ascending offsets from {first} on in partition {partition} of {self.topic}, got {int(offsets.min())}: "
                f"a record is read once; assign() the partition to read from elsewhere"
            )

    def _judge(
        self,
        by_partition: Sequence[tuple[int, slice | NDArray[np.int64]]],
        times: NDArray[np.int64],
        arrivals: NDArray[np.int64] | None,
        offsets: NDArray[np.int64],
    ) -> Judged:
        marks = np.zeros((3, times.size), dtype=np.bool_)
        judged = Judged(np.empty_like(times), marks[0], marks[1], marks[2], np.empty_like(times))
        for partition, rows in by_partition:
            mine = offsets[rows]
            if partition not in self.partitions:
                self.assign(partition, int(mine[0]))
            clock = self.partitions[partition]
            own = clock.judge(times[rows], None if arrivals is None else arrivals[rows])
            judged.timestamps_ms[rows], judged.before_ms[rows] = own.timestamps_ms, own.before_ms
            judged.late[rows], judged.future[rows], judged.disordered[rows] = own.late, own.future, own.disordered
            clock.next_offset, clock.caught_up, clock.idle_ms = int(mine[-1]) + 1, False, 0
        return judged

    def _sort_in(self, arrived: _Arrived, judged: Judged) -> None:
        own = np.where(judged.late, judged.before_ms, judged.timestamps_ms)
        panes = own - own % self.window_ms
        starts = self._starts()
        for pane, rows in _rows_by(panes):
            buffer = self._panes.get(pane)
            if buffer is None:
                buffer = self._panes[pane] = PaneBuffer(self._decoder, self._references_of(pane), self._sample_size)
            buffer.note(_timing(rows, judged, arrived.arrivals_ms))
            kept = _positions(rows, len(arrived.values))
            if bool(judged.late[rows].any()):
                kept = kept[~judged.late[kept]]
            if kept.size:
                buffer.add(*arrived.taken(kept, judged.timestamps_ms), starts)

    def _bound_memory(self) -> None:
        if sum(buffer.waiting_bytes for buffer in self._panes.values()) > MAX_WAITING_BYTES:
            starts = self._starts()
            for buffer in self._panes.values():
                buffer.compress(starts)

    def _starts(self) -> dict[int, int]:
        left = {partition: source.start for partition, source in self._leaving.items()}
        return left | {partition: clock.drained_offset for partition, clock in self.partitions.items()}

    # -- deltas -------------------------------------------------------------------------------------------------------
    @property
    def panes_touched(self) -> int:
        """Panes read from since the last drain: each costs memory until then."""
        return len(self._panes)

    def drain(self, *, now_ms: int | None = None) -> list[Delta]:
        """One delta for each pane touched since the last drain, in time order; if there was none, one with no records, so that positions,
        watermarks and idleness are known (its pane is that of the watermark, or of `now_ms` before there is one). [] without partitions.

        All carry the same offset ranges. Only the last carries the new watermarks: a receiver that has it has the others.
        """
        ends = {p: source.end for p, source in self._leaving.items()} | {p: clock.next_offset for p, clock in self.partitions.items()}
        if not ends:
            return []
        starts = self._starts()
        old, new = self._sources(new=False), self._sources(new=True)
        profiles = [(pane, self._panes.pop(pane).finish(starts, ends)) for pane in sorted(self._panes)]
        if not profiles:
            profiles = [(self._quiet_pane(now_ms), Profile.empty(self._sample_size))]
        count = self.partition_count if self.partition_count is not None else max(ends) + 1
        last = len(profiles) - 1
        deltas = [
            Delta(self.topic, pane, self.window_ms, profile, new if place == last else old, count)
            for place, (pane, profile) in enumerate(profiles)
        ]
        self._leaving.clear()
        for clock in self.partitions.values():
            clock.drained_offset, clock.drained_watermark_ms = clock.next_offset, clock.watermark_ms
        return deltas

    def _sources(self, *, new: bool) -> tuple[SourceRange, ...]:
        sources = [*self._leaving.values()] + [_source(p, clock, new=new) for p, clock in self.partitions.items()]
        return tuple(sorted(sources, key=lambda source: (source.partition, source.start)))

    def _quiet_pane(self, now_ms: int | None) -> int:
        known = [clock.watermark_ms for clock in self.partitions.values() if clock.watermark_ms is not None]
        at = max(known) if known else now_ms or 0
        return at - at % self.window_ms


@dataclass(frozen=True, slots=True, eq=False)
class _Arrived:
    """The arguments of `add`, as arrays."""

    values: Sequence[bytes | None]
    partitions: NDArray[np.int32]
    offsets: NDArray[np.int64]
    keys: Sequence[bytes | None] | None
    arrivals_ms: NDArray[np.int64] | None

    def taken(self, rows: NDArray[np.int64], timestamps_ms: NDArray[np.int64]) -> tuple[Records, NDArray[np.uint64]]:
        """The records at `rows` with their judged timestamps, and the hashes of their keys."""
        if rows.size == len(self.values):
            return Records(self.values, self.partitions, self.offsets, timestamps_ms), key_hashes(self.keys or ())
        places = rows.tolist()
        keys = () if self.keys is None else [self.keys[place] for place in places]
        values = [self.values[place] for place in places]
        return Records(values, self.partitions[rows], self.offsets[rows], timestamps_ms[rows]), key_hashes(keys)


def _rows_by(labels: NDArray[np.int64] | NDArray[np.int32]) -> list[tuple[int, slice | NDArray[np.int64]]]:
    """(label, its rows in order), labels ascending."""
    if bool((labels == labels[0]).all()):
        return [(int(labels[0]), slice(None))]
    order = np.argsort(labels, kind="stable")
    known, starts = np.unique(labels[order], return_index=True)
    return list(zip(known.tolist(), np.split(order, starts[1:]), strict=True))


def _positions(rows: slice | NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.arange(size) if isinstance(rows, slice) else rows


def _source(partition: int, clock: PartitionClock, *, new: bool) -> SourceRange:
    watermark = clock.watermark_ms if new else clock.drained_watermark_ms
    caught_up = new and clock.caught_up
    return SourceRange(
        partition, clock.drained_offset, clock.next_offset, NO_TIME if watermark is None else watermark,
        caught_up, clock.idle_ms if caught_up else 0,
    )  # fmt: skip


def _timing(rows: slice | NDArray[np.int64], judged: Judged, arrivals_ms: NDArray[np.int64] | None) -> Timing:
    late, future = judged.late[rows], judged.future[rows]
    believed = ~(late | future)
    times = judged.timestamps_ms[rows][believed]
    delays = None if arrivals_ms is None else (arrivals_ms[rows][believed] - times)[arrivals_ms[rows][believed] >= 0]
    counted = {"late": late, "future": future, "disordered": judged.disordered[rows]}
    return Timing.of(times, delays, **{name: int(np.count_nonzero(marks)) for name, marks in counted.items()})
