from __future__ import annotations

from stream_monitor.streaming.positions import Position, choose_start, read_position

NEW = {"partitions": 4, "low": 10, "high": 90, "cold_start": True}


def test_metadata_comes_back() -> None:
    position = Position(42, 4, "due", "a|b: clock")
    assert read_position(42, position.metadata(), partitions=9) == position


def test_metadata_that_is_not_ours_gives_a_position_without_a_clock() -> None:
    for text in (None, "", "somebody else's", "sm1|x|due|c", "sm1|4|maybe|c", "sm2|4|due|c"):
        assert read_position(42, text, partitions=4) == Position(42, 4)


def test_a_new_topic_starts_at_its_end_and_partition_0_says_that_a_cold_start_is_due() -> None:
    starts = [choose_start(p, {}, start_from="latest", **NEW) for p in (0, 1)]
    assert [start.position for start in starts] == [Position(90, 4, "due"), Position(90, 4, "none")]
    assert all(start.is_new for start in starts)


def test_a_new_topic_read_from_the_beginning_needs_no_cold_start() -> None:
    assert choose_start(0, {}, start_from="earliest", **NEW).position == Position(10, 4, "none")


def test_an_empty_topic_needs_no_cold_start() -> None:
    assert choose_start(0, {}, partitions=1, low=0, high=0, start_from="latest", cold_start=True).position.cold_start == "none"


def test_a_partition_whose_sibling_started_before_is_not_taken_for_one_added_later() -> None:
    committed = {0: Position(5000, 4, "done", "clock")}
    assert choose_start(1, committed, start_from="latest", **NEW).position == Position(90, 4)


def test_a_partition_added_later_starts_at_its_beginning() -> None:
    committed = {0: Position(5000, 2, "done", "clock"), 1: Position(5000, 2)}
    assert choose_start(2, committed, start_from="latest", **NEW).position == Position(10, 2)


def test_a_committed_position_is_kept() -> None:
    own = Position(33, 4, "done", "clock")
    start = choose_start(0, {0: own}, start_from="latest", **NEW)
    assert start.position == own
    assert not start.is_new
