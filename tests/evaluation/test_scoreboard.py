"""The scoreboard tells catches from false alarms."""

import pytest

from stream_monitor.evaluation.demo_plan import demo_plan
from stream_monitor.evaluation.orders import iso
from stream_monitor.evaluation.scoreboard import Scoreboard


@pytest.fixture
def plan():
    return demo_plan(history=10)


def alert(number, status="opened", aspect="completeness", field="email"):
    return {
        "incident": f"i{number}", "status": status, "severity": "warning", "explanation": "so it is",
        "window": {"start": iso(number * 60_000), "end": iso((number + 1) * 60_000), "records": 400},
        "findings": [{"aspect": aspect, "field": field}],
    }  # fmt: skip


def test_an_alert_in_the_window_of_a_planting_catches_it_after_one_window(plan):
    board, first = Scoreboard(plan), plan.plantings[0].first
    board.produced(first, 10.0)
    catch = board.alerted(alert(first), 11.5)
    assert (catch.planting, catch.windows, catch.seconds, catch.field) == (plan.plantings[0], 1, 1.5, "email")
    assert board.false == []
    assert board.missed == plan.plantings[1:]


def test_the_window_after_counts_and_the_one_after_that_does_not(plan):
    board, last = Scoreboard(plan), plan.plantings[0].last
    assert board.alerted(alert(last + 2), 1.0) is None
    assert len(board.false) == 1
    assert board.alerted(alert(last + 1), 1.0).windows == 2


def test_a_planting_is_caught_once(plan):
    board, first = Scoreboard(plan), plan.plantings[0].first
    assert board.alerted(alert(first), 1.0) is not None
    assert board.alerted(alert(first, aspect="volume", field=None), 1.0) is None
    assert board.false == []


def test_an_update_catches_but_is_never_false_and_a_resolution_is_neither(plan):
    board, first = Scoreboard(plan), plan.plantings[1].first
    assert board.alerted(alert(first - 3, "updated"), 1.0) is None
    assert board.alerted(alert(first, "resolved"), 1.0) is None
    assert board.alerted(alert(first, "updated"), 1.0).planting == plan.plantings[1]
    assert board.false == []


def test_late_records_may_be_told_one_window_early_since_they_count_where_the_clock_stands(plan):
    late = next(p for p in plan.plantings if p.corruption.name == "late_burst")
    null = next(p for p in plan.plantings if p.corruption.name == "null")
    board = Scoreboard(plan)
    assert board.alerted(alert(late.first - 1), 1.0).windows == 1
    assert board.alerted(alert(null.first - 1), 1.0) is None
    assert len(board.false) == 1
