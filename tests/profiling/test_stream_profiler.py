"""Deltas: what is in them, what is not, and their bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError, OverlapError
from stream_monitor.profiling import chunk_profile, stream_profiler
from stream_monitor.profiling.delta import Delta, DeltaAssembler, SourceRange
from stream_monitor.profiling.stream_profiler import StreamProfiler
from tests.profiling.streams import BASE_MS, awkward_stream, feed, panes_of

MINUTE = 60_000


def add(profiler: StreamProfiler, *times: int, partition: int = 0, first: int = 0, **options) -> None:
    count = len(times)
    profiler.add([b'{"a":1}'] * count, times, [partition] * count, range(first, first + count), **options)


def test_a_drain_gives_a_delta_for_each_pane_and_clears_memory() -> None:
    profiler = StreamProfiler("orders")
    add(profiler, BASE_MS, BASE_MS + MINUTE, BASE_MS + 1)
    first, second = profiler.drain()
    assert [first.pane_start_ms, second.pane_start_ms] == [BASE_MS, BASE_MS + MINUTE]
    assert [first.profile.records, second.profile.records] == [2, 1]
    assert profiler.panes_touched == 0
    assert (first.topic, first.window_ms, first.partition_count) == ("orders", MINUTE, 1)


def test_only_the_last_delta_of_a_drain_carries_the_new_watermark() -> None:
    profiler = StreamProfiler("t")
    add(profiler, BASE_MS)
    profiler.drain()
    add(profiler, BASE_MS + 1, BASE_MS + MINUTE, first=1)
    deltas = profiler.drain()
    assert [delta.sources[0].watermark_ms for delta in deltas] == [BASE_MS, BASE_MS + MINUTE]
    assert {(delta.sources[0].start, delta.sources[0].end) for delta in deltas} == {(1, 3)}


def test_a_quiet_drain_is_a_heartbeat() -> None:
    profiler = StreamProfiler("t", partition_count=5)
    assert profiler.drain() == []
    profiler.assign(3, 70)
    profiler.mark_caught_up(3, 1234)
    (beat,) = profiler.drain(now_ms=BASE_MS + 17)
    assert (beat.pane_start_ms, beat.profile.read, beat.partition_count) == (BASE_MS, 0, 5)
    (source,) = beat.sources
    assert source == SourceRange(3, 70, 70, -1, caught_up=True, idle_ms=1234)
    add(profiler, BASE_MS, partition=3, first=75)
    (delta,) = profiler.drain()
    assert (delta.sources[0].start, delta.sources[0].end, delta.sources[0].caught_up) == (70, 76, False)


def test_late_records_count_in_the_pane_of_the_watermark_and_nowhere_else() -> None:
    profiler = StreamProfiler("t")
    add(profiler, BASE_MS, BASE_MS + 5 * MINUTE, BASE_MS + 1, BASE_MS + 2)
    panes = panes_of(profiler.drain())
    assert (panes[BASE_MS].records, panes[BASE_MS].timing.late) == (1, 0)
    assert (panes[BASE_MS + 5 * MINUTE].records, panes[BASE_MS + 5 * MINUTE].timing.late) == (1, 2)


def test_delays_are_measured_where_arrivals_are_known() -> None:
    profiler = StreamProfiler("t")
    add(profiler, BASE_MS, BASE_MS + 1, arrivals_ms=[BASE_MS + 500, -1])
    timing = profiler.drain()[0].profile.timing
    assert (timing.delays_known, timing.delay_max, timing.first_ms, timing.last_ms) == (1, 500, BASE_MS, BASE_MS + 1)


def test_offsets_read_before_are_refused_and_nothing_is_taken_in() -> None:
    profiler = StreamProfiler("t")
    add(profiler, BASE_MS, BASE_MS)
    for offsets in ([1, 2], [5, 5], [7, 6]):
        with pytest.raises(OverlapError, match="assign"):
            profiler.add([b"1", b"2"], [BASE_MS] * 2, [0, 0], offsets)
    assert profiler.drain()[0].profile.records == 2
    profiler.assign(0, 0)
    add(profiler, BASE_MS)
    assert profiler.drain()[0].profile.records == 1


def test_a_revoked_partition_goes_out_with_the_next_drain_and_then_is_gone() -> None:
    profiler = StreamProfiler("t")
    add(profiler, BASE_MS, partition=0)
    add(profiler, BASE_MS, partition=1)
    profiler.revoke(0)
    assert [source.partition for source in profiler.drain()[0].sources] == [0, 1]
    assert [source.partition for source in profiler.drain()[0].sources] == [1]
    profiler.discard()
    assert profiler.drain() == []


def test_memory_for_waiting_values_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(stream_profiler, "MAX_WAITING_BYTES", 1000)
    profiler = StreamProfiler("t")
    for place in range(300):
        add(profiler, BASE_MS + place * 700, first=place)
        assert sum(buffer.waiting_bytes for buffer in profiler._panes.values()) <= 1000
    assert sum(delta.profile.records for delta in profiler.drain()) == 300


def test_event_time_can_come_from_the_values() -> None:
    profiler = StreamProfiler("t", timestamp_field="at")
    profiler.add([b'{"at":"2023-11-14T22:13:20Z"}', b'{"at":1700000100}'], [5, 6], [0, 0], [0, 1])
    assert [delta.pane_start_ms for delta in profiler.drain()] == [1_699_999_980_000, 1_700_000_100_000]


class FakeReference:
    def __init__(self, version: int, effective_from_ms: int) -> None:
        self.version, self.effective_from_ms = version, effective_from_ms


def test_each_pane_is_measured_with_the_reference_in_force(monkeypatch) -> None:
    monkeypatch.setattr(chunk_profile, "measure", lambda columns, n, reference: np.array([n, reference.version]))
    profiler = StreamProfiler("t")
    for version, pane in ((1, 0), (2, 1), (3, 2)):
        profiler.use(FakeReference(version, BASE_MS + pane * MINUTE))  # type: ignore[arg-type]
    add(profiler, BASE_MS, BASE_MS + MINUTE, BASE_MS + 2 * MINUTE, BASE_MS + 2 * MINUTE)
    measured = [{v: c.tolist() for v, c in delta.profile.measured.items()} for delta in profiler.drain()]
    assert measured == [{}, {2: [1, 2]}, {3: [2, 3]}]


def some_delta() -> Delta:
    profiler = StreamProfiler("orders", partition_count=3)
    feed(profiler, awkward_stream(4, 300, seconds=30))
    return max(profiler.drain(), key=lambda delta: delta.profile.records)


DELTA = some_delta()


def test_a_delta_survives_its_bytes_and_its_chunks() -> None:
    again = Delta.from_bytes(DELTA.to_bytes())
    assert again.to_bytes() == DELTA.to_bytes()
    assert (again.sources, again.topic, again.partition_count) == (DELTA.sources, "orders", 3)
    chunks = DELTA.chunk(5000)
    assert len(chunks) > 2
    assert max(map(len, chunks)) <= 5000
    assembler = DeltaAssembler()
    whole = [assembler.add(chunk) for chunk in (*chunks[::-1][:-1], chunks[-1])]
    assert whole == [None] * len(chunks)
    assert assembler.pending == 1
    done = assembler.add(chunks[0])
    assert done is not None
    assert done.to_bytes() == DELTA.to_bytes()
    assert assembler.pending == 0


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 499), flip=st.integers(1, 255))
def test_corrupt_chunks_raise_format_error(place: int, flip: int) -> None:
    chunk = bytearray(DELTA.chunk(500)[0])
    chunk[place] ^= flip
    assembler = DeltaAssembler()
    try:
        assembler.add(bytes(chunk))
        for rest in DELTA.chunk(500)[1:]:
            assembler.add(rest)
    except FormatError:
        pass


def test_chunks_of_senders_that_died_are_given_up_in_the_end() -> None:
    assembler = DeltaAssembler()
    for place in range(70):
        profiler = StreamProfiler("t")
        add(profiler, BASE_MS + place)
        assembler.add(profiler.drain()[0].chunk(200)[0])
    assert assembler.pending == 64
    assert assembler.abandoned == 6


def test_a_chunk_whose_sender_died_is_not_waited_for_for_ever() -> None:
    assembler, profiler = DeltaAssembler(), StreamProfiler("t")
    add(profiler, BASE_MS)
    assembler.add(profiler.drain()[0].chunk(200)[0])
    (whole,) = DELTA.chunk()
    waited = 0
    while assembler.pending:
        assert assembler.add(whole) is not None
        waited += 1
    assert waited == 1001
    assert assembler.abandoned == 1
