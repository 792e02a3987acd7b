"""When panes close, what is in their windows, and what is refused."""

import random
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError, OverlapError
from stream_monitor.profiling.delta import Delta, SourceRange
from stream_monitor.profiling.panes import AnomalyKind, PaneBoard
from stream_monitor.profiling.profile import Profile
from stream_monitor.profiling.stream_profiler import StreamProfiler
from stream_monitor.profiling.windows import Window
from tests.profiling.streams import BASE_MS, awkward_stream, feed, profiled

MINUTE = 60_000


def source(start: int, end: int, watermark: int, partition: int = 0, idle_ms: int | None = None) -> SourceRange:
    return SourceRange(partition, start, end, BASE_MS + watermark * 1000 if watermark >= 0 else -1, idle_ms is not None, idle_ms or 0)


def delta(pane: int, records: int, *sources: SourceRange, partitions: int = 1) -> Delta:
    profile = replace(Profile.empty(), records=records)
    return Delta("t", BASE_MS + pane * MINUTE, MINUTE, profile, sources, partitions)


def spans(windows: list[Window]) -> list[tuple[int, int, int]]:
    """(first pane, past last pane, records)"""
    return [((w.start_ms - BASE_MS) // MINUTE, (w.end_ms - BASE_MS) // MINUTE, w.profile.records) for w in windows]


def test_a_pane_closes_when_the_watermark_passes_its_end_and_the_allowed_lateness() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 69)))
    assert board.closable() == []
    board.merge(delta(1, 1, source(20, 21, 70)))
    (window,) = board.closable()
    assert spans([window]) == [(0, 1, 20)]
    assert window.sources == (SourceRange(0, 0, 20, BASE_MS + 70_000, caught_up=False, idle_ms=0),)
    assert board.oldest_open_ms == BASE_MS + MINUTE


def test_the_window_in_whose_middle_reading_began_is_partial() -> None:
    for first, expected in ((0, [False, False]), (7, [True, False])):
        board = PaneBoard()
        board.merge(delta(0, 20, source(first, first + 20, 59)))
        board.merge(delta(1, 20, source(first + 20, first + 40, 130)))
        assert [window.is_partial for window in board.closable()] == expected


def test_the_slowest_partition_decides() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 500), partitions=2))
    assert (board.closable(), board.waiting_for) == ([], (1,))
    board.merge(delta(0, 20, source(0, 20, 10, partition=1), partitions=2))
    assert (board.closable(), board.waiting_for) == ([], ())
    board.merge(delta(3, 20, source(20, 40, 71, partition=1), partitions=2))
    assert spans(board.closable()) == [(0, 1, 40)]


def test_a_partition_never_heard_of_can_be_given_up() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 70), partitions=2))
    board.forget(1)
    assert spans(board.closable()) == [(0, 1, 20)]


def test_idle_partitions_do_not_hold_back_active_ones() -> None:
    board = PaneBoard()
    beat = delta(0, 0, source(5, 5, -1, partition=1, idle_ms=30_000), partitions=2)
    board.merge(delta(0, 20, source(0, 20, 70), partitions=2))
    board.merge(beat)
    assert board.closable() == []
    board.merge(replace(beat, sources=(source(5, 5, -1, partition=1, idle_ms=60_001),)))
    assert spans(board.closable()) == [(0, 1, 20)]


def test_when_all_are_idle_event_time_runs_on_by_the_shortest_idleness() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 5, idle_ms=61_000), source(0, 9, 3, partition=1, idle_ms=64_000), partitions=2))
    assert board.event_time_ms == BASE_MS + 66_000
    assert board.closable() == []
    board.merge(delta(0, 0, source(20, 20, 5, idle_ms=65_000), source(9, 9, 3, partition=1, idle_ms=68_000), partitions=2))
    assert spans(board.closable()) == [(0, 1, 20)]


def test_silence_makes_windows_of_no_records() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 0)))
    board.merge(delta(5, 20, source(20, 40, 5 * 60)))
    assert spans(board.closable(min_records=0)) == [(0, 1, 20), (1, 2, 0), (2, 3, 0), (3, 4, 0)]


def test_small_windows_grow_until_they_hold_enough_or_an_hour_has_passed() -> None:
    board = PaneBoard()
    for pane, records in enumerate([4, 5, 3, 9, 20]):
        board.merge(delta(pane, records, source(100 * pane, 100 * pane + 50, 60 * pane + 59)))
    board.merge(delta(200, 1, source(1000, 1001, 200 * 60)))
    assert spans(board.closable()) == [(0, 3, 12), (3, 5, 29), (5, 65, 0), (65, 125, 0), (125, 185, 0)]
    assert spans(board.close_all()) == [(185, 201, 1)]


def test_a_long_silence_is_one_window() -> None:
    board = PaneBoard()
    board.merge(delta(0, 4, source(0, 20, 0)))
    board.merge(delta(500_000, 20, source(20, 40, 500_000 * 60)))
    board.merge(delta(500_002, 20, source(40, 60, 500_002 * 60)))
    assert spans(board.closable()) == [(0, 1, 4), (1, 500_000, 0), (500_000, 500_001, 20)]


def test_history_of_which_only_runs_were_read_has_no_silent_windows() -> None:
    board = PaneBoard()
    for pane in (0, 1, 30, 9000):
        board.merge(delta(pane, 20 if pane else 3, source(pane, pane + 1, pane * 60)))
    assert spans(board.close_all(silent=False)) == [(0, 2, 23), (30, 31, 20), (9000, 9001, 20)]


def test_what_was_merged_is_not_merged_again() -> None:
    board = PaneBoard()
    first = delta(0, 20, source(0, 20, 5), source(7, 9, 5, partition=1), partitions=2)
    assert board.merge(first) == []
    assert {anomaly.kind for anomaly in board.merge(first)} == {AnomalyKind.REPEAT}
    assert board.merge(delta(1, 7, source(0, 20, 5), source(7, 9, 5, partition=1), partitions=2)) == []
    assert spans(board.close_all()) == [(0, 1, 20), (1, 2, 7)]


def test_offsets_that_half_overlap_are_refused_and_nothing_changes() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(10, 20, 5)))
    before = msgpack.packb(board.snapshot(include_open=True))
    for start, end in ((0, 11), (19, 25), (5, 30)):
        with pytest.raises(OverlapError, match="two profilers"):
            board.merge(delta(0, 3, source(start, end, 500)))
    with pytest.raises(FormatError, match="same window"):
        board.merge(replace(delta(0, 3, source(30, 31, 5)), window_ms=1))
    assert msgpack.packb(board.snapshot(include_open=True)) == before


def test_offsets_that_never_came_are_reported() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 5)))
    (anomaly,) = board.merge(delta(0, 3, source(25, 30, 5)))
    assert (anomaly.kind, anomaly.start, anomaly.end) == (AnomalyKind.GAP, 20, 25)


def test_records_for_a_closed_pane_count_as_late_in_the_next_window() -> None:
    board = PaneBoard()
    board.merge(delta(0, 20, source(0, 20, 70)))
    board.closable()
    assert [anomaly.kind for anomaly in board.merge(delta(0, 20, source(0, 20, 70)))] == [AnomalyKind.REPEAT]
    assert [anomaly.kind for anomaly in board.merge(delta(0, 7, source(20, 27, 75)))] == [AnomalyKind.LATE]
    board.merge(delta(1, 20, source(27, 47, 130)))
    (window,) = board.closable()
    assert (window.profile.records, window.profile.timing.late) == (20, 7)


def test_windows_after_a_restart_are_those_without_it() -> None:
    """The state without open panes, and the deltas of open panes merged again."""
    profiler, deltas = StreamProfiler("t", allowed_lateness_ms=5000), []
    records = awkward_stream(31, 1200, partitions=2, seconds=900)
    for start in range(0, len(records), 40):
        feed(profiler, records[start : start + 40])
        deltas += profiler.drain()
    calm, shaken = PaneBoard(allowed_lateness_ms=5000), PaneBoard(allowed_lateness_ms=5000)
    expected, got = [], []
    for place, one in enumerate(deltas):
        calm.merge(one)
        expected += calm.closable()
        shaken.merge(one)
        closed = shaken.closable()
        got += closed
        if closed:
            oldest = shaken.oldest_open_ms
            shaken = PaneBoard.restore(msgpack.unpackb(msgpack.packb(shaken.snapshot())))
            for again in deltas[: place + 1]:
                if oldest is not None and again.pane_start_ms >= oldest:
                    shaken.merge(again)
                    assert shaken.closable() == []
    expected, got = expected + calm.close_all(), got + shaken.close_all()
    assert len(expected) > 10
    assert [(w.start_ms, w.end_ms, w.sources, w.profile.to_bytes()) for w in got] == [
        (w.start_ms, w.end_ms, w.sources, w.profile.to_bytes()) for w in expected
    ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_snapshot_with_open_panes_has_the_same_future(seed: int) -> None:
    records, rng = awkward_stream(seed, 150), random.Random(seed)
    profiler, board, other, closed, expected = StreamProfiler("t"), PaneBoard(), PaneBoard(), [], []
    for start in range(0, len(records), 10):
        feed(profiler, records[start : start + 10])
        for one in profiler.drain():
            board.merge(one)
            other.merge(one)
        closed += board.closable()
        expected += other.closable()
        if rng.random() < 0.3:
            board = PaneBoard.restore(msgpack.unpackb(msgpack.packb(board.snapshot(include_open=True)), strict_map_key=False))
    closed, expected = closed + board.close_all(), expected + other.close_all()
    assert [w.profile.to_bytes() for w in closed] == [w.profile.to_bytes() for w in expected]
    assert sum(w.profile.read for w in closed) == len(records)


def test_windows_of_a_stream_add_up_to_its_profile() -> None:
    records = awkward_stream(2, 500)
    board, profiler = PaneBoard(min_records=0), StreamProfiler("t")
    feed(profiler, records)
    for one in profiler.drain():
        board.merge(one)
    windows = {w.start_ms: w.profile.to_bytes() for w in board.close_all() if w.profile.read}
    assert windows == {start: profile.to_bytes() for start, profile in profiled(records).items()}


@pytest.mark.parametrize("state", [{}, {"version": 2}, {"version": 1, "settings": [1]}])
def test_a_state_of_another_shape_is_refused(state: dict) -> None:
    with pytest.raises(FormatError):
        PaneBoard.restore(state)
