from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.cli.alert_lines import alert_lines
from stream_monitor.errors import FormatError


def event(**values: Any) -> dict[str, Any]:
    data = {
        "incident": "7e2f4a2e-8a52-5d9c-a6a3-0c1de3d3a111",
        "topic": "orders",
        "status": "opened",
        "severity": "critical",
        "aspect": "completeness",
        "findings": [{"aspect": "completeness", "field": "email"}],
        "explanation": "21 % of orders.email is null; 0.1-0.4 % is usual at this hour. On healthy data this happens about once in 45 days.",
    }
    return {"specversion": "1.0", "time": "2026-11-22T14:05:00Z", "data": {**data, **values}}


def test_an_alert_says_when_how_bad_where_what_why_and_its_id() -> None:
    assert alert_lines(event()) == [
        "2026-11-22 14:05  CRITICAL  orders: opened - completeness of email",
        "  21 % of orders.email is null; 0.1-0.4 % is usual at this hour. On healthy data",
        "  this happens about once in 45 days.",
        "  incident 7e2f4a2e-8a52-5d9c-a6a3-0c1de3d3a111",
    ]


@given(st.text(max_size=300), st.text(max_size=300), st.integers(min_value=20, max_value=120))
def test_lines_are_never_wider_than_asked_nor_hold_what_a_terminal_obeys(field: str, explanation: str, width: int) -> None:
    lines = alert_lines(event(explanation=explanation, findings=[{"field": field}]), width)
    assert all(len(line) <= width and line.isprintable() for line in lines)


@pytest.mark.parametrize("wrong", [{}, {"data": None}, {"data": []}, {"data": {"topic": "a"}}])
def test_what_is_no_alert_is_a_format_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="CloudEvent"):
        alert_lines(wrong)


def test_odd_parts_do_no_harm() -> None:
    assert alert_lines(event(findings=[3], severity=None, aspect=7, explanation=None))[0].endswith("orders: opened - 7")
