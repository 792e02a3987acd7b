"""What the demo shows fits 80 columns and says what was planted, caught and false."""

import io

import pytest
from rich.console import Console

from stream_monitor.cli.demo_view import DemoView
from stream_monitor.evaluation.demo_plan import demo_plan
from stream_monitor.evaluation.orders import iso
from stream_monitor.evaluation.scoreboard import Scoreboard

EXPLANATION = "25 % of orders.email is null; usually none. On healthy data this happens about once in 45 days."


def alert(number):
    return {
        "incident": f"i{number}", "status": "opened", "severity": "critical", "aspect": "completeness", "explanation": EXPLANATION,
        "window": {"start": iso(number * 60_000), "end": iso((number + 1) * 60_000), "records": 400},
        "findings": [{"aspect": "completeness", "field": "email"}],
    }  # fmt: skip


def shown(terminal):
    """What a short demo prints."""
    plan = demo_plan(history=10)
    board = Scoreboard(plan)
    target = io.StringIO()
    view = DemoView(Console(file=target, width=80, force_terminal=terminal, highlight=False, markup=False), plan, board)
    first = plan.plantings[0]
    with view:
        view.title(7)
        view.step(0.1, "broker ready")
        view.judged(plan.live, {"window": {"records": 300}, "alerting": False, "state": "ready"})
        view.planted(1.0, first)
        view.produced(first.first)
        board.produced(first.first, 1.0)
        view.judged(first.first, {"window": {"records": 380}, "alerting": True, "state": "ready"})
        view.caught(2.5, board.alerted(alert(first.first), 2.5))
        board.alerted(alert(plan.live), 2.6)
        view.false(2.6, alert(plan.live))
    view.table()
    view.total(60.0, 2.5)
    return target.getvalue()


def test_off_a_terminal_it_prints_plain_lines_no_wider_than_80_columns():
    text = shown(False)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "planted email is null (25 %)" in text
    assert "ALERT   completeness: email after 1 window, 1.5 s" in text
    assert text.count("missed") == len(demo_plan(history=10).plantings) - 1
    assert "caught 1  false 1" in text
    assert "first alert after 2.5 s" in text


@pytest.mark.parametrize("word", ["█", "orders/min", "\x1b"])
def test_on_a_terminal_it_shows_the_stream_as_it_moves(word):
    assert word in shown(True)


def test_every_planting_fits_a_row_of_the_table():
    lines = [line.rstrip() for line in shown(False).splitlines()]
    rows = [line for line in lines if line.endswith("missed") or "1w 1.5s" in line]
    assert len(rows) == len(demo_plan(history=10).plantings)
